//! Which test shows which point of SECURITY.md: tenants, members, backends and clients that are hostile or broken.
//!
//! | point | test |
//! |---|---|
//! | names and labels from an API, forged lines, marks and terminal text | `hostile_members` |
//! | large annotations, endless lists, unpacked bombs, objects beyond a limit | `hostile_members` |
//! | answers of backends: bombs, endless, values, echoed secrets, pauses | `hostile_backends`; providers/azure `limits` |
//! | well-formed hostile keys and values in CoreDNS's etcd | `hostile_etcd` |
//! | text that breaks out of keys, values, the state file, the zone file, marks | property tests of the providers and of `core::ownership` |
//! | reserved names, names of others, rules of `[hostnames]`, `check` and `status` | `hostile_names::a_tenant_…` |
//! | name servers that lie in another zone | daemon, `zone::tests::refused` |
//! | shared names | `hostile_names::services_share_…` |
//! | a name over an absence and a restart | `hostile_names::a_name_stays_…` |
//! | denied addresses, their mapped forms, the hosts file | `hostile_tenant`; core, `policy` |
//! | thousands of names, rollouts that never answer, mass deletions: the victim's times | `hostile_tenant` |
//! | a hostile tenant among random faults, and the law that others keep their times | daemon, `--test simulation` (`victim`) |
//! | probes, lookups, log lines and events of one namespace | probe, `budget`, `names`; core, `lines`; daemon, `journal` |
//! | idle and unfinished connections, descriptors, Host and Origin | `hostile_listeners` |
//! | responses to the embedded DNS, its rates and connections | providers/embedded, `tests/it` |
//! | signed transfers: unsigned messages, changed ones | providers/rfc2136, `tests/it` and `chain` |
//! | limits of SECURITY.md and their values | `fleetdns_tests`, `limits_table` |
