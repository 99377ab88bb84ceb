//! Everything that can be wrong, by text and expected faults.

use super::*;

/// A section put under an otherwise good configuration; its header stands in line 6, its first key in line 7.
#[track_caller]
fn section(text: &str, expected: &[&str]) {
    check(&format!("{BASE}{text}\n"), expected);
}

#[test]
fn an_empty_file_lacks_what_has_to_be_said() {
    check(
        "",
        &[
            "dns.conf: [cluster \"NAME\"]: is missing; add a section for each cluster",
            "dns.conf: [fleet] name: is missing; for example name = myfederation, or --federation-name",
            "dns.conf: [zone \"NAME\"]: is missing; add one, such as [zone \"example.com\"]",
        ],
    );
}

#[test]
fn all_faults_come_at_once_by_line() {
    check(
        "key = 1\n[fleet]\nname = my federation\nttl = 1 day\nnonsense\n[zone \"example.com\"]\nprovider = azure\n\
         [probes]\n[cluster \"a b\"]\n[probe]\nintervall = 5s\ntimeout = 10s\n",
        &[
            "dns.conf:1: key: stands before any section",
            "dns.conf:3: [fleet] name: 'my federation' is not a name of letters",
            "dns.conf:4: [fleet] ttl: '1 day' is not a TTL",
            "dns.conf:5: [fleet]: is neither",
            "dns.conf:7: [zone \"example.com\"] provider: unknown provider 'azure'; expected one of coredns, embedded, \
             azure-azuredns, azure-private-dns, rfc2136, aws-route53, webhook",
            "dns.conf:8: [probes]: unknown section; expected one of [Global], [fleet], [zone \"NAME\"], \
             [cluster \"NAME\"], [discovery], [probe], [brakes], [hostnames], [limits], [kubernetes], [ha], [admin]; did you mean 'probe'?",
            "dns.conf:9: [cluster \"a b\"]: 'a b' cannot name a cluster",
            "dns.conf:11: [probe] intervall: is not a key of this section; did you mean 'interval'?",
        ],
    );
}

#[test]
fn sections_have_a_name_or_none() {
    check(
        "[fleet \"x\"]\n[zone]\n[cluster]\n",
        &[
            "dns.conf:1: [fleet \"x\"]: stands once and has no name; write [fleet]",
            "dns.conf:2: [zone]: does not say which one; write [zone \"NAME\"]",
            "dns.conf:2: [zone] provider: is missing",
            "dns.conf:3: [cluster]: does not say which one; write [cluster \"NAME\"]",
            "dns.conf: [fleet] name: is missing",
        ],
    );
}

#[test]
fn fleet() {
    let fleet = |key: &str, expected: &[&str]| {
        check(
            &format!("[fleet]\nname = fed\n{key}\n[zone \"example.com\"]\nprovider=embedded\n{REST}"),
            expected,
        );
    };
    fleet("owner = Blue-2", &[]);
    fleet("federation-names = Off", &[]);
    fleet("selector = app=web,tier in (a, b)", &[]);
    fleet("namespaces = default, prod", &[]);
    fleet("name_template = {name}.{namespace}.{fleet}.example.com", &[]);
    for (key, fault) in [
        ("owner = a.b", "dns.conf:3: [fleet] owner: 'a.b' is not a name of letters"),
        ("owner = -a", "dns.conf:3: [fleet] owner: '-a' is not"),
        ("federation-names = maybe", "dns.conf:3: [fleet] federation-names: 'maybe' is not on or off"),
        ("selector = app in web", "dns.conf:3: [fleet] selector: 'app in web' is not a label selector"),
        ("namespaces = default, A_B", "dns.conf:3: [fleet] namespaces: 'A_B' is not the name of a namespace"),
        ("ttl = 0", "dns.conf:3: [fleet] ttl: '0' is not a TTL; seconds from 1"),
        (
            "ttl = 30 ; half a minute",
            "dns.conf:3: [fleet] ttl: '30 ; half a minute' is not a TTL; seconds from 1 to \
          2147483647 or a duration such as 5m is; a comment is a line of its own",
        ),
        ("ttl =", "dns.conf:3: [fleet] ttl: is empty; give it a value or leave the key out"),
        ("namespaces = ,", "dns.conf:3: [fleet] namespaces: is empty; give it a value or leave the key out"),
        (
            "name-template = {name}.{ns}.example.com",
            "dns.conf:3: [fleet] name-template: has another placeholder",
        ),
        ("name-template = x.example.com", "dns.conf:3: [fleet] name-template: has no {name}"),
        (
            "name-template = {name}.example.net",
            "dns.conf:3: [fleet] name-template: makes names that lie in none",
        ),
        ("name-template = {name}..example.com", "dns.conf:3: [fleet] name-template: makes no valid name"),
    ] {
        fleet(key, &[fault]);
    }
    check(
        &format!("[fleet]\nname = a_b\n[zone \"example.com\"]\nprovider=embedded\n{REST}"),
        &["dns.conf:2: [fleet] name: 'a_b' is not"],
    );
}

