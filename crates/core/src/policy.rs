//! Which addresses may be published and probed.
//!
//! Invariant: an address is looked at as what it is and as every IPv4 address that a gateway would make of it.
//! Invariant: the most specific network decides, the operator's before a built-in one of the same length.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

use crate::member_name::MemberName;
use crate::probe::{Guard, ProbeSpec};

/// What an operator says of addresses, over the built-in list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Networks that are denied beside the built-in ones.
    pub deny: Vec<IpNet>,
    /// Networks that are allowed though a wider one is denied.
    pub allow: Vec<IpNet>,
    /// Nothing is denied.
    unrestricted: bool,
}

/// An address that must not be published or probed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressDenied {
    /// By its network.
    #[error("{address} is denied: {why}; address-allow = {} allows it", network(.address))]
    Network {
        /// The address.
        address: IpAddr,
        /// Which kind of address it is, or which key denies it.
        why: Why,
    },
    /// Because the daemon itself answers there.
    #[error("{0} is denied: fleetdns itself listens there")]
    Listener(SocketAddr),
}

/// Why an address is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// By a built-in network.
    BuiltIn(&'static str),
    /// By `address-deny`.
    Configured(IpNet),
    /// Because of the IPv4 address in it.
    Embedded(Ipv4Addr, Box<Self>),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(what) => f.write_str(what),
            Self::Configured(network) => write!(f, "address-deny has {network}"),
            Self::Embedded(address, why) => write!(f, "it stands for {address}, {why}"),
        }
    }
}

fn network(address: &IpAddr) -> IpNet {
    IpNet::from(*address)
}

/// What is denied unless it is allowed: no client from elsewhere can use it, or it shows the secrets of the machine that
/// the daemon runs on.
const BUILT_IN_4: [(Ipv4Net, &str); 8] = [
    (v4([0, 0, 0, 0], 8), "an unspecified address"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    (v4([169, 254, 0, 0], 16), "a link-local address"),
    (v4([169, 254, 169, 254], 32), "the metadata service of clouds"),
    (v4([100, 100, 100, 200], 32), "the metadata service of Alibaba Cloud"),
    (v4([168, 63, 129, 16], 32), "the wire server of Azure"),
    (v4([192, 0, 0, 192], 32), "the metadata service of Oracle Cloud"),
    (v4([224, 0, 0, 0], 3), "a multicast or reserved address"),
];
const BUILT_IN_6: [(Ipv6Net, &str); 10] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "the unspecified address"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "the loopback address"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "a link-local address"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "a multicast address"),
    (v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0], 32), "the metadata and other services of AWS"),
    (v6([0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), "the metadata service of Oracle Cloud"),
    (v6([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x42], 128), "the metadata service of Scaleway"),
    (v6([0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 0x1], 128), "the metadata service of Akamai"),
    (v6([0xfd00, 0x0100, 0, 0, 0, 0, 0x0100, 0x0200], 128), "the metadata service of Alibaba Cloud"),
    (v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x254], 128), "the metadata service of Google Cloud"),
];

const fn v4(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(parts: [u16; 8], length: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = parts;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length)
}

impl AddressPolicy {
    /// From networks.
    pub const fn new(deny: Vec<IpNet>, allow: Vec<IpNet>) -> Self {
        Self { deny, allow, unrestricted: false }
    }

    /// Denies nothing.
    pub const fn unrestricted() -> Self {
        Self { deny: Vec::new(), allow: Vec::new(), unrestricted: true }
    }

    /// Whether an address may be published and probed.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressDenied> {
        let denied = |why| Err(AddressDenied::Network { address, why });
        if self.unrestricted {
            return Ok(());
        }
        match self.verdict(address) {
            Verdict::Denied(why) => return denied(why),
            Verdict::Allowed => return Ok(()),
            Verdict::Open => {}
        }
        let IpAddr::V6(six) = address else { return Ok(()) };
        for four in embedded(six) {
            if let Verdict::Denied(why) = self.verdict(four.into()) {
                return denied(Why::Embedded(four, Box::new(why)));
            }
        }
        Ok(())
    }

    fn verdict(&self, address: IpAddr) -> Verdict {
        let longest = |networks: &[IpNet]| {
            let hits = networks.iter().filter(|network| network.contains(&address));
            hits.max_by_key(|network| network.prefix_len()).copied()
        };
        let (deny, allow, built_in) = (longest(&self.deny), longest(&self.allow), built_in(address));
        let length = |network: Option<IpNet>| network.map(|network| network.prefix_len());
        if let Some(network) = deny.filter(|_| length(deny) >= length(allow)) {
            return Verdict::Denied(Why::Configured(network));
        }
        match built_in {
            Some((prefix, what)) if length(allow).is_none_or(|length| length < prefix) => {
                Verdict::Denied(Why::BuiltIn(what))
            }
            _ if allow.is_some() => Verdict::Allowed,
            _ => Verdict::Open,
        }
    }
}

enum Verdict {
    Denied(Why),
    /// The operator says so.
    Allowed,
    /// Nobody says anything.
    Open,
}

