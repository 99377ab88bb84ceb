//! Flags of kubefed and of its controller manager that have no meaning here, so that their command lines work as they are.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use fleetdns_daemon::config::Flags;

/// Flags with a value.
const FLAGS: [&str; 42] = [
    "address",
    "api-server-advertise-address",
    "api-server-port",
    "api-server-service-type",
    "apiserver-arg-overrides",
    "cluster-monitor-period",
    "concurrent-job-syncs",
    "concurrent-replicaset-syncs",
    "concurrent-service-syncs",
    "context",
    CONTROLLER_MANAGER,
    "controllers",
    "credentials-kubeconfig",
    "etcd-image",
    "etcd-pv-capacity",
    "etcd-pv-storage-class",
    "feature-gates",
    "federation-only-namespace",
    "federation-system-namespace",
    "host-cluster-context",
    "hpa-scale-forbidden-window",
    "image",
    "image-pull-policy",
    "image-pull-secrets",
    "kube-api-burst",
    "kube-api-content-type",
    "kube-api-qps",
    "leader-elect-lease-duration",
    "leader-elect-renew-deadline",
    "leader-elect-resource-lock",
    "leader-elect-retry-period",
    "log-backtrace-at",
    "log-dir",
    "log-flush-frequency",
    "master",
    "node-selector",
    "port",
    "secret-name",
    "service-account-name",
    "stderrthreshold",
    VERBOSITY,
    "vmodule",
];
/// Flags that are on or off.
const SWITCHES: [&str; 8] = [
    "alsologtostderr",
    "apiserver-enable-basic-auth",
    "apiserver-enable-token-auth",
    "contention-profiling",
    "etcd-persistent-storage",
    "leader-elect",
    "logtostderr",
    "profiling",
];
/// Also `-v`.
const VERBOSITY: &str = "v";
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
        let short = |name: &'static str| if name == VERBOSITY { flag(name).short('v') } else { flag(name) };
        let flags = FLAGS.into_iter().map(short);
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        kubefed: Kubefed,
    }

    #[test]
    fn what_has_a_meaning_is_taken_and_the_rest_is_reported() {
        let line = "kubefed --image=a:b --etcd-persistent-storage --host-cluster-context west \
                    --controllermanager-arg-overrides=--zone-id=Z1,--controllers=x=false,--service-dns-suffix=a.b";
        let Line { kubefed } = Line::try_parse_from(line.split_whitespace()).unwrap();
        let ignored = [
            "--controllers=x=false of --controllermanager-arg-overrides",
            "--host-cluster-context",
            "--image",
            "--etcd-persistent-storage",
        ];
        assert_eq!(kubefed.ignored, ignored);
        let flags = kubefed.complete(&Flags { zone_id: Some("Z2".to_owned()), ..Flags::default() });
        let said = (flags.zone_id.as_deref(), flags.service_dns_suffix.as_deref());
        assert_eq!(said, (Some("Z2"), Some("a.b")), "a flag of ours wins");
        assert_eq!(kubefed.complete(&Flags::default()).zone_id.as_deref(), Some("Z1"));
        for line in ["-v=2", "-v2", "-v 2", "--v=2"] {
            let Line { kubefed } = Line::try_parse_from(["x"].into_iter().chain(line.split(' '))).unwrap();
            assert_eq!(kubefed.ignored, ["--v"], "{line}");
        }
        let line = "x --cluster-monitor-period=40s --leader-elect --profiling=false --master https://x";
        assert_eq!(Line::try_parse_from(line.split(' ')).unwrap().kubefed.ignored.len(), 4);
        let none = Line::try_parse_from(["kubefed"]).unwrap().kubefed;
        assert_eq!((none.ignored.len(), none.complete(&Flags::default())), (0, Flags::default()));
    }
}
