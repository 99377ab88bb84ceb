//! A `dns.conf`, and the names that follow from it.

use std::fmt::{Display, Write as _};
use std::path::Path;

/// The zone that every daemon here writes.
pub const ZONE: &str = "syncweek.com";
/// The fleet that every daemon here is of.
pub const FLEET: &str = "myfederation";

/// What stands in a `dns.conf`, without `[admin]`.
#[derive(Clone, Debug)]
pub struct Conf {
    fleet: String,
    zone: String,
    clusters: Vec<(String, String)>,
    admin: String,
    more: String,
}

impl Conf {
    /// [`ZONE`] in the etcd at this endpoint, for [`FLEET`], without clusters.
    pub fn new(etcd_endpoint: &str) -> Self {
        Self::with_zone(&format!("provider = coredns\netcd-endpoints = {etcd_endpoint}\n"))
    }

    /// [`ZONE`] with these keys.
    pub fn with_zone(keys: &str) -> Self {
        Self {
            fleet: String::new(),
            zone: keys.to_owned(),
            clusters: Vec::new(),
            admin: String::new(),
            more: String::new(),
        }
    }

    /// Adds a cluster whose kubeconfig is used as it is.
    #[must_use]
    pub fn cluster(self, name: &str, kubeconfig: &Path) -> Self {
        self.cluster_with(name, kubeconfig, "")
    }

    /// Adds a cluster with further keys.
    #[must_use]
    pub fn cluster_with(mut self, name: &str, kubeconfig: &Path, keys: &str) -> Self {
        self.clusters.push((name.to_owned(), format!("kubeconfig = {}\n{keys}\n", kubeconfig.display())));
        self
    }

    /// Leaves a cluster out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.clusters.retain(|(cluster, _)| cluster != name);
        self
    }

    /// Adds lines: whole sections.
    #[must_use]
    pub fn more(mut self, text: &str) -> Self {
        self.more.push_str(text);
        self.more.push('\n');
        self
    }

    /// Adds lines to `[fleet]`.
    #[must_use]
    pub fn fleet(mut self, keys: &str) -> Self {
        self.fleet.push_str(keys);
        self.fleet.push('\n');
        self
    }

    /// Adds lines to `[admin]`.
    #[must_use]
    pub fn admin(mut self, keys: &str) -> Self {
        self.admin.push_str(keys);
        self.admin.push('\n');
        self
    }

    /// The whole file, of a daemon that nobody can ask.
    pub fn text(&self) -> String {
        self.render("off", "off")
    }

    /// The whole file, of a daemon that is asked at `admin` and takes orders at `socket`.
    pub(crate) fn render(&self, admin: impl Display, socket: impl Display) -> String {
        // Everything here is on loopback, which is denied unless it is allowed.
        let allow =
            if self.fleet.contains("address-allow") { "" } else { "address-allow = 127.0.0.0/8, ::1" };
        let mut text = format!(
            "[fleet]\nname = {FLEET}\n{allow}\n{}\n[zone \"{ZONE}\"]\n{}\n[admin]\nlisten = {admin}\nsocket = {socket}\n{}\n",
            self.fleet, self.zone, self.admin
        );
        for (name, keys) in &self.clusters {
            let _ = writeln!(text, "[cluster \"{name}\"]\n{keys}");
        }
        text + &self.more
    }
}

/// A federation name of a Service of namespace `default`: of the whole fleet (`""`), of a region (`"westus"`), or of a
/// zone (`"1.westus"`).
pub fn name(service: &str, place: &str) -> String {
    let dot = if place.is_empty() { "" } else { "." };
    format!("{service}.default.{FLEET}.svc{dot}{place}.{ZONE}")
}
