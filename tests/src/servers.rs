//! Where the server binaries are.

use std::path::{Path, PathBuf};

/// A program that `tests/setup` builds or fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// `kube-apiserver`
    KubeApiserver,
    /// `etcd`
    Etcd,
    /// `coredns`
    CoreDns,
    /// `webhook`: external-dns's webhook server with providers of its own
    Webhook,
    /// `helm`
    Helm,
    /// `kubectl`
    Kubectl,
    /// `external-dns`, only there after `tests/setup --bench`
    ExternalDns,
    /// `promtool`, Prometheus's own: it tests the alert rules, and serves nothing
    Promtool,
}

impl Server {
    /// The file name of its binary.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::KubeApiserver => "kube-apiserver",
            Self::Etcd => "etcd",
            Self::CoreDns => "coredns",
            Self::Webhook => "webhook",
            Self::Helm => "helm",
            Self::Kubectl => "kubectl",
            Self::ExternalDns => "external-dns",
            Self::Promtool => "promtool",
        }
    }

    fn in_kubebuilder_assets(self) -> bool {
        matches!(self, Self::KubeApiserver | Self::Etcd)
    }

    /// The path of its binary: in `KUBEBUILDER_ASSETS` if that is set and has it, else in `target/servers`; of `promtool` on
    /// `PATH`, if it is installed.
    ///
    /// # Panics
    /// When it is in neither, with what to do about it.
    pub fn path(self) -> PathBuf {
        let name = self.file_name();
        let mut places = Vec::new();
        if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|_| self.in_kubebuilder_assets())
        {
            places.push(PathBuf::from(assets));
        }
        if self == Self::Promtool {
            places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        }
        places.extend(target_folders().into_iter().map(|target| target.join("servers")));
        if let Some(found) = places.iter().map(|place| place.join(name)).find(|path| path.is_file()) {
            return found;
        }
        let option = if self == Self::ExternalDns { " --bench" } else { "" };
        panic!("no {name} in any of {places:?}: run tests/setup{option} and test again");
    }
}

/// The file of axe-core, which checks a page for what keeps people out; `tests/setup` fetches it.
///
/// # Panics
/// When it is not there.
pub fn axe() -> PathBuf {
    let places: Vec<PathBuf> =
        target_folders().iter().map(|target| target.join("servers/axe.min.js")).collect();
    let found = places.iter().find(|path| path.is_file()).cloned();
    found.unwrap_or_else(|| panic!("none of {places:?} is there: run tests/setup and test again"))
}

/// A folder of Cargo's target folder for what a test leaves to look at.
///
/// # Panics
/// When it cannot be made.
pub fn results(name: &str) -> PathBuf {
    let target = target_folders().into_iter().next().expect("there is a target folder");
    let folder = target.join(name);
    std::fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("cannot make {}: {e}", folder.display()));
    folder
}

/// Cargo's target folder: as told, as this test binary stands in it, or as it is by default.
fn target_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).into_iter().collect();
    // target/[TRIPLE/]PROFILE/deps/TEST
    if let Ok(this) = std::env::current_exe() {
        let holds_servers = |folder: &&Path| folder.join("servers").is_dir();
        folders.extend(this.ancestors().skip(2).find(holds_servers).map(Path::to_path_buf));
    }
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
    folders.dedup();
    folders
}
