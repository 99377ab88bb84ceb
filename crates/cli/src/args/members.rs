//! `init`, `join` and `unjoin` as they were typed.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCandidates;
use fleetdns_daemon::config::DEFAULT_FILE;

use super::Operate;
use crate::completion;
use crate::kubefed::Kubefed;

/// A fleet that begins.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the fleet, a label of every federation name.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Who serves the zone: coredns, embedded, azure-azuredns, ...
    #[arg(long, value_name = "PROVIDER")]
    pub dns_provider: String,
    /// The zone to write.
    #[arg(long, value_name = "ZONE")]
    pub dns_zone_name: String,
    /// File with the keys of the provider under [Global], as for kubefed; it is copied.
    #[arg(long, value_name = "FILE")]
    pub dns_provider_config: Option<PathBuf>,
    /// The provider's id of the zone.
    #[arg(long, value_name = "ID")]
    pub zone_id: Option<String>,
    /// What federation names end in, unless it is the zone.
    #[arg(long, value_name = "SUFFIX")]
    pub service_dns_suffix: Option<String>,
    /// File to write; it must not be there.
    #[arg(long, short = 'c', value_name = "FILE", default_value = DEFAULT_FILE)]
    pub config: PathBuf,
    /// Look for faults, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Taken from kubefed; not needed.
    #[arg(long, hide = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Flags of kubefed.
    #[command(flatten)]
    pub kubefed: Kubefed,
}

/// A cluster that joins.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// Name of the cluster in dns.conf.
    #[arg(value_name = "CLUSTER")]
    pub name: String,
    /// Context of the cluster in the kubeconfig [default: the name of the cluster].
    #[arg(long, value_name = "CONTEXT", add = ArgValueCandidates::new(completion::contexts))]
    pub cluster_context: Option<String>,
    /// Kubeconfig, as the daemon can read it [default: KUBECONFIG, or ~/.kube/config].
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Region of the cluster [default: what its nodes say].
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Zones of the region, separated by commas [default: what its nodes say].
    #[arg(long, value_name = "ZONES")]
    pub zones: Option<String>,
    /// Print what to apply in the cluster, for `kubectl apply -f -`, and change nothing.
    #[arg(long)]
    pub print_rbac: bool,
    /// Apply it with this context, and make a kubeconfig of its token beside dns.conf, without a question [default: asked on
    /// a terminal, unless --kubeconfig names a file].
    #[arg(long)]
    pub yes: bool,
    /// Print the section, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Flags of kubefed.
    #[command(flatten)]
    pub kubefed: Kubefed,
    /// The daemon.
    #[command(flatten)]
    pub operate: Operate,
}

/// A cluster that leaves.
#[derive(Debug, Args)]
pub struct UnjoinArgs {
    /// Name of the cluster in dns.conf.
    #[arg(value_name = "CLUSTER", add = ArgValueCandidates::new(completion::clusters))]
    pub name: String,
    /// Taken from kubefed; not needed.
    #[arg(long, hide = true)]
    pub cluster_context: Option<String>,
    /// Taken from kubefed; not needed.
    #[arg(long, hide = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Flags of kubefed.
    #[command(flatten)]
    pub kubefed: Kubefed,
    /// The daemon.
    #[command(flatten)]
    pub operate: Operate,
}
