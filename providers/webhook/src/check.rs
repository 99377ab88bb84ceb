//! Whether the zone can be read and written, as far as that can be said without changing it.

use std::error::Error as StdError;

use fleetdns_core::{DnsName, Finding};

use crate::changes::key;
use crate::error::{Action, Fault};
use crate::filter::Reach;
use crate::ownership::mark_name;
use crate::webhook::Webhook;
use crate::wire::Endpoint;

/// What the protocol does not promise, and what is done instead.
const WEAK: &str = "the protocol has no conditions, no partial results and no versions: each write reads the records \
     before and after it, and what somebody else writes in the moment between may be lost; whether it may write is only \
     known once it has to";

impl Webhook {
    pub(crate) async fn check_all(&self, suffix: &DnsName) -> Vec<Finding> {
        let url = &self.link.settings.url;
        let mut findings = Vec::new();
        let filter = match self.link.negotiate().await {
            Ok(filter) => filter,
            Err(fault) => return vec![self.bad(fault, Action::Negotiate)],
        };
        let shown = filter.shown();
        findings.push(match filter.reach(&self.zone, &self.owner) {
            Reach::All => good(format!("{url} serves {} (domain filter: {shown})", self.zone)),
            Reach::Some => good(format!("{url} serves some names of {} (domain filter: {shown})", self.zone)),
            Reach::None => self.bad(self.left_out(&filter), Action::Negotiate),
        });
        match self.read().await {
            Ok(view) => {
                findings.push(good(format!("{url} lists {} record sets of {}", view.count(), self.zone)));
            }
            Err((fault, action)) => {
                findings.push(self.bad(fault, action));
                return findings;
            }
        }
        findings.extend(self.try_to_adjust(suffix).await);
        findings.push(good(WEAK.to_owned()));
        findings
    }

    /// Asks what it would make of one record of each type.
    async fn try_to_adjust(&self, suffix: &DnsName) -> Vec<Finding> {
        let samples = samples(suffix);
        let answers = match self.link.adjust(&samples).await {
            Ok(answers) => answers,
            Err(fault) => return vec![self.bad(fault, Action::Adjust)],
        };
        let url = &self.link.settings.url;
        let of = |sample: &Endpoint| answers.iter().find(|answer| key(answer) == key(sample));
        let missing: Vec<&str> =
            samples.iter().filter(|one| of(one).is_none()).map(|one| one.record_type.as_str()).collect();
        let mut findings = vec![if missing.contains(&"TXT") {
            let text =
                format!("{url} takes no TXT records, in which ownership is kept; nothing can be written");
            Finding { good: false, text }
        } else if missing.is_empty() {
            good(format!("{url} takes A, AAAA, CNAME and TXT records"))
        } else {
            good(format!(
                "{url} takes no {} records; names that need them are refused",
                missing.join(" and ")
            ))
        }];
        let ttl = samples
            .iter()
            .filter_map(|one| Some((one, of(one)?)))
            .find(|(one, answer)| one.record_type != "TXT" && one.record_ttl != answer.record_ttl);
        findings.extend(ttl.map(|(one, answer)| {
            good(format!("{url} makes a TTL of {} s out of {} s", answer.record_ttl, one.record_ttl))
        }));
        findings
    }

    fn bad(&self, fault: Fault, action: Action) -> Finding {
        let error = self.link.error(fault, action);
        let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
        Finding { good: false, text: format!("{error}{cause}") }
    }
}

fn good(text: String) -> Finding {
    Finding { good: true, text }
}

/// One of each type, at names that nobody has.
fn samples(suffix: &DnsName) -> Vec<Endpoint> {
    let endpoint = |name: DnsName, record_type: &str, target: &str| Endpoint {
        dns_name: name.to_string(),
        record_type: record_type.to_owned(),
        targets: vec![target.to_owned()],
        record_ttl: 30,
        ..Endpoint::default()
    };
    let (Ok(name), Ok(alias)) = (suffix.prepend("fleetdns-check"), suffix.prepend("fleetdns-check-alias"))
    else {
        return Vec::new();
    };
    let mark = mark_name(&name).ok();
    let mark = mark.map(|at| endpoint(at, "TXT", "\"v=1 owner=check service=fleetdns/check\""));
    [
        endpoint(name.clone(), "A", "192.0.2.1"),
        endpoint(name, "AAAA", "2001:db8::1"),
        endpoint(alias, "CNAME", "name.example.net"),
    ]
    .into_iter()
    .chain(mark)
    .collect()
}