#[test]
fn zones() {
    let zones = |text: &str, expected: &[&str]| {
        check(&format!("[fleet]\nname = fed\n{text}\n{REST}"), expected);
    };
    zones("[zone \"example.com\"]\nprovider = embedded\n[zone \"a.example.com\"]\nprovider = embedded", &[]);
    zones("[zone \"Bücher.example.\"]\nprovider = EMBEDDED\nsuffix = fed.bücher.example", &[]);
    zones(
        "[zone \"example.com\"]",
        &[
            "dns.conf:3: [zone \"example.com\"] provider: is missing; provider = NAME or --dns-provider NAME, one of \
         coredns, embedded, azure-azuredns, azure-private-dns, rfc2136",
        ],
    );
    zones("[zone \"example.com\"]\nprovider =", &["dns.conf:4: [zone \"example.com\"] provider: is empty"]);
    zones(
        "[zone \"example.com\"]\nprovider = core-dns",
        &[
            "dns.conf:4: [zone \"example.com\"] provider: unknown provider 'core-dns'; expected one of coredns, embedded, \
         azure-azuredns, azure-private-dns, rfc2136, aws-route53, webhook; did you mean 'coredns'?",
        ],
    );
    zones(
        "[zone \"*.example.com\"]\nprovider = embedded",
        &["dns.conf:3: [zone \"*.example.com\"]: a wildcard"],
    );
    zones(
        "[zone \"a b.com\"]\nprovider = embedded",
        &["dns.conf:3: [zone \"a b.com\"]: the label 'a b' has"],
    );
    zones(
        "[zone \"example.com\"]\nprovider = embedded\n[zone \"EXAMPLE.com.\"]\nprovider = embedded",
        &["dns.conf:5: [zone \"EXAMPLE.com.\"]: is the zone of dns.conf:3 already"],
    );
    zones(
        "[zone \"example.com\"]\nprovider = embedded\nsuffix = example.net\nttl = x",
        &[
            "dns.conf:5: [zone \"example.com\"] suffix: 'example.net' does not lie in the zone; it has to be example.com \
         or end in .example.com",
            "dns.conf:6: [zone \"example.com\"] ttl: 'x' is not a TTL",
        ],
    );
    zones(
        "[zone \"example.com\"]\nprovider = embedded\nsuffix = x.a.example.com\n[zone \"a.example.com\"]\n\
         provider = embedded",
        &["dns.conf:5: [zone \"example.com\"] suffix: 'x.a.example.com' lies in the zone a.example.com"],
    );
}

#[test]
fn provider_keys() {
    let zones = |text: &str, expected: &[&str]| {
        check(&format!("[fleet]\nname = fed\n{text}\n{REST}"), expected);
    };
    zones(
        "[zone \"example.com\"]\nprovider = coredns",
        &["dns.conf:3: [zone \"example.com\"] etcd-endpoints: is missing"],
    );
    zones(
        "[zone \"example.com\"]\nprovider = coredns\netcd-endpoints = ftp://x",
        &["dns.conf:5: [zone \"example.com\"] etcd-endpoints: has the scheme 'ftp'"],
    );
    zones(
        "[Global]\netcd-endpoints = ftp://x\n[zone \"example.com\"]\nprovider = coredns",
        &["dns.conf:4: [Global] etcd-endpoints: has the scheme 'ftp'"],
    );
    zones(
        "[zone \"example.com\"]\nprovider = embedded\nlisten = nowhere",
        &["dns.conf:5: [zone \"example.com\"] listen: 'nowhere' is not an IP address and a port"],
    );
    zones(
        "[zone \"example.com\"]\nprovider = embedded\nsecret = x\nlisteen = x",
        &[
            "dns.conf:5: [zone \"example.com\"] secret: is a key of azure-azuredns, and the provider of this zone is \
         embedded",
            "dns.conf:6: [zone \"example.com\"] listeen: is not a key of this section; did you mean 'listen'?",
        ],
    );
    zones(
        "[Global]\nsubscription-id = s\nresource_Group =\nclientSecret = x\n[zone \"example.com\"]\nprovider = azure-azuredns",
        &[
            "dns.conf:3: [Global] client-id: is missing; for example client-id = 0000",
            "dns.conf:3: [Global] secret: is missing; for example secret = PASSWORD",
            "dns.conf:3: [Global] tenant-id: is missing",
            "dns.conf:5: [Global] resource_Group: is empty",
            "dns.conf:6: [Global] clientSecret: is not a key of this section",
        ],
    );
}

