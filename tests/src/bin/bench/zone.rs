//! A zone, and what it answers or holds for a name.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use fleetdns_fakes::webhook::Webhook;
use fleetdns_tests::cloud::{Azure, Cloud as _, Route53};
use fleetdns_tests::dns;

/// Where the addresses of a name are seen.
pub(crate) enum Zone {
    /// A DNS server that is asked.
    Dns(SocketAddr),
    /// Strict servers that answer no DNS: their record sets are looked up.
    Azure(Azure),
    Route53(Route53),
    Webhook(Webhook),
}

impl Zone {
    /// The IPv4 addresses of a name, or why they are not known.
    pub(crate) async fn addresses(&self, name: &str) -> Result<BTreeSet<String>, String> {
        Ok(match self {
            Self::Dns(server) => {
                let answer = dns::query(*server, name, "A").await;
                answer.map_err(|error| error.to_string())?.values("A")
            }
            Self::Azure(azure) => azure.addresses([name]).remove(0),
            Self::Route53(route53) => route53.addresses([name]).remove(0),
            Self::Webhook(webhook) => {
                let endpoint = webhook.get(name, "A").unwrap_or_default();
                let targets = endpoint["targets"].as_array().into_iter().flatten();
                targets.filter_map(|target| target.as_str().map(str::to_owned)).collect()
            }
        })
    }
}
