//! One question for the addresses of a name.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fleetdns_core::DnsName;
use fleetdns_core::address::usable;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::resolve::{Families, Family, LONGEST_LOOKUP};

/// For one question to one server.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Both families have to answer within this.
const DEADLINE: Duration = LONGEST_LOOKUP;

/// Asks the name servers given, or those of the system.
#[derive(Clone)]
pub(crate) struct NameServers(Result<TokioResolver, String>);

impl NameServers {
    pub(crate) fn new(servers: &[SocketAddr]) -> Self {
        Self::with_timeout(servers, TIMEOUT)
    }

    fn with_timeout(servers: &[SocketAddr], timeout: Duration) -> Self {
        let builder = if servers.is_empty() {
            TokioResolver::builder_tokio()
        } else {
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
            Ok(TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()))
        };
        let resolver = builder.and_then(|mut builder| {
            options(builder.options_mut(), timeout);
            builder.build()
        });
        // Addresses are probed all the same: only host names are of no use now, and say so each time.
        Self(resolver.map_err(|error| format!("no name servers are known: {error}")))
    }

    pub(crate) async fn lookup(self, name: DnsName) -> (DnsName, Families) {
        let resolver = match &self.0 {
            Ok(resolver) => resolver,
            Err(why) => return (name, (Family::Failed(why.clone()), Family::Failed(why.clone()))),
        };
        // With its final dot: the system's search list is not for names that a load balancer gave.
        let absolute = format!("{name}.");
        let both = async {
            tokio::join!(
                resolver.lookup(absolute.as_str(), RecordType::A),
                resolver.lookup(absolute.as_str(), RecordType::AAAA)
            )
        };
        let answer = match tokio::time::timeout(DEADLINE, both).await {
            Ok((v4, v6)) => (family(v4), family(v6)),
            Err(_) => (no_answer(), no_answer()),
        };
        (name, answer)
    }
}

fn no_answer() -> Family {
    Family::Failed(format!("no answer from the name servers within {DEADLINE:?}"))
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn options(options: &mut ResolverOpts, timeout: Duration) {
    options.timeout = timeout;
    options.attempts = 2;
    // The TTL is kept to here; and a second question that confirms the first has to be a real one.
    options.cache_size = 0;
    options.preserve_intermediates = true;
    // What this machine's own files say of a name is not what its clients find.
    options.use_hosts_file = ResolveHosts::Never;
    options.max_active_requests = 512;
}

fn family(answer: Result<Lookup, NetError>) -> Family {
    let error = match answer {
        Ok(lookup) => return found(&lookup),
        Err(error) => error,
    };
    match &error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            // Name servers without a SOA are a referral: the server asked is the wrong one (RFC 2308 §2.2).
            let referral = none.soa.is_none() && none.ns.as_ref().is_some_and(|servers| !servers.is_empty());
            match none.response_code {
                ResponseCode::NXDomain | ResponseCode::NoError if !referral => Family::Empty,
                code => Family::Failed(format!("the name servers answered {code}")),
            }
        }
        NetError::Dns(DnsError::ResponseCode(code)) => {
            Family::Failed(format!("the name servers answered {code}"))
        }
        NetError::Timeout => Family::Failed("no answer from the name servers".to_owned()),
        other => Family::Failed(other.to_string()),
    }
}

fn found(lookup: &Lookup) -> Family {
    let addresses: BTreeSet<IpAddr> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(ip) => Some(IpAddr::V4(ip.0)),
            RData::AAAA(ip) => Some(IpAddr::V6(ip.0)),
            _ => None,
        })
        .filter(|ip| usable(*ip).is_ok())
        .collect();
    if addresses.is_empty() {
        return Family::Empty;
    }
    let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or_default();
    Family::Found(addresses, Duration::from_secs(u64::from(ttl)))
}

#[cfg(test)]
mod tests;
