//! The proxy on the way to a server, by the rules that kubectl follows. The Kubernetes client has rules of its own for the
//! environment: it asks the exceptions about the proxy instead of the server, and takes a list of them that ends with a
//! comma for a fault of every cluster.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// The proxy to a server: `proxy-url` of its kubeconfig, for which there are no exceptions, or that of the environment.
///
/// # Errors
/// When it is no URL of a proxy. Its text is not repeated, as it may hold a password.
pub(crate) fn find(
    server: &Uri,
    proxy_url: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Uri>, String> {
    if let Some(text) = proxy_url {
        return parse(text).map(Some).ok_or("its proxy-url is no http://, https:// or socks5:// URL".into());
    }
    let either = |names: [&str; 2]| names.into_iter().filter_map(&variable).find(|text| !text.is_empty());
    let Some(text) = either(["HTTPS_PROXY", "https_proxy"]) else { return Ok(None) };
    if !is_for(server, &either(["NO_PROXY", "no_proxy"]).unwrap_or_default()) {
        return Ok(None);
    }
    let found = if text.contains("://") { parse(&text) } else { parse(&format!("http://{text}")) };
    found.map(Some).ok_or("HTTPS_PROXY of the environment is no http://, https:// or socks5:// URL".into())
}

fn parse(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let known = url.scheme_str().is_some_and(|scheme| ["http", "https", "socks5"].contains(&scheme));
    (known && url.host().is_some_and(|host| !host.is_empty())).then_some(url)
}

/// Whether `HTTPS_PROXY` is for this server: never for plain http and for this machine, nor for what `exceptions` (the
/// text of `NO_PROXY`) names: `*`, a domain with all below it, an address, or a range of addresses; a domain or address
/// with a port means that port only.
fn is_for(server: &Uri, exceptions: &str) -> bool {
    let port = server.port_u16().unwrap_or(443);
    let here = exceptions.split(',').filter_map(|one| without_port(one.trim(), port));
    // Only a proxy that is set has exceptions; kubectl knows `*.domain` as well, and `*` for addresses.
    let list: Vec<String> = ["localhost", "127.0.0.0/8", "::1"]
        .into_iter()
        .chain(here)
        .map(|one| one.replace("*.", "."))
        .collect();
    let matcher = Matcher::builder().https("http://proxy.invalid").no(list.join(",")).build();
    !list.iter().any(|one| one == "*") && matcher.intercept(server).is_some()
}

/// An exception without its port; nothing when that is another one.
fn without_port(exception: &str, port: u16) -> Option<&str> {
    let (host, number) = match exception.rsplit_once(':') {
        // An IPv6 address has its port after brackets.
        Some((host, number)) if !host.contains(':') || host.ends_with(']') => (host, Some(number)),
        _ => (exception, None),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    number.is_none_or(|number| number.parse() == Ok(port)).then_some(bare)
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
            ("https", "[2001:db8::1]", "[2001:db8::1]"),
            ("https", "[2001:db8::1]", "[2001:db8::1]:6443"),
            ("https", "[2001:db8::1]", "2001:db8::1"),
            ("https", "api.test", "api.test:6443"),
            ("https", "api.test", ".test:6443,"),
            ("https", "10.1.2.3", "10.1.2.3:6443"),
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
            ("api.test", "api.test:443"),
            ("10.1.2.3", "10.1.2.3:80"),
            ("[2001:db8::1]", "[2001:db8::1]:80"),
            ("api.test", "api.test:x"),
            ("api.test", ",, ,"),
        ];
        for (host, exceptions) in proxied {
            assert!(is_for(&uri("https", host), exceptions), "{host} {exceptions}");
        }
    }

    #[test]
    fn a_proxy_comes_from_the_kubeconfig_or_the_environment() {
        let found = |server: &str, proxy_url: Option<&str>, set: &[(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(one, _)| *one == name).map(|(_, text)| (*text).to_owned());
            find(&uri(server, "api.corp.test"), proxy_url, variable)
                .map(|proxy| proxy.map(|url| url.to_string()))
        };
        let with = |url: &str| Ok(Some(url.to_owned()));
        let proxy = ("HTTPS_PROXY", "http://proxy.corp.test:3128");
        let its_domain = ("NO_PROXY", "proxy.corp.test,10.0.0.0/8,");
        assert_eq!(found("https", None, &[]), Ok(None));
        assert_eq!(found("https", None, &[proxy]), with("http://proxy.corp.test:3128/"));
        assert_eq!(found("https", None, &[proxy, its_domain]), with("http://proxy.corp.test:3128/"));
        assert_eq!(found("https", None, &[proxy, ("NO_PROXY", ""), ("no_proxy", ".test")]), Ok(None));
        assert_eq!(found("http", None, &[proxy]), Ok(None));
        let bare = ("https_proxy", "proxy.test:3128");
        assert_eq!(found("https", None, &[("HTTPS_PROXY", ""), bare]), with("http://proxy.test:3128/"));
        assert_eq!(
            found("https", Some("socks5://10.0.0.1:1080"), &[proxy, ("NO_PROXY", "*")]),
            with("socks5://10.0.0.1:1080/"),
            "what a kubeconfig says has no exceptions"
        );
        for text in ["proxy.test:3128", "ftp://proxy.test", "http://", "http://a b", ""] {
            let fault = found("https", Some(text), &[]).unwrap_err();
            assert!(fault.starts_with("its proxy-url"), "{text}: {fault}");
        }
        let fault = found("https", None, &[("HTTPS_PROXY", "ftp://me:top-secret@proxy.test")]).unwrap_err();
        assert!(fault.starts_with("HTTPS_PROXY") && !fault.contains("top-secret"), "{fault}");
    }
}
