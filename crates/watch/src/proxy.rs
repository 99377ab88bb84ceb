//! Whether a proxy of the environment is meant for a server, by the rules that kubectl follows. The Kubernetes client
//! asks the exceptions about the proxy instead of the server, so that they would never help.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// Whether `HTTPS_PROXY` is for this server: never for plain http and for this machine, nor for what `exceptions` (the
/// text of `NO_PROXY`) names: `*`, a domain with all below it, an address, or a range of addresses.
pub(crate) fn is_for(server: &Uri, exceptions: &str) -> bool {
    // Only a proxy that is set has exceptions; kubectl knows `*.domain` as well, and `*` for addresses.
    let exceptions = format!("localhost,127.0.0.0/8,::1,{}", exceptions.replace("*.", "."));
    let matcher = Matcher::builder().https("http://proxy.invalid").no(exceptions.as_str()).build();
    !exceptions.split(',').any(|one| one.trim() == "*") && matcher.intercept(server).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(scheme: &str, host: &str) -> Uri {
        format!("{scheme}://{host}:6443/").parse().unwrap()
    }

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
            ("https", "api.test", "*.test"),
            ("https", "10.1.2.3", " *"),
            ("https", "10.1.2.3", "10.1.2.3"),
            ("https", "10.1.2.3", "10.0.0.0/8"),
            ("https", "10.1.2.3", "0.0.0.0/0"),
            ("https", "[2001:db8::1]", "2001:db8::/32"),
        ];
        for (scheme, host, exceptions) in direct {
            assert!(!is_for(&uri(scheme, host), exceptions), "{scheme} {host} {exceptions}");
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
            assert!(is_for(&uri("https", host), exceptions), "{host} {exceptions}");
        }
    }
}