fn built_in(address: IpAddr) -> Option<(u8, &'static str)> {
    match address {
        IpAddr::V4(ip) => {
            let hits = BUILT_IN_4.iter().filter(|(network, _)| network.contains(&ip));
            hits.map(|(network, what)| (network.prefix_len(), *what)).max_by_key(|(length, _)| *length)
        }
        IpAddr::V6(ip) => {
            let hits = BUILT_IN_6.iter().filter(|(network, _)| network.contains(&ip));
            hits.map(|(network, what)| (network.prefix_len(), *what)).max_by_key(|(length, _)| *length)
        }
    }
}

/// The IPv4 addresses that hosts or gateways may make of an IPv6 address: mapped and compatible (RFC 4291 §2.5.5), 6to4
/// (RFC 3056), and NAT64 by the well-known and the local-use prefix (RFC 6052, RFC 8215), whose own prefix may be as long
/// as /48, /56, /64 or /96.
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let octets = address.octets();
    let four = |at: [usize; 4]| {
        let [a, b, c, d] = at.map(|at| octets.get(at).copied().unwrap_or_default());
        Ipv4Addr::new(a, b, c, d)
    };
    let last = four([12, 13, 14, 15]);
    match address.segments() {
        // Both are denied as what they are.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => vec![last],
        [0x2002, ..] => vec![four([2, 3, 4, 5])],
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => vec![last],
        [0x64, 0xff9b, 1, ..] => {
            let all = [last, four([6, 7, 9, 10]), four([7, 9, 10, 11]), four([9, 10, 11, 12])];
            // Where the address is not, most often zeros are.
            all.into_iter().filter(|four| four.octets()[0] != 0).collect()
        }
        _ => Vec::new(),
    }
}

/// The policies of a fleet, and where the daemon itself listens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicies {
    /// What holds for all members.
    pub fleet: Arc<AddressPolicy>,
    /// What holds for one member in its place.
    pub members: BTreeMap<MemberName, Arc<AddressPolicy>>,
    /// Listeners of the daemon, which nobody may have probed.
    pub listeners: Vec<SocketAddr>,
}

impl AddressPolicies {
    /// Denies nothing.
    pub fn unrestricted() -> Self {
        Self { fleet: Arc::new(AddressPolicy::unrestricted()), ..Self::default() }
    }