#[test]
fn clusters() {
    let cluster = |text: &str, expected: &[&str]| {
        check(&format!("[fleet]\nname = fed\n[zone \"example.com\"]\nprovider=embedded\n{text}\n"), expected);
    };
    cluster("[cluster \"west\"]\nkubeconfig = /a:/b\ncontext = w\nregion = West-US\nzones = 1, 2", &[]);
    cluster(
        "[cluster \"west\"]\nkubeconfig = :\nregion = a.b\nzones = 1, 2.3",
        &[
            "dns.conf:6: [cluster \"west\"] kubeconfig: names no file",
            "dns.conf:7: [cluster \"west\"] region: the label 'a.b' has the character '.'",
            "dns.conf:8: [cluster \"west\"] zones: '2.3' is not the label of a zone",
        ],
    );
    cluster(
        "[cluster \"west\"]\ncontext = w",
        &["dns.conf:6: [cluster \"west\"] context: needs a kubeconfig"],
    );
    cluster(
        "[cluster \"west\"]\nkubeconfig = /a\ncontext = w\n[cluster \"east\"]\nkubeconfig = /a\ncontext = w\n",
        &["dns.conf:8: [cluster \"east\"]: is the same cluster as [cluster \"west\"]"],
    );
    cluster(
        "[cluster \"west\"]\nprobe-protocol = grpc\nprobe-interval = 1s\nprobe-timeout = 1s\nprobe-insecure = off",
        &[],
    );
    for (key, fault) in [
        ("protocol = ping", "protocol: 'ping' is not tcp, http, https, grpc, grpcs or none"),
        ("port = 0", "port: '0' is not a port from 1 to 65535"),
        ("path = x", "path: 'x' is not a path"),
        ("host = *.example.com", "host: is a wildcard"),
        ("service = a b", "service: 'a b' is not the name"),
        ("expect = 99", "expect: invalid statuses '99'"),
        ("interval = 1ms", "interval: 1ms is out of bounds"),
        ("timeout = 1ms", "timeout: 1ms is out of bounds"),
        ("fall = 0", "fall: '0' is not a number from 1 to 100"),
        ("rise = 101", "rise: '101' is not a number from 1 to 100"),
        ("insecure = perhaps", "insecure: 'perhaps' is not on or off"),
        ("ca-file = /none", "ca-file: /none cannot be read: there is no such file"),
    ] {
        cluster(
            &format!("[cluster \"west\"]\nprobe-{key}"),
            &[&format!("dns.conf:6: [cluster \"west\"] probe-{fault}")],
        );
    }
    cluster(
        "[cluster \"west\"]\nprobe-timeout = 6s\nprobe-interval = 5s",
        &["dns.conf:6: [cluster \"west\"] probe-timeout: 6s is longer than the probe-interval of 5s"],
    );
    let both = format!("{BASE}probe-insecure = on\nprobe-ca-file = /ca.pem\n");
    case(&both).file("/ca.pem", "").faults(&[
        "dns.conf:7: [cluster \"here\"] probe-ca-file: says whom to trust, and probe-insecure = on",
    ]);
    cluster(
        "[cluster \"west\"]\n[cluster \"east\"]",
        &["dns.conf:6: [cluster \"east\"]: is the same cluster as"],
    );
}

