//! What `fleetdns check` finds.

use std::error::Error;
use std::net::Ipv4Addr;

use fleetdns_core::{DnsName, Finding, NonEmpty, ObservedSet, ProviderError, RecordData, RecordSet, Ttl};
use serde::Deserialize;

use crate::error::{Fault, Kind};
use crate::provider::AzureZone;
use crate::settings::Service;

/// Most names of ours with which the right to write is tried.
const SAMPLES: usize = 3;

#[derive(Debug, Deserialize)]
struct Zones {
    #[serde(default)]
    value: Vec<Zone>,
    #[serde(default, rename = "nextLink")]
    next_link: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Zone {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    properties: ZoneProperties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ZoneProperties {
    number_of_record_sets: Option<u64>,
    max_number_of_record_sets: Option<u64>,
    zone_type: Option<String>,
    name_servers: Option<Vec<String>>,
}

impl AzureZone {
    pub(crate) async fn check_all(&self, suffix: &DnsName) -> Vec<Finding> {
        match self.found().await {
            Err(fault) => {
                let elsewhere = if fault.kind == Kind::Missing { self.elsewhere().await } else { None };
                let error = self.arm.error(fault, "read the zone");
                std::iter::once(bad(&error)).chain(elsewhere).collect()
            }
            Ok(mut findings) => {
                findings.extend(self.reading().await);
                findings.push(self.writing(suffix).await);
                findings
            }
        }
    }

    async fn found(&self) -> Result<Vec<Finding>, Fault> {
        let answer = self.arm.get(self.arm.url(&[])).await?;
        let zone: Zone = serde_json::from_slice(&answer.body)
            .map_err(|error| Fault::away(format!("the answer cannot be read: {error}")))?;
        let ZoneProperties { number_of_record_sets, max_number_of_record_sets, zone_type, name_servers } =
            zone.properties;
        let service = self.arm.settings().service;
        let mut text = format!("{} has the zone {} ({})", service.name(), self.zone, zone.id);
        if let Some(servers) = name_servers.filter(|servers| !servers.is_empty()) {
            text = format!("{text}, served by {}", servers.join(" "));
        }
        let mut findings = vec![good(text)];
        if service == Service::Public && zone_type.is_some_and(|kind| kind.eq_ignore_ascii_case("private")) {
            findings.push(Finding {
                good: false,
                text: format!(
                    "{} is a private zone of the old kind; move it to provider azure-private-dns",
                    self.zone
                ),
            });
        }
        if let (Some(sets), Some(most)) = (number_of_record_sets, max_number_of_record_sets) {
            let text = format!("it has {sets} record sets, and takes {most}");
            findings.push(Finding { good: sets.saturating_mul(10) < most.saturating_mul(9), text });
        }
        Ok(findings)
    }

    /// The zone may be in another group of the subscription.
    async fn elsewhere(&self) -> Option<Finding> {
        let answer = self.arm.get(self.arm.zones_url()).await.ok()?;
        let zones: Zones = serde_json::from_slice(&answer.body).ok()?;
        let found = zones
            .value
            .iter()
            .find(|zone| zone.name.trim_end_matches('.').eq_ignore_ascii_case(self.zone.as_str()));
        let text = match found {
            Some(zone) => {
                format!("there is {}: set zone-id = {} (or its resource-group)", self.zone, zone.id)
            }
            None if zones.next_link.is_some_and(|link| !link.is_empty()) => return None,
            None => format!("none of the {} zones that we may see is {}", zones.value.len(), self.zone),
        };
        Some(Finding { good: false, text })
    }

    async fn reading(&self) -> Vec<Finding> {
        match self.list_all().await {
            Ok(listing) => {
                let (names, ours) = (listing.observed.iter().count(), listing.observed.owned_count());
                let text = format!("zone {} can be read: {names} names, {ours} of them ours", self.zone);
                let odd = listing.unreadable.into_iter().map(|text| Finding { good: false, text });
                std::iter::once(good(text)).chain(odd).collect()
            }
            Err(fault) => vec![bad(&self.arm.error(fault, "list the zone"))],
        }
    }

    /// Tries a new name below `suffix`. A role may be given on single record sets: then a name of ours is enough.
    async fn writing(&self, suffix: &DnsName) -> Finding {
        let Some(sample) = sample(suffix) else {
            return good(format!("{suffix} is too long to try a name below it"));
        };
        let fault = match self.try_write(&sample).await {
            Ok(()) => return good(format!("names below {suffix} can be written")),
            Err(fault) => fault,
        };
        if matches!(fault.kind, Kind::Forbidden(_))
            && let Some(name) = self.some_writable().await
        {
            let problem = fault.problem;
            return good(format!("{name} can be written; a new name below {suffix} cannot: {problem}"));
        }
        bad(&self.arm.error(fault, "write the zone"))
    }

    /// A name of ours that can be written, out of the first ones.
    async fn some_writable(&self) -> Option<DnsName> {
        let ours: Vec<RecordSet> = {
            let seen = self.seen();
            let sets =
                seen.observed().iter().flat_map(|(name, sets)| sets.iter().map(move |set| (name, set)));
            let set = |(name, set): (&DnsName, &ObservedSet)| {
                Some(RecordSet { name: name.clone(), ttl: set.ttl, data: set.ours()?.clone() })
            };
            sets.filter_map(set).take(SAMPLES).collect()
        };
        for set in ours {
            if self.try_write(&set).await.is_ok() {
                return Some(set.name);
            }
        }
        None
    }
}

/// A set that is never written.
fn sample(suffix: &DnsName) -> Option<RecordSet> {
    let name = suffix.prepend("_fleetdns-check").ok()?;
    let data = RecordData::A(NonEmpty::new([Ipv4Addr::new(192, 0, 2, 1)])?);
    Some(RecordSet { name, ttl: Ttl::DEFAULT, data })
}

const fn good(text: String) -> Finding {
    Finding { good: true, text }
}

fn bad(error: &ProviderError) -> Finding {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    Finding { good: false, text }
}