    /// Whether an address may be published, and probed as a spec says.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, address: IpAddr, spec: &ProbeSpec) -> Result<(), AddressDenied> {
        let policy = match &spec.guard {
            Guard::Operator => return Ok(()),
            Guard::Fleet => &self.fleet,
            Guard::Member(member) => self.members.get(member).unwrap_or(&self.fleet),
        };
        policy.check(address)?;
        match spec.port() {
            Some(port) if self.is_ours(address, port) => {
                Err(AddressDenied::Listener(SocketAddr::new(address, port)))
            }
            _ => Ok(()),
        }
    }

    fn is_ours(&self, address: IpAddr, port: u16) -> bool {
        let address = address.to_canonical();
        self.listeners.iter().any(|own| {
            let same = own.ip().to_canonical() == address;
            own.port() == port && (same || own.ip().is_unspecified() && address.is_loopback())
        })
    }

    /// Whether the daemon listens on a port of every address of the machine.
    pub fn is_open_port(&self, port: u16) -> bool {
        self.listeners.iter().any(|own| own.port() == port && own.ip().is_unspecified())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Vec<IpNet> {
        text.split(',').filter(|item| !item.is_empty()).map(|item| item.parse().unwrap()).collect()
    }

    fn policy(deny: &str, allow: &str) -> AddressPolicy {
        AddressPolicy::new(networks(deny), networks(allow))
    }

    fn denied(policy: &AddressPolicy, address: &str) -> Option<String> {
        policy.check(address.parse().unwrap()).err().map(|denied| denied.to_string())
    }

    #[test]
    fn what_shows_the_daemons_own_machine_is_denied_in_every_form() {
        for (address, part) in [
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("::1", "loopback"),
            ("0.0.0.0", "unspecified"),
            ("::", "unspecified"),
            ("169.254.1.1", "link-local"),
            ("fe80::1", "link-local"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("ff02::1", "multicast"),
            ("169.254.169.254", "metadata service of clouds"),
            ("100.100.100.200", "Alibaba"),
            ("168.63.129.16", "Azure"),
            ("fd00:ec2::254", "AWS"),
            ("fd00:ec2::23", "AWS"),
            ("fd00:ec2::123", "AWS"),
            ("192.0.0.192", "Oracle"),
            ("fd00:c1::a9fe:a9fe", "Oracle"),
            ("fd00:42::42", "Scaleway"),
            ("fd00:a9fe:a9fe::1", "Akamai"),
            ("fd00:100::100:200", "Alibaba"),
            ("fd20:ce::254", "Google"),
            ("::ffff:127.0.0.1", "it stands for 127.0.0.1, a loopback"),
            ("::ffff:169.254.169.254", "it stands for 169.254.169.254"),
            ("::ffff:0:127.0.0.1", "it stands for 127.0.0.1"),
            ("::127.0.0.1", "it stands for 127.0.0.1"),
            ("64:ff9b::127.0.0.1", "it stands for 127.0.0.1"),
            ("64:ff9b::a9fe:a9fe", "it stands for 169.254.169.254"),
            ("64:ff9b:1::a9fe:a9fe", "it stands for 169.254.169.254"),
            ("64:ff9b:1:7f00:0:100::", "it stands for 127.0.0.1"),
            ("64:ff9b:1:7f:0:1::", "it stands for 127.0.0.1"),
            ("64:ff9b:1:0:7f:0:100:0", "it stands for 127.0.0.1"),
            ("2002:7f00:1::", "it stands for 127.0.0.1"),
            ("2002:a9fe:a9fe::1", "it stands for 169.254.169.254"),
        ] {
            let said = denied(&AddressPolicy::default(), address).unwrap_or_default();
            assert!(said.contains(part), "{address}: {said}");
        }
        for address in [
            "203.0.113.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "100.64.0.1",
            "168.63.129.17",
            "2001:db8::1",
            "fd00::1",
            "64:ff9b::203.0.113.1",
            "64:ff9b::10.0.0.1",
            "2002:cb00:7101::",
        ] {
            assert_eq!(denied(&AddressPolicy::default(), address), None);
        }
    }

    #[test]
    fn a_denied_address_names_the_line_that_allows_it_and_that_line_does() {
        for address in ["127.0.0.1", "::1", "169.254.169.254", "64:ff9b::127.0.0.1", "fd00:ec2::254"] {
            let said = denied(&AddressPolicy::default(), address).unwrap();
            let line = said.split("address-allow = ").nth(1).unwrap().split(' ').next().unwrap();
            assert_eq!(denied(&policy("", line), address), None, "{said}");
        }
    }

    #[test]
    fn the_most_specific_network_decides() {
        let own = policy("10.0.0.0/8,10.1.2.0/24,2001:db8::/32", "10.1.0.0/16,127.0.0.0/8,0.0.0.0/0");
        for (address, part) in [
            ("10.2.0.1", Some("address-deny has 10.0.0.0/8")),
            ("10.1.0.1", None),
            ("10.1.2.1", Some("address-deny has 10.1.2.0/24")),
            ("2001:db8::1", Some("address-deny has 2001:db8::/32")),
            ("127.0.0.5", None),
            ("::ffff:127.0.0.5", None),
            ("64:ff9b::10.2.0.1", Some("it stands for 10.2.0.1, address-deny has 10.0.0.0/8")),
            // All of IPv4 is no word on a narrower network.
            ("169.254.169.254", Some("metadata")),
            ("203.0.113.1", None),
        ] {
            let said = denied(&own, address);
            assert_eq!(said.is_some(), part.is_some(), "{address}: {said:?}");
            assert!(said.unwrap_or_default().contains(part.unwrap_or_default()), "{address}");
        }
        assert!(denied(&policy("127.0.0.0/8", "127.0.0.0/8"), "127.0.0.1").is_some());
        assert_eq!(denied(&policy("", "127.0.0.0/8"), "::ffff:127.0.0.1"), None);
    }

    #[test]
    fn a_members_section_wins_for_its_own_services() {
        let west: MemberName = "west".parse().unwrap();
        let policies = AddressPolicies {
            members: [(west.clone(), Arc::new(policy("", "127.0.0.0/8")))].into(),
            ..AddressPolicies::default()
        };
        let may = |guard| {
            let spec = ProbeSpec { guard, ..ProbeSpec::tcp(80) };
            policies.check("127.0.0.1".parse().unwrap(), &spec).is_ok()
        };
        assert!(may(Guard::Member(Box::new(west))) && may(Guard::Operator));
        assert!(!may(Guard::Fleet) && !may(Guard::Member(Box::new("east".parse().unwrap()))));
        let all = AddressPolicies::unrestricted();
        assert!(all.check("169.254.169.254".parse().unwrap(), &ProbeSpec::tcp(80)).is_ok());
    }

    #[test]
    fn the_daemons_own_listeners_are_known_in_every_form() {
        let listeners = ["127.0.0.1:8053", "0.0.0.0:53", "[2001:db8::5]:5353"];
        let listeners = listeners.map(|text| text.parse().unwrap()).to_vec();
        let policies = AddressPolicies { listeners, ..AddressPolicies::default() };
        let ours = |text: &str, port| policies.is_ours(text.parse().unwrap(), port);
        assert!(ours("127.0.0.1", 8053) && ours("::ffff:127.0.0.1", 8053) && ours("127.0.0.9", 53));
        assert!(ours("2001:db8::5", 5353) && ours("::1", 53));
        assert!(!ours("127.0.0.1", 80) && !ours("127.0.0.2", 8053) && !ours("203.0.113.1", 53));
        assert!(policies.is_open_port(53) && !policies.is_open_port(8053));
    }
}
