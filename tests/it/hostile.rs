//! Which test shows which point: tenants, members, backends and clients that are hostile or broken.
//!
//! Tests of this folder use real sockets, and most measure the victim's time beside that without the attacker. The others
//! are named with their crate: strict servers of our own (`providers/*/tests`), simulated time, and files.
//!
//! **Text and sizes**
//!
//! | point | test |
//! |---|---|
//! | names, node labels and annotations that end a key, a line, a mark or a text: etcd, zone file, state file, BIND; a restart | `hostile_text` |
//! | the same in the writers and readers alone | property tests of the providers and of `core::ownership` |
//! | terminal text and forged lines in `status`, in the log as text and as JSON | `hostile_members`, `hostile_backends`, `hostile_etcd`; `hostile_text` |
//! | large annotations, meaningless and bad ones | `hostile_members`, `hostile_tenant` |
//! | endless lists, unpacked bombs, objects beyond a limit | `hostile_members` |
//! | answers of backends: bombs, endless, values, pauses | `hostile_backends`; providers/azure, `limits` |
//! | well-formed hostile keys and values in CoreDNS's etcd | `hostile_etcd` |
//!
//! **Names**
//!
//! | point | test |
//! |---|---|
//! | reserved names, names of others, rules of `[hostnames]`, the line that allows it, `check` and `status` | `hostile_names::a_tenant_…` |
//! | a federation name asked for before its Service exists; one above those of a namespace, on CoreDNS's etcd | `hostile_names::a_tenant_…`; `hostile_tenant` |
//! | name servers that lie in another zone | daemon, `zone::tests::refused` |
//! | shared names | `hostile_names::services_share_…` |
//! | a name over an absence and a restart | `hostile_names::a_name_stays_…` |
//! | what decides where nothing remembers, and that it is said | planner, `planner::tests::holder` |
//!
//! **Addresses and probes**
//!
//! | point | test |
//! |---|---|
//! | denied addresses in a status or an annotation, their mapped forms, the hosts file | `hostile_tenant`; core, `policy` |
//! | denied addresses, and very many, that a host name resolves to | `hostile_resolving::what_a_name_…` |
//! | the daemon's own listeners, by address and by name; in every form | `hostile_resolving::what_a_name_…`; core, `policy` |
//! | Host, port and interval of a probe; probes of one namespace, at one address and in all | `hostile_probes` |
//! | TTLs of names that are resolved, and their bounds | probe, `resolve` |
//!
//! **Fair shares**
//!
//! | point | test |
//! |---|---|
//! | thousands of names, rollouts that never answer, mass deletions: the victim's times | `hostile_tenant` |
//! | names at a silent name server; answers that always change | `hostile_resolving` |
//! | events, log lines, the journal and the audit file | `hostile_noise` |
//! | a hostile tenant among random faults, and the law that others keep their times | daemon, `--test simulation` (`victim`) |
//!
//! **Listeners**
//!
//! | point | test |
//! |---|---|
//! | idle and unfinished connections, descriptors, Host and Origin | `hostile_listeners` |
//! | responses to the embedded DNS, its rates and connections | providers/embedded, `tests/it` (`hostile`) |
//! | `LimitCORE=0` | daemon, `config::tests::files` |
//!
//! **Small**
//!
//! | point | test |
//! |---|---|
//! | files with secrets that others can read | daemon, `config::tests::locate` |
//! | a Secret that runs a command, or takes the name or the API server of a member | `e2e_discovery` |
//! | tokens that a server echoes | `hostile_members`, `hostile_backends` |
//! | key ids of AWS | core, `text` |
//! | temporary files of a crash | providers/embedded, `tests/it` (`state`) |
//! | 300,000 equal keys | daemon, `config::ini::tests` |
//! | signed transfers: unsigned messages, changed ones, sizes | providers/rfc2136, `tests/it` and `chain` |
//! | limits of SECURITY.md and their values | `fleetdns_tests`, `limits_table` |
