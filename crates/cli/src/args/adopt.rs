//! `adopt` and `release-zone` as they were typed.

use clap::{Args, ValueEnum};
use clap_complete::ArgValueCandidates;
use fleetdns_daemon::config::Flags;

use super::Output;
use crate::completion;

/// Another program that owns records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// external-dns with its TXT registry.
    ExternalDns,
    /// kubefed, which must have ended: all records at federation names are taken for its own.
    Kubefed,
}

/// What is taken over.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["from", "from_owner", "orphans"]))]
pub struct AdoptArgs {
    /// Take over what this program owns.
    #[arg(long, value_enum, value_name = "PROGRAM", requires_if("external-dns", "owner"))]
    pub from: Option<Program>,
    /// Owner id of external-dns, its flag --txt-owner-id.
    #[arg(long, value_name = "ID", requires = "from")]
    pub owner: Option<String>,
    /// external-dns's flag of the same name.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, requires = "from")]
    pub txt_prefix: String,
    /// external-dns's flag of the same name.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, requires = "from")]
    pub txt_suffix: String,
    /// external-dns's flag of the same name.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, requires = "from")]
    pub txt_wildcard_replacement: String,
    /// Take over what stands under this owner id of fleetdns: the one before `owner` of dns.conf was changed.
    #[arg(long, value_name = "OLD")]
    pub from_owner: Option<String>,
    /// List records of ours that nobody claims any more.
    #[arg(long, conflicts_with_all = ["apply", "names"])]
    pub orphans: bool,
    /// Only these names.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Write it.
    #[arg(long)]
    pub apply: bool,
    /// The config.
    #[command(flatten)]
    pub flags: Flags,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// A zone that is given up.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The zone, one of dns.conf.
    #[arg(value_name = "ZONE", add = ArgValueCandidates::new(completion::zones))]
    pub zone: String,
    /// Remove the records too.
    #[arg(long)]
    pub records: bool,
    /// What stands under another owner id of fleetdns than that of dns.conf.
    #[arg(long, value_name = "OLD")]
    pub owner: Option<String>,
    /// Write it.
    #[arg(long)]
    pub apply: bool,
    /// The config.
    #[command(flatten)]
    pub flags: Flags,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}
