//! Flags of kubefed that have no meaning here, so that its command lines work as they are.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use fleetdns_daemon::config::Flags;

/// Flags with a value.
const FLAGS: [&str; 18] = [
    "api-server-advertise-address",
    "api-server-port",
    "api-server-service-type",
    "apiserver-arg-overrides",
    "context",
    CONTROLLER_MANAGER,
    "credentials-kubeconfig",
    "etcd-image",
    "etcd-pv-capacity",
    "etcd-pv-storage-class",
    "federation-system-namespace",
    "host-cluster-context",
    "image",
    "image-pull-policy",
    "image-pull-secrets",
    "node-selector",
    "secret-name",
    "service-account-name",
];
/// Flags that are on or off.
const SWITCHES: [&str; 3] =
    ["apiserver-enable-basic-auth", "apiserver-enable-token-auth", "etcd-persistent-storage"];
/// Arguments of kubefed's controller manager, of which `--zone-id` and `--service-dns-suffix` have a meaning here.
const CONTROLLER_MANAGER: &str = "controllermanager-arg-overrides";

/// The flags of kubefed that were given.
#[derive(Debug, Clone, Default)]
pub struct Kubefed {
    /// Flags that have no meaning here.
    pub ignored: Vec<String>,
    zone_id: Option<String>,
    suffix: Option<String>,
}

impl Kubefed {
    /// Says on standard error which flags are ignored.
    pub fn report(&self) {
        if !self.ignored.is_empty() {
            eprintln!("fleetdns: ignored, since fleetdns does not need it: {}", self.ignored.join(", "));
        }
    }

    /// Adds what the arguments of the controller manager say.
    #[must_use]
    pub fn complete(&self, flags: &Flags) -> Flags {
        let mut flags = flags.clone();
        flags.zone_id = flags.zone_id.or_else(|| self.zone_id.clone());
        flags.service_dns_suffix = flags.service_dns_suffix.or_else(|| self.suffix.clone());
        flags
    }
}

impl Args for Kubefed {
    fn augment_args(command: Command) -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name).hide(true);
        let flags = FLAGS.into_iter().map(flag);
        let switches = SWITCHES.into_iter().map(|name| flag(name).num_args(0..=1).require_equals(true));
        command.args(flags.chain(switches))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Kubefed {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut kubefed = Self::default();
        let given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        for name in FLAGS.into_iter().chain(SWITCHES).filter(given) {
            if name != CONTROLLER_MANAGER {
                kubefed.ignored.push(format!("--{name}"));
                continue;
            }
            let text = matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
            for argument in text.split(',').map(str::trim) {
                match argument.split_once('=') {
                    Some(("--zone-id", value)) => kubefed.zone_id = Some(value.to_owned()),
                    Some(("--service-dns-suffix", value)) => kubefed.suffix = Some(value.to_owned()),
                    _ => kubefed.ignored.push(format!("{argument} of --{name}")),
                }
            }
        }
        Ok(kubefed)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
