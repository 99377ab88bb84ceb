//! Everything that needs real servers; `tests/setup` builds them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_input;
mod e2e_adopt;
mod e2e_adopt_external_dns;
mod e2e_api_away;
mod e2e_commands;
mod e2e_deployment;
mod e2e_discovery;
mod e2e_endpoint;
mod e2e_etcd_away;
mod e2e_faults;
mod e2e_journey;
mod e2e_members;
mod e2e_others;
mod e2e_overrides;
mod e2e_providers;
mod e2e_rebuilt;
mod e2e_reload;
mod e2e_replicas;
mod e2e_restart;
mod e2e_rfc2136;
mod e2e_route53;
mod e2e_webhook;
mod e2e_why;
mod harness;
mod hostile;
mod hostile_backends;
mod hostile_etcd;
mod hostile_listeners;
mod hostile_members;
mod hostile_names;
mod hostile_noise;
mod hostile_probes;
mod hostile_resolving;
mod hostile_tenant;
mod hostile_text;
