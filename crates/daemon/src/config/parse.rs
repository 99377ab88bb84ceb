//! Single values: text in, typed value out.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use fleetdns_core::Address;
use fleetdns_core::name::is_dns_label;
use ipnet::IpNet;

/// A network, or an address alone.
pub(super) fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)).map(|network| network.trunc())
}

/// A port, or a range of ports.
pub(super) fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    (first <= last).then_some(first..=last)
}

/// Bytes: `1048576`, `64KiB`, `2MiB`, `1GiB`.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start() {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `50%` or `50`.
pub(super) fn percent(text: &str) -> Option<u8> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    number.parse().ok().filter(|percent| *percent <= 100)
}

/// An address with or without a port; 53 without.
pub(super) fn nameserver(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53)).ok();
    let address = address.or_else(|| text.parse().ok())?;
    (address.port() > 0 && !address.ip().is_unspecified()).then_some(address)
}

/// `host:port`, `address:port` or `[address]:port`.
pub(super) fn host_port(text: &str) -> Option<(Address, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let address: Address = bare.unwrap_or(host).parse().ok()?;
    // Only an IPv6 address has brackets, and it needs them.
    (matches!(address, Address::V6(_)) == bare.is_some()).then_some((address, port))
}

/// A label selector as the Kubernetes API takes it: `key`, `!key`, `key=value`, `key!=value`, `key in (a, b)`,
/// `key notin (a, b)`, with commas between them.
pub(super) fn is_selector(text: &str) -> bool {
    let mut depth = 0_i32;
    let parts = text.split(|c: char| {
        depth = depth.saturating_add(i32::from(c == '(')).saturating_sub(i32::from(c == ')'));
        c == ',' && depth == 0
    });
    let parts: Vec<&str> = parts.map(str::trim).collect();
    depth == 0 && parts.into_iter().all(is_requirement)
}

fn is_requirement(text: &str) -> bool {
    if let Some(key) = text.strip_prefix('!') {
        return is_label_key(key.trim());
    }
    for operator in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(operator) {
            return is_label_key(key.trim_end()) && is_label_value(value.trim_start());
        }
    }
    for operator in [" notin ", " in ", " notin(", " in("] {
        if let Some((key, rest)) = text.split_once(operator) {
            let rest = rest.trim_start();
            let values = rest.strip_prefix('(').unwrap_or(rest).strip_suffix(')');
            let all_fit = |values: &str| values.split(',').all(|value| is_label_value(value.trim()));
            let opened = rest.starts_with('(') || operator.ends_with('(');
            return opened && is_label_key(key.trim_end()) && values.is_some_and(all_fit);
        }
    }
    is_label_key(text)
}

pub(super) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let prefix_fits = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label));
    prefix_fits && !name.is_empty() && is_label_value(name)
}

fn is_label_value(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    text.len() <= 63
        && text.bytes().all(inside)
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values() {
        for (text, value) in [("50%", Some(50)), ("50", Some(50)), ("0", Some(0)), ("50 %", Some(50))] {
            assert_eq!(percent(text), value, "{text}");
        }
        for bad in ["101", "-1", "%", "half", "5.5", "50%%"] {
            assert_eq!(percent(bad), None, "{bad}");
        }
        for (text, network_of) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("127.0.0.1", Some("127.0.0.1/32")),
            ("fd00::/8", Some("fd00::/8")),
            ("::1", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("10.0.0/8", None),
            ("example.com", None),
        ] {
            assert_eq!(network(text).map(|n| n.to_string()).as_deref(), network_of, "{text}");
        }
        for (text, range) in [("80", Some(80..=80)), ("9000-9100", Some(9000..=9100)), ("1 - 2", Some(1..=2))]
        {
            assert_eq!(ports(text), range, "{text}");
        }
        for bad in ["", "0", "9-8", "65536", "80-", "a"] {
            assert_eq!(ports(bad), None, "{bad}");
        }
        for (text, bytes) in
            [("0", Some(0)), ("5", Some(5)), ("64KiB", Some(65536)), ("2 MiB", Some(2 << 20))]
        {
            assert_eq!(size(text), bytes, "{text}");
        }
        for bad in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999999GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
        for (text, address) in [
            ("9.9.9.9", Some("9.9.9.9:53")),
            ("9.9.9.9:5353", Some("9.9.9.9:5353")),
            ("2620:fe::fe", Some("[2620:fe::fe]:53")),
            ("[2620:fe::fe]", Some("[2620:fe::fe]:53")),
            ("[2620:fe::fe]:5353", Some("[2620:fe::fe]:5353")),
            ("dns.example.com", None),
            ("0.0.0.0", None),
            ("9.9.9.9:0", None),
        ] {
            assert_eq!(nameserver(text).map(|a| a.to_string()).as_deref(), address, "{text}");
        }
    }

    #[test]
    fn a_host_has_a_port() {
        for (text, parts) in [
            ("9.9.9.9:53", Some("9.9.9.9 53")),
            ("www.Example.com:443", Some("www.example.com 443")),
            ("[2620:fe::fe]:53", Some("2620:fe::fe 53")),
            ("2620:fe::fe:53", None),
            ("[9.9.9.9]:53", None),
            ("www.example.com", None),
            ("www.example.com:0", None),
            ("www.example.com:65536", None),
            ("*.example.com:443", None),
            ("https://www.example.com:443", None),
            ("0.0.0.0:53", None),
            (":53", None),
        ] {
            let found = host_port(text).map(|(address, port)| format!("{address} {port}"));
            assert_eq!(found.as_deref(), parts, "{text}");
        }
    }

    #[test]
    fn selectors_are_those_of_the_kubernetes_api() {
        for good in [
            "app=web",
            "app == web",
            "app!=web,tier",
            "!beta",
            "env in (a, b),tier notin (c)",
            "example.com/app=web",
            "app=",
            "env in(a)",
        ] {
            assert!(is_selector(good), "{good}");
        }
        for bad in
            ["", "app=web,", "a b", "=web", "app=we b", "env in a", "env in (a", "/x", "app=-web", "a)(b"]
        {
            assert!(!is_selector(bad), "{bad}");
        }
    }
}
