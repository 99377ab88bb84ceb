//! Keys of a zone section that uses the embedded server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use fleetdns_core::DnsName;
use fleetdns_core::keys::{KeyFault, KeySpec, Keys};
use hickory_proto::rr::Name;

use crate::wire;

const fn key(name: &'static str, help: &'static str) -> KeySpec {
    KeySpec { name, secret: false, help }
}

/// The keys that [`Servers::connect`](crate::Servers::connect) reads.
pub const KEYS: &[KeySpec] = &[
    key(
        "listen",
        "address and port of the DNS server, UDP and TCP; zones with the same one share it (127.0.0.1:5353)",
    ),
    key("ns", "name servers of the zone, each with its addresses when it lies in the zone (ns1.ZONE)"),
    key("contact", "mail address in the zone's SOA record (hostmaster@ZONE)"),
    key("state-file", "file that keeps the records over a restart (none)"),
];

/// Where a zone is served that says nothing of it.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5353);

/// A name server of the zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameServer {
    pub(crate) name: DnsName,
    pub(crate) target: Name,
    /// Its addresses, when the zone has to tell them and the section or `listen` says them.
    pub(crate) glue: Vec<IpAddr>,
}

/// What one zone section says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) zone: DnsName,
    pub(crate) apex: Name,
    pub(crate) listen: SocketAddr,
    /// Never empty.
    pub(crate) servers: Vec<NameServer>,
    pub(crate) contact: Name,
    pub(crate) state_file: Option<PathBuf>,
}

impl Settings {
    /// Reads a section; all its faults at once.
    pub(crate) fn read(zone: &DnsName, keys: &Keys) -> Result<Self, Vec<KeyFault>> {
        let mut faults = Vec::new();
        let right = "an IP address and a port, such as 127.0.0.1:5353";
        let listen = keys.parse("listen", right, &mut faults);
        let listen = if keys.get("listen").is_some() { listen } else { Some(DEFAULT_LISTEN) };
        let servers = name_servers(zone, keys, listen, &mut faults);
        let contact = keys.get("contact").map_or_else(|| format!("hostmaster@{zone}"), str::to_owned);
        let contact = or_fault("contact", mailbox(&contact), &mut faults);
        let apex = or_fault("listen", wire::to_message(zone).map_err(|e| e.to_string()), &mut faults);
        let state_file = keys.get("state-file").filter(|path| !path.is_empty()).map(PathBuf::from);
        match (listen, contact, apex) {
            (Some(listen), Some(contact), Some(apex)) if faults.is_empty() => {
                Ok(Self { zone: zone.clone(), apex, listen, servers, contact, state_file })
            }
            _ => Err(faults),
        }
    }

    /// Addresses by name of those name servers that lie in the zone.
    pub(crate) fn glue(&self) -> BTreeMap<&DnsName, Vec<IpAddr>> {
        let mut glue: BTreeMap<&DnsName, Vec<IpAddr>> = BTreeMap::new();
        for server in self.servers.iter().filter(|server| server.name.is_within(&self.zone)) {
            glue.entry(&server.name).or_default().extend(&server.glue);
        }
        glue
    }
}

fn or_fault<T>(key: &str, value: Result<T, String>, faults: &mut Vec<KeyFault>) -> Option<T> {
    value.map_err(|problem| faults.push(KeyFault { key: key.to_owned(), problem })).ok()
}

fn name_servers(
    zone: &DnsName,
    keys: &Keys,
    listen: Option<SocketAddr>,
    faults: &mut Vec<KeyFault>,
) -> Vec<NameServer> {
    let default = format!("ns1.{zone}");
    let mut given = keys.list("ns");
    if given.is_empty() {
        given.push(&default);
    }
    let own = listen.map(|listen| listen.ip()).filter(|ip| !ip.is_unspecified());
    let read = given.into_iter().map(|text| name_server(zone, text, own));
    read.filter_map(|server| or_fault("ns", server, faults)).collect()
}

/// `NAME [ADDRESS …]`.
fn name_server(zone: &DnsName, text: &str, own: Option<IpAddr>) -> Result<NameServer, String> {
    let right = "a name server is a host name, with its addresses when it lies in the zone; for example \
                 ns = ns1.example.com 203.0.113.53, ns.example.net";
    let mut words = text.split_whitespace();
    let name: DnsName = words.next().unwrap_or_default().parse().map_err(|e| format!("{e}; {right}"))?;
    let mut glue = Vec::new();
    for word in words {
        glue.push(word.parse().map_err(|_| format!("'{word}' is not an IP address; {right}"))?);
    }
    if name.is_wildcard() {
        return Err(format!("'{name}' is a wildcard; {right}"));
    }
    if !name.is_within(zone) && !glue.is_empty() {
        return Err(format!("'{name}' lies outside of the zone, its addresses cannot be told here; {right}"));
    }
    if glue.is_empty() && name.is_within(zone) {
        glue.extend(own);
    }
    let target = wire::to_message(&name).map_err(|e| format!("{e}; {right}"))?;
    Ok(NameServer { name, target, glue })
}

/// `user@domain` as a name: the part before the `@` is one label, dots and all (RFC 1035 §8).
fn mailbox(text: &str) -> Result<Name, String> {
    let wrong = || format!("'{text}' is not a mail address, such as hostmaster@example.com");
    let (user, domain) = text.split_once('@').ok_or_else(wrong)?;
    let domain: DnsName = domain.parse().map_err(|_| wrong())?;
    let labels = std::iter::once(user).chain(domain.labels()).map(str::as_bytes);
    Name::from_labels(labels).ok().filter(|_| !user.is_empty()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<KeyFault>> {
        let keys = Keys::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        Settings::read(&"example.com".parse().unwrap(), &keys)
    }

    #[test]
    fn an_empty_section_is_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:5353");
        assert_eq!(settings.servers[0].name.as_str(), "ns1.example.com");
        assert_eq!(settings.servers[0].glue, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(settings.contact.to_ascii(), "hostmaster.example.com.");
        assert!(read(&[("listen", "0.0.0.0:53")]).unwrap().servers[0].glue.is_empty());
    }

    #[test]
    fn name_servers_have_addresses_inside_of_the_zone_only() {
        let ns = "ns1.example.com 203.0.113.53 2001:db8::53, ns.example.net";
        let settings = read(&[("ns", ns), ("contact", "a.b@example.com")]).unwrap();
        assert_eq!(settings.glue().len(), 1);
        assert_eq!(settings.servers[0].glue.len(), 2);
        assert_eq!(settings.contact.to_ascii(), "a\\.b.example.com.");
    }

    #[test]
    fn all_faults_are_told_at_once_with_what_would_be_right() {
        let bad =
            [("listen", "localhost"), ("ns", "a..b, x.org 192.0.2.1, *.example.com"), ("contact", "me")];
        let faults = read(&bad).unwrap_err();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, ["listen", "ns", "ns", "ns", "contact"]);
        for fault in faults {
            assert!(fault.problem.contains("such as") || fault.problem.contains("for example"), "{fault:?}");
        }
    }
}
