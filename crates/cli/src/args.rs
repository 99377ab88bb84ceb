//! The command line as it was typed.

#![allow(rustdoc::broken_intra_doc_links, reason = "help for a terminal, where brackets are not links")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use clap_complete::{ArgValueCandidates, Shell};
use fleetdns_core::text;
use fleetdns_daemon::config::Flags;

use crate::completion;
use crate::kubefed::Kubefed;

mod adopt;
mod members;

pub use adopt::{AdoptArgs, Program, ReleaseArgs};
pub use members::{InitArgs, JoinArgs, UnjoinArgs};

/// Keeps DNS zones in step with the LoadBalancer Services of many Kubernetes clusters.
#[derive(Debug, Parser)]
#[command(name = "fleetdns", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Colours of help and logs; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

impl Cli {
    /// Reads the command line, as [`Parser::try_parse`]; `--color` is in force from here on, for help and faults too.
    ///
    /// # Errors
    /// Help and version, and a command line that cannot be understood.
    pub fn read(line: Vec<OsString>) -> Result<Self, clap::Error> {
        match color(&line) {
            Some(ColorChoice::Always) => anstream::ColorChoice::Always.write_global(),
            Some(ColorChoice::Never) => anstream::ColorChoice::Never.write_global(),
            Some(ColorChoice::Auto) | None => {}
        }
        Self::try_parse_from(line)
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    text::duration(text).ok_or("expected a duration such as 90s, 1h30m or 3d")
}

/// The value of `--color`, if there is one that can be understood.
fn color(line: &[OsString]) -> Option<ColorChoice> {
    let found = line.iter().enumerate().find_map(|(at, text)| {
        let value = text.to_str()?.strip_prefix("--color")?;
        value.strip_prefix('=').or_else(|| line.get(at + 1)?.to_str().filter(|_| value.is_empty()))
    });
    ColorChoice::from_str(found?, true).ok()
}

/// The commands.
#[expect(missing_docs, reason = "flattened arguments carry their own documentation")]
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon.
    #[command(
        after_help = "Examples:\n  fleetdns run -c /etc/fleetdns/dns.conf\n  fleetdns run --federation-name fed --dns-provider coredns --dns-zone-name example.com -c dns.conf"
    )]
    Run {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        kubefed: Kubefed,
    },
    /// Write a first dns.conf, and print what to apply in each cluster.
    #[command(
        override_usage = "fleetdns init [OPTIONS] --dns-provider <PROVIDER>\n                     --dns-zone-name <ZONE> <NAME>",
        after_help = "Examples:\n  fleetdns init myfederation --dns-provider=azure-azuredns --dns-zone-name=syncweek.com --dns-provider-config=azure.conf\n  fleetdns init myfederation --dns-provider coredns --dns-zone-name example.com --dns-provider-config coredns.conf -c dns.conf"
    )]
    Init(#[command(flatten)] Box<InitArgs>),
    /// Add a cluster to dns.conf, and make a running daemon take it up.
    #[command(
        after_help = "Examples:\n  fleetdns join eastus --cluster-context=eastus-admin\n  fleetdns join eastus --cluster-context=eastus-admin --yes\n  fleetdns join eastus --kubeconfig /etc/fleetdns/eastus.kubeconfig --region eastus --zones 1,2\n  fleetdns join eastus --print-rbac"
    )]
    Join(#[command(flatten)] Box<JoinArgs>),
    /// Remove a cluster from dns.conf, and make a running daemon take its addresses out of DNS.
    #[command(after_help = "Examples:\n  fleetdns unjoin eastus")]
    Unjoin(#[command(flatten)] Box<UnjoinArgs>),
    /// Look at the config, the clusters, our rights and the zones; say what to do about each fault.
    #[command(after_help = "Examples:\n  fleetdns check\n  fleetdns check -c dns.conf -o json")]
    Check {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        output: Output,
    },
    /// Print what would change, once, without a daemon. Exit code: 0 nothing, 2 changes, 1 error or incomplete.
    #[command(after_help = "Examples:\n  fleetdns plan\n  fleetdns plan -c dns.conf -o json")]
    Plan {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        output: Output,
    },
    /// Take over records: of external-dns, of kubefed, or of an older owner id. Prints the plan; --apply writes it.
    ///
    /// Only names that a Service with an address asks for are taken. Values stay as they are; the next pass of the daemon changes
    /// them. A daemon may run meanwhile: every write is conditional.
    #[command(
        override_usage = "fleetdns adopt [OPTIONS] <--from <PROGRAM>|--from-owner <OLD>|--orphans>\n                      [NAME]...",
        after_help = "Examples:\n  fleetdns adopt --from external-dns --owner prod\n  fleetdns adopt --from external-dns --owner prod --txt-prefix reg. web.example.com --apply\n  fleetdns adopt --from kubefed\n  fleetdns adopt --from-owner oldfleet --apply\n  fleetdns adopt --orphans"
    )]
    Adopt(#[command(flatten)] Box<AdoptArgs>),
    /// Give a zone up: remove our ownership records and leave the records, or remove both. Prints the plan; --apply writes it.
    ///
    /// Refuses while a fleetdns that runs here serves the zone; one on another machine it does not see.
    #[command(
        after_help = "Examples:\n  fleetdns release-zone example.com\n  fleetdns release-zone example.com --records --apply"
    )]
    ReleaseZone(#[command(flatten)] Box<ReleaseArgs>),
    /// Print the records that the running daemon keeps.
    #[command(after_help = "Examples:\n  fleetdns records\n  fleetdns records --all -o wide")]
    Records {
        #[command(flatten)]
        daemon: Daemon,
        /// Other people's records too.
        #[arg(long)]
        all: bool,
    },
    /// Print the clusters as the running daemon sees them.
    #[command(after_help = "Examples:\n  fleetdns clusters\n  fleetdns clusters -o wide")]
    Clusters(#[command(flatten)] Daemon),
    /// Print the clusters as kubefed's `kubectl get clusters` did: NAME, STATUS, AGE.
    #[command(after_help = "Examples:\n  fleetdns get clusters\n  fleetdns get clusters -o wide")]
    Get {
        /// What to print.
        #[arg(value_enum)]
        what: Resource,
        #[command(flatten)]
        daemon: Daemon,
        #[command(flatten)]
        kubefed: Kubefed,
    },
    /// Print the state of the running daemon: zones, clusters, what is held or refused and why.
    #[command(after_help = "Examples:\n  fleetdns status\n  fleetdns status --watch")]
    Status {
        #[command(flatten)]
        daemon: Daemon,
        /// Print it again every two seconds; a daemon that is away is waited for.
        #[arg(short, long)]
        watch: bool,
    },
    /// Ask whether the daemon is well, for probes that run a command. Exit code: 0 well, 1 not, with the reasons.
    #[command(
        after_help = "Examples:\n  fleetdns health\n  fleetdns health --ready --admin http://127.0.0.1:8053"
    )]
    Health {
        /// Admin API of the daemon, such as http://127.0.0.1:8053 [default: from config].
        #[arg(long, value_name = "URL")]
        admin: Option<String>,
        /// Whether it is ready: every zone was read, every cluster was listed or given up on.
        #[arg(long)]
        ready: bool,
        /// The config of the daemon.
        #[command(flatten)]
        flags: Flags,
    },
    /// Take clusters, Services or addresses out of DNS, at once; the last address of a name stays.
    #[command(
        after_help = "Examples:\n  fleetdns drain cluster/eastus --for 2h --reason maintenance\n  fleetdns drain service/shop/web@westus"
    )]
    Drain(#[command(flatten)] OverrideArgs),
    /// Take back what was set: probes decide again.
    #[command(visible_alias = "auto")]
    #[command(after_help = "Examples:\n  fleetdns undrain cluster/eastus")]
    Undrain(#[command(flatten)] OverrideArgs),
    /// Keep clusters, Services or addresses in DNS, whatever their probes say.
    #[command(after_help = "Examples:\n  fleetdns force-in address/203.0.113.7 --for 30m")]
    ForceIn(#[command(flatten)] OverrideArgs),
    /// Take clusters, Services or addresses out of DNS, the last address of a name too.
    #[command(after_help = "Examples:\n  fleetdns force-out address/203.0.113.7 --yes")]
    ForceOut(#[command(flatten)] OverrideArgs),
    /// Print what is drained and forced, by whom, until when and why.
    #[command(after_help = "Examples:\n  fleetdns overrides\n  fleetdns overrides -o json")]
    Overrides(#[command(flatten)] Daemon),
    /// Confirm a mass failure, so that its removals are no longer held.
    #[command(after_help = "Examples:\n  fleetdns confirm-outage")]
    ConfirmOutage(#[command(flatten)] Operate),
    /// Make the running daemon read its configuration again. Exit code: 0 taken up, 1 faults, and what was read before stands.
    #[command(
        after_help = "Examples:\n  fleetdns reload\n  fleetdns reload -c /etc/fleetdns/dns.conf -o json"
    )]
    Reload(#[command(flatten)] Operate),
    /// Say why a name holds what it holds: each address in or out, its probes, brakes, and who said what.
    #[command(after_help = "Examples:\n  fleetdns why web.example.com\n  fleetdns why shop/web")]
    Why {
        /// A DNS name, or NAMESPACE/NAME of a Service of the running daemon.
        #[arg(add = ArgValueCandidates::new(completion::names))]
        name: String,
        /// Ask of a fleet that is written down in this file instead, as for `simulate`.
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Print what happened: addresses in and out, brakes, clusters, zones.
    #[command(
        after_help = "Examples:\n  fleetdns events --name web.example.com\n  fleetdns events --follow -o json"
    )]
    Events {
        #[command(flatten)]
        daemon: Daemon,
        /// Go on printing what happens.
        #[arg(long)]
        follow: bool,
        /// Only of this DNS name.
        #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(completion::names))]
        name: Option<String>,
        /// Only of this cluster.
        #[arg(long, value_name = "CLUSTER", add = ArgValueCandidates::new(completion::clusters))]
        cluster: Option<String>,
    },
    /// Write the running daemon's fleet down as a file for `simulate`.
    #[command(after_help = "Examples:\n  fleetdns snapshot --file fleet.json")]
    Snapshot {
        #[command(flatten)]
        daemon: Daemon,
        /// File to write; the terminal without.
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Say what DNS would become: of the running daemon's fleet, or of one that is written down in a file.
    #[command(
        after_help = "Examples:\n  fleetdns simulate --down eastus\n  fleetdns simulate -f fleet.json --down address/203.0.113.7"
    )]
    Simulate {
        /// JSON or YAML file, or - for standard input; without, the daemon is asked, and only what changes is printed.
        #[arg(short, long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Take this for dead: a cluster, service/NAMESPACE/NAME[@CLUSTER] or address/ADDRESS; may be repeated.
        #[arg(long, value_name = "WHAT", add = ArgValueCandidates::new(completion::subjects))]
        down: Vec<String>,
        #[command(flatten)]
        daemon: Daemon,
    },
    /// Show the main job on this machine: two clusters, a zone, and a cluster that dies. Nothing to install.
    #[command(after_help = "Examples:\n  fleetdns demo\n  fleetdns demo --stay")]
    Demo {
        /// Keep it running afterwards, to try things out.
        #[arg(long)]
        stay: bool,
    },
    /// Print what completes commands and names in a shell.
    #[command(after_help = "Examples:\n  fleetdns completion bash")]
    Completion {
        /// The shell; source what is printed, such as `source <(fleetdns completion bash)`.
        shell: Shell,
    },
    /// Write the man pages of these commands, for packages.
    #[command(hide = true, after_help = "Examples:\n  fleetdns man /usr/local/share/man/man1")]
    Man {
        /// A directory that is there.
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
    /// Print the version of this program.
    #[command(after_help = "Examples:\n  fleetdns version -o json")]
    Version(#[command(flatten)] Output),
}

/// How to print.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// Output format.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// What `get` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Resource {
    /// The members of the fleet.
    #[value(alias = "cluster")]
    Clusters,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    #[value(alias = "table")]
    Text,
    /// All columns; `status` lists each name that is held and each endpoint that never answered.
    Wide,
    /// JSON for programs.
    Json,
    /// YAML for programs.
    Yaml,
}

/// Where the running daemon is asked.
#[derive(Debug, Args)]
pub struct Daemon {
    /// Admin API of the daemon, such as http://127.0.0.1:8053 [default: from config].
    #[arg(long, value_name = "URL")]
    pub admin: Option<String>,
    /// The config of the daemon.
    #[command(flatten)]
    pub flags: Flags,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// Where the running daemon takes orders.
#[derive(Debug, Args)]
pub struct Operate {
    /// Control socket of the daemon [default: from config].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The config of the daemon.
    #[command(flatten)]
    pub flags: Flags,
    /// How to print.
    #[command(flatten)]
    pub output: Output,
}

/// What is set of what.
#[derive(Debug, Args)]
pub struct OverrideArgs {
    /// cluster/NAME, service/NAMESPACE/NAME, service/NAMESPACE/NAME@CLUSTER, address/ADDRESS, or the name of a cluster.
    #[arg(required = true, value_name = "SUBJECT", add = ArgValueCandidates::new(completion::subjects))]
    pub subjects: Vec<String>,
    /// For how long, such as 45s, 30m, 2h or 3d [default: until `undrain`].
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub span: Option<Duration>,
    /// Why; is shown to others.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Also when nobody knows the subject, or when a restart would forget it.
    #[arg(long)]
    pub anyway: bool,
    /// Also when a name loses its last address.
    #[arg(long)]
    pub yes: bool,
    /// The daemon.
    #[command(flatten)]
    pub operate: Operate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_examples_that_can_be_read() {
        let cli = <Cli as clap::CommandFactory>::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let help = help.replace("\\\n", "");
            let examples: Vec<&str> = help.lines().skip(1).map(str::trim).collect();
            assert!(!examples.is_empty(), "{}", command.get_name());
            for example in examples {
                assert!(example.starts_with(&format!("fleetdns {}", command.get_name())), "{example}");
                Cli::try_parse_from(example.split_whitespace()).unwrap();
            }
        }
    }

    #[test]
    fn the_command_lines_of_the_pages_are_understood() {
        let pages = [include_str!("../../../README.md"), include_str!("../../../config/README.md")];
        let lines: Vec<String> = pages
            .iter()
            .flat_map(|page| page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()))
            .map(|block| block.replace("\\\n", " "))
            .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| line.trim_start().starts_with("fleetdns "))
            .collect();
        assert!(lines.len() > 20, "{lines:?}");
        for line in &lines {
            let ours = line.split(['#', '|', '&']).next().unwrap_or_default();
            let parsed = Cli::try_parse_from(ours.split_whitespace());
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn help_fits_80_columns() {
        let mut cli = <Cli as clap::CommandFactory>::command().term_width(80);
        cli.build();
        for command in cli.get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            let long: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(long.is_empty(), "{}: {long:#?}", command.get_name());
        }
    }

    #[test]
    fn the_colour_is_known_before_the_rest_is_read() {
        for (line, expected) in [
            ("fleetdns status", None),
            ("fleetdns --color never -h", Some(ColorChoice::Never)),
            ("fleetdns status --color=always --nosuch", Some(ColorChoice::Always)),
            ("fleetdns status --color", None),
            ("fleetdns status --colour never", None),
            ("fleetdns why --color=green", None),
        ] {
            assert_eq!(color(&line.split(' ').map(OsString::from).collect::<Vec<_>>()), expected, "{line}");
        }
    }
}