#[test]
fn probe() {
    for good in [
        "protocol = HTTPS\nport = 8443\npath = /healthz?a=1\nhost = www.example.com\ninsecure = yes",
        "interval = 1s",
        "timeout = 10s",
        "fast-interval = 10s",
        "interval = 3s\ntimeout = 3s\nfast-interval = 3s",
        "nameservers = 9.9.9.9, [2620:fe::fe]:53",
        "fall = 1\nrise = 1",
        "protocol = grpc\nservice = my.pkg.Greeter\nexpect = 200,204,300-399",
    ] {
        section(&format!("[probe]\n{good}"), &[]);
    }
    for (keys, fault) in [
        ("protocol = ping", "protocol: 'ping' is not tcp, http, https, grpc, grpcs or none"),
        ("service = a b", "service: 'a b' is not the name of a gRPC service"),
        ("expect = 2xx", "expect: invalid statuses '2xx'; expected 200 to 599, such as 200,204"),
        ("port = 0", "port: '0' is not a port"),
        ("port = 65536", "port: '65536' is not a port"),
        ("path = healthz", "path: 'healthz' is not a path"),
        ("path = /a b", "path: '/a b' is not a path"),
        ("host = a b", "host: the label 'a b'"),
        ("host = *.example.com", "host: is a wildcard"),
        ("interval = 5", "interval: '5' is not a duration, such as 5s"),
        ("interval = 1ms", "interval: 1ms is out of bounds; 100ms to 3600s"),
        ("fall = 0", "fall: '0' is not a number from 1 to 100"),
        ("rise = many", "rise: 'many' is not a number"),
        ("nameservers = ns.example.com", "nameservers: 'ns.example.com' is not an IP address"),
        ("insecure = perhaps", "insecure: 'perhaps' is not on or off"),
        ("ca-file = /none", "ca-file: /none cannot be read: there is no such file"),
    ] {
        section(&format!("[probe]\n{keys}"), &[&format!("dns.conf:7: [probe] {fault}")]);
    }
    section(
        "[probe]\ninterval = 5s\ntimeout = 6s",
        &["dns.conf:8: [probe] timeout: 6s is longer than the interval of 5s: a probe would start before"],
    );
    section(
        "[probe]\nfast-interval = 1s\ntimeout = 1500ms",
        &["dns.conf:8: [probe] timeout: 1.5s is longer than the fast-interval of 1s"],
    );
    section(
        "[probe]\ninterval = 2s\nfast-interval = 3s",
        &["dns.conf:8: [probe] fast-interval: 3s is longer than the interval of 2s"],
    );
    let both = format!("{BASE}[probe]\ninsecure = on\nca-file = /ca.pem\n");
    case(&both).file("/ca.pem", "").faults(&["dns.conf:8: [probe] ca-file: says whom to trust"]);
}

#[test]
fn brakes() {
    section("[brakes]\nmin-kept = 2\nall-down = Empty\nmax-delete = 30%\ngrace = 0s\ndrift = 5m", &[]);
    for (keys, fault) in [
        ("min-kept = 0", "min-kept: '0' is not a number from 1 to 1000"),
        ("all-down = drop", "all-down: 'drop' is not keep, all or empty"),
        ("max-delete = 101%", "max-delete: '101%' is not a percentage"),
        ("anchors = 9.9.9.9:53, 9.9.9.9", "anchors: '9.9.9.9' is not host:port"),
        ("anchors = 9.9.9.9:53, 9.9.9.9:53", "anchors: names 9.9.9.9:53 twice"),
        ("startup-timeout = 0s", "startup-timeout: 0ns is out of bounds"),
        ("correlation-hold = never", "correlation-hold: 'never' is not a duration"),
        ("grace = 25h", "grace: 90000s is out of bounds"),
        ("drift = 10ms", "drift: 10ms is out of bounds"),
    ] {
        section(&format!("[brakes]\n{keys}"), &[&format!("dns.conf:7: [brakes] {fault}")]);
    }
}

#[test]
fn admin() {
    for good in ["listen = off", "listen = [::1]:9000", "listen = 127.0.0.2:1", "log = JSON"] {
        section(&format!("[admin]\n{good}"), &[]);
    }
    for (keys, fault) in [
        (
            "listen = 0.0.0.0:8053",
            "listen: '0.0.0.0:8053' can be reached from outside, and the admin API asks for no \
          password; use 127.0.0.1:8053 or [::1]:8053",
        ),
        ("listen = 10.0.0.1:80", "listen: '10.0.0.1:80' can be reached from outside"),
        ("listen = localhost:8053", "listen: 'localhost:8053' is not a loopback address and port"),
        ("listen = 8053", "listen: '8053' is not a loopback address"),
        ("log = xml", "log: 'xml' is not text or json"),
    ] {
        section(&format!("[admin]\n{keys}"), &[&format!("dns.conf:7: [admin] {fault}")]);
    }
}

#[test]
fn a_file_that_is_not_there() {
    let outside = Outside {
        root: false,
        variables: BTreeMap::new(),
        read: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
        ..Outside::system(&|_| Ok(Vec::new()))
    };
    let flags = Flags { config: Some("/x/dns.conf".into()), ..Flags::default() };
    let faults = Config::load_from(&flags, &outside).unwrap_err();
    assert_eq!(lines(&faults), "/x/dns.conf: cannot be read: entity not found; -c FILE names another file");
}
