//! The series of the process, under the names that Prometheus's own clients use.

use procfs::ProcResult;
use procfs::process::{LimitValue, Process};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// What the kernel counts of this process.
struct Usage {
    cpu_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    open_descriptors: u64,
    most_descriptors: f64,
    started: f64,
}

impl Usage {
    fn read() -> ProcResult<Self> {
        let process = Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second() as f64;
        let most = match process.limits()?.max_open_files.soft_limit {
            LimitValue::Value(most) => most as f64,
            LimitValue::Unlimited => f64::INFINITY,
        };
        Ok(Self {
            cpu_seconds: (stat.utime + stat.stime) as f64 / ticks,
            resident_bytes: stat.rss * procfs::page_size(),
            virtual_bytes: stat.vsize,
            open_descriptors: process.fd_count()? as u64,
            most_descriptors: most,
            started: procfs::boot_time_secs()? as f64 + stat.starttime as f64 / ticks,
        })
    }
}

/// Adds the series; none where the kernel says nothing.
pub(super) fn add(all: &mut Registry) {
    let Ok(usage) = Usage::read() else { return };
    let cpu = ConstCounter::new(usage.cpu_seconds);
    all.register("process_cpu_seconds", "User and system CPU time", cpu);
    let resident = ConstGauge::new(usage.resident_bytes as f64);
    all.register("process_resident_memory_bytes", "Resident memory", resident);
    let virtual_memory = ConstGauge::new(usage.virtual_bytes as f64);
    all.register("process_virtual_memory_bytes", "Virtual memory", virtual_memory);
    let open = ConstGauge::new(usage.open_descriptors as f64);
    all.register("process_open_fds", "Open file descriptors", open);
    let most = ConstGauge::new(usage.most_descriptors);
    all.register("process_max_fds", "File descriptors that may be open", most);
    let started = ConstGauge::new(usage.started);
    all.register("process_start_time_seconds", "Unix time of the start", started);
}
