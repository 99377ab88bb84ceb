//! What `fleetdns check` finds.

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use fleetdns_core::{DnsName, Finding, ProviderError};

use super::{EtcdZone, kv};

impl EtcdZone {
    pub(super) async fn check_all(&self, suffix: &DnsName) -> Vec<Finding> {
        let version = self.version().await;
        let reached = version.is_ok();
        let mut findings = vec![finding(version)];
        if reached {
            findings.extend(self.reading().await);
            findings.push(finding(self.writing(suffix).await));
            findings.push(Finding { good: true, text: self.corefile() });
        }
        findings
    }

    async fn version(&self) -> Result<String, ProviderError> {
        let status = self.link.call(|mut client| async move { client.status().await }).await;
        match status {
            Ok(status) => {
                let endpoints = self.link.settings().endpoints.join(", ");
                Ok(format!("etcd {} answers ({endpoints})", status.version()))
            }
            Err(fault) => Err(fault.into_error("tell its version")),
        }
    }

    async fn reading(&self) -> Vec<Finding> {
        let zone = self.layout.zone();
        match self.list_at_one_revision().await {
            Ok(listing) => {
                let (names, ours) = (listing.observed.iter().count(), listing.observed.owned().count());
                let text = format!("zone {zone} can be read: {names} names, {ours} of them ours");
                let bad = listing.unreadable.into_iter().map(|text| Finding { good: false, text });
                std::iter::once(Finding { good: true, text }).chain(bad).collect()
            }
            Err(fault) => vec![finding(Err(fault.into_error("list the zone")))],
        }
    }

    /// Asks for a write on a condition that is never true: etcd looks at the right first.
    async fn writing(&self, suffix: &DnsName) -> Result<String, ProviderError> {
        let key = self.layout.key(suffix) + "/fleetdns-check";
        let never = Compare::create_revision(key.as_str(), CompareOp::Less, 0);
        let transaction = Txn::new().when([never]).and_then([TxnOp::put(key, "{}", None)]);
        let answer = self
            .link
            .call(|client| {
                let (mut kv, transaction) = (kv(&client), transaction.clone());
                async move { kv.txn(transaction).await }
            })
            .await;
        match answer {
            Ok(_) => Ok(format!("zone {} can be written below {suffix}", self.layout.zone())),
            Err(fault) => Err(fault.into_error("write the zone")),
        }
    }

    fn corefile(&self) -> String {
        let settings = self.link.settings();
        let path = if settings.path.is_empty() { "/" } else { &settings.path };
        let endpoints = settings.endpoints.join(" ");
        format!(
            "CoreDNS serves it when its Corefile has: etcd {} {{ path {path} endpoint {endpoints} }}",
            self.layout.zone()
        )
    }
}

fn finding(result: Result<String, ProviderError>) -> Finding {
    match result {
        Ok(text) => Finding { good: true, text },
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text = format!("{text}: {error}");
                source = error.source();
            }
            Finding { good: false, text }
        }
    }
}
