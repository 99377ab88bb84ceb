//! The DNS servers and services that are written, each with an empty zone.

use std::any::Any;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use fleetdns_fakes::webhook::Webhook;
use fleetdns_tests::cloud::{Azure, Cloud, Route53};
use fleetdns_tests::conf::ZONE;
use fleetdns_tests::coredns::CoreDns;
use fleetdns_tests::nameserver::{KEY, NameServer, Rights, SECRET, Software};
use fleetdns_tests::ports;

use crate::zone::Zone;

/// A row of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    CoreDnsEtcd,
    CoreDnsFile,
    Bind,
    Knot,
    PowerDns,
    Embedded,
    Azure,
    Route53,
    Webhook,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::CoreDnsEtcd,
        Self::CoreDnsFile,
        Self::Bind,
        Self::Knot,
        Self::PowerDns,
        Self::Embedded,
        Self::Azure,
        Self::Route53,
        Self::Webhook,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CoreDnsEtcd => "CoreDNS, etcd",
            Self::CoreDnsFile => "CoreDNS, zone file",
            Self::Bind => "BIND",
            Self::Knot => "Knot",
            Self::PowerDns => "PowerDNS",
            Self::Embedded => "embedded server",
            Self::Azure => Azure::NAME,
            Self::Route53 => Route53::NAME,
            Self::Webhook => "webhook",
        }
    }

    /// Whether the changed answer is what a strict server holds, as nothing there answers DNS.
    pub(crate) fn is_held(self) -> bool {
        matches!(self, Self::Azure | Self::Route53 | Self::Webhook)
    }
}

/// A running one. Dropping it ends it.
pub(crate) struct Backend {
    pub(crate) zone: Arc<Zone>,
    /// The zone section of `dns.conf`.
    pub(crate) keys: String,
    /// After so long without calls its rate limits are as they were in the beginning.
    pub(crate) rest: Duration,
    _servers: Option<Box<dyn Any>>,
}

impl Backend {
    pub(crate) async fn start(kind: Kind) -> Self {
        match kind {
            Kind::CoreDnsEtcd => {
                let coredns = CoreDns::with_etcd(&[ZONE]).await;
                let keys = format!("provider = coredns\netcd-endpoints = {}\n", coredns.etcd_endpoint());
                Self::of(Zone::Dns(coredns.address()), keys).with(coredns)
            }
            Kind::CoreDnsFile => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let file = folder.path().join("zone");
                let text =
                    format!("$ORIGIN {ZONE}.\n@ 60 IN SOA ns hostmaster 7 60 60 600 30\n@ 60 IN NS ns\n");
                fs::write(&file, text).expect("the folder can be written to");
                let coredns = CoreDns::with_zone_file(ZONE, &file).await;
                let keys = format!("provider = coredns\nzone-file = {}\n", file.display());
                Self::of(Zone::Dns(coredns.address()), keys).with((coredns, folder))
            }
            Kind::Bind => Self::name_server(Software::Bind).await,
            Kind::Knot => Self::name_server(Software::Knot).await,
            Kind::PowerDns => Self::name_server(Software::PowerDns).await,
            Kind::Embedded => {
                let address = ports::free_address();
                let keys = format!("provider = embedded\nlisten = {address}\nns = ns1.{ZONE} 127.0.0.1\n");
                Self::of(Zone::Dns(address), keys)
            }
            Kind::Azure => {
                let azure = Azure::start().await;
                let keys = azure.conf();
                Self { rest: Azure::REST, ..Self::of(Zone::Azure(azure), keys) }
            }
            Kind::Route53 => {
                let route53 = Route53::start().await;
                let keys = route53.conf();
                Self { rest: Route53::REST, ..Self::of(Zone::Route53(route53), keys) }
            }
            Kind::Webhook => {
                let webhook = Webhook::with_zone(ZONE).await;
                let keys = format!("provider = webhook\nurl = {}\n", webhook.url);
                Self::of(Zone::Webhook(webhook), keys)
            }
        }
    }

    async fn name_server(software: Software) -> Self {
        let server = NameServer::start(software, ZONE, Rights::default()).await;
        let keys = format!(
            "provider = rfc2136\nserver = {}\ntsig-key-name = {KEY}\ntsig-secret = {SECRET}\n",
            server.address()
        );
        Self::of(Zone::Dns(server.address()), keys).with(server)
    }

    fn of(zone: Zone, keys: String) -> Self {
        Self { zone: Arc::new(zone), keys, rest: Duration::ZERO, _servers: None }
    }

    fn with(self, servers: impl Any) -> Self {
        Self { _servers: Some(Box::new(servers)), ..self }
    }
}
