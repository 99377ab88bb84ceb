//! What a process has taken so far, as proc(5) tells it.

use std::fs;
use std::time::Duration;

/// Clock ticks per second in /proc: 100 on every architecture of today, whatever the kernel's own timer.
const TICKS: u64 = 100;

/// CPU time, of all threads, user and system, since the process started. Its step is 10 ms.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = read(pid, "stat");
    // PID (NAME) STATE ...; the name may have any character in it. utime and stime are fields 14 and 15, STATE is 3.
    let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1_000 / TICKS)
}

/// Resident memory in KiB: now, and the most that it was.
pub(crate) fn memory(pid: u32) -> (u64, u64) {
    let status = read(pid, "status");
    let value = |key: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no {key} in /proc/{pid}/status"))
    };
    (value("VmRSS"), value("VmHWM"))
}

fn read(pid: u32, file: &str) -> String {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}; the process has ended"))
}
