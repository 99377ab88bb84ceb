//! Whether a proxy of the environment is meant for a server, by the rules that kubectl follows. The Kubernetes client
//! asks the exceptions about the proxy instead of the server, so that they would never help.

use std::net::IpAddr;

/// Whether `HTTPS_PROXY` is for this server: never for plain http and for this machine, nor for what `exceptions` (the
/// text of `NO_PROXY`) names: `*`, a domain with all below it, an address, or a range of addresses.
pub(crate) fn is_for(scheme: Option<&str>, host: &str, exceptions: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if scheme != Some("https") || host == "localhost" || address.is_some_and(|address| address.is_loopback())
    {
        return false;
    }
    !exceptions.split(',').map(str::trim).filter(|text| !text.is_empty()).any(|exception| {
        let exception = exception.to_ascii_lowercase();
        exception == "*"
            || address.map_or_else(|| is_below(&host, &exception), |address| is_in(address, &exception))
    })
}

fn is_below(host: &str, domain: &str) -> bool {
    let domain = domain.trim_start_matches("*.").trim_start_matches('.');
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn is_in(address: IpAddr, range: &str) -> bool {
    let Some((base, length)) = range.split_once('/') else {
        return range.parse() == Ok(address);
    };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    match (address, base) {
        (IpAddr::V4(one), IpAddr::V4(other)) if length <= 32 => {
            u32::from(one).checked_shr(32 - length) == u32::from(other).checked_shr(32 - length)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) if length <= 128 => {
            u128::from(one).checked_shr(128 - length) == u128::from(other).checked_shr(128 - length)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_for_what_is_not_excepted() {
        let direct = [
            ("http", "api.test", ""),
            ("https", "localhost", ""),
            ("https", "127.0.0.9", ""),
            ("https", "[::1]", ""),
            ("https", "api.test", "*"),
            ("https", "API.test", "x.org, Test"),
            ("https", "api.test", ".test"),
            ("https", "10.1.2.3", "10.1.2.3"),
            ("https", "10.1.2.3", "10.0.0.0/8"),
            ("https", "10.1.2.3", "0.0.0.0/0"),
            ("https", "[2001:db8::1]", "2001:db8::/32"),
        ];
        for (scheme, host, exceptions) in direct {
            assert!(!is_for(Some(scheme), host, exceptions), "{scheme} {host} {exceptions}");
        }
        let proxied = [
            ("api.test", ""),
            ("api.test", "pi.test"),
            ("11.1.2.3", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.4"),
            ("10.1.2.3", "2001:db8::/32"),
            ("10.1.2.3", "10.0.0.0/33"),
        ];
        for (host, exceptions) in proxied {
            assert!(is_for(Some("https"), host, exceptions), "{host} {exceptions}");
        }
    }
}
