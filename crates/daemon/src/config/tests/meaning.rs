//! What good configurations mean.

use std::time::Duration;

use fleetdns_core::{AllDown, Guard, Pace, ProbeSpec, Trust};
use fleetdns_planner::{ProbeDefaults, Protocol};
use fleetdns_probe::TrustSettings;

use super::*;
use crate::config::{LogFormat, Socket};
use crate::kubernetes::Settings;
use fleetdns_watch::Access;

#[test]
fn what_is_not_said_has_a_default() {
    let config = case(BASE).config();
    assert_eq!(config.fleet.name.as_str(), "fed");
    assert_eq!(config.fleet.owner.as_str(), "fed");
    assert!(config.fleet.federation_names);
    let zone = &config.zones[0];
    assert_eq!(zone.settings.zone, zone.settings.suffix);
    assert_eq!(zone.settings.ttl.seconds(), 30);
    assert_eq!((zone.provider, config.members[0].access.clone()), ("embedded", Access::InCluster));
    let probe = &config.probe;
    let seconds = |n| Duration::from_secs(n);
    assert_eq!(probe.defaults, ProbeDefaults::default());
    let times = (probe.settings.interval, probe.settings.fast_interval, probe.settings.timeout);
    assert_eq!(times, (seconds(5), seconds(2), seconds(2)));
    assert_eq!((probe.settings.fall, probe.settings.rise), (3, 2));
    assert_eq!(config.brakes.brakes, fleetdns_core::Brakes::default());
    assert_eq!(config.brakes.drift, seconds(60));
    assert_eq!(config.admin.listen.map(|a| a.to_string()).as_deref(), Some("127.0.0.1:8053"));
    assert_eq!(config.admin.log, LogFormat::Text);
    assert_eq!(config.kubernetes, Settings { events: false, service_ingresses: false });
    assert!(config.notes.is_empty());
}

#[test]
fn every_key_reaches_its_field() {
    let text = "[fleet]\nname = Fed\nowner = blue\nfederation-names = off\nnamespaces = a, b\nselector = app=web\n\
                name-template = {name}.{fleet}.example.com\nttl = 1m\n\
                state-dir = ~/state\n\
                [zone \"Example.COM.\"]\nprovider = embedded\nsuffix = f.example.com.\n\
                [zone \"sub.example.com\"]\nprovider = embedded\nttl = 5\n\
                [cluster \"west\"]\nkubeconfig = ~/west:/b\ncontext = w\nregion = WestUS\nzones = 2, 1\n\
                probe-protocol = grpcs\nprobe-port = 50051\nprobe-path = /w\nprobe-host = w.example.com\n\
                probe-service = a.B\nprobe-expect = 204\nprobe-interval = 20s\nprobe-timeout = 1500ms\n\
                probe-fall = 6\nprobe-rise = 7\nprobe-ca-file = /west.pem\n\
                [cluster \"east\"]\nprobe-insecure = on\n[cluster \"north\"]\ncontext = n\nkubeconfig = /n\n\
                [probe]\nprotocol = https\nport = 8443\npath = /ok\nservice = c.D\nexpect = 200,404\nhost = WWW.example.com\ninterval = 10s\n\
                min-interval = 4s\nfast-interval = 3s\ntimeout = 1s\nfall = 4\nrise = 5\nca-file = /ca.pem\nnameservers = 9.9.9.9\nmin-ttl = 20s\nmax-ttl = 1m\nunprobeable = hold\n\
                [brakes]\nmin-kept = 2\nall-down = all\nmax-delete = 10%\nstartup-timeout = 7s\ngrace = 8s\ndrift = 9s\n\
                anchors = 9.9.9.9:53, www.Example.com:443\ncorrelation-hold = forever\n\
                [limits]\nnamespace-probes = 7\n[kubernetes]\nevents = on\n[admin]\nlisten = off\nsocket = ~/s\nlog = json\n";
    let config = case(text).variable("HOME", "/home/x").file("/ca.pem", "").file("/west.pem", "").config();
    assert_eq!(config.kubernetes, Settings { events: true, service_ingresses: false });
    let fleet = &config.fleet;
    assert_eq!((fleet.name.as_str(), fleet.owner.as_str(), fleet.federation_names), ("fed", "blue", false));
    assert_eq!(fleet.namespaces.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(fleet.selector.as_deref(), Some("app=web"));
    assert_eq!(fleet.template.as_deref(), Some("{name}.fed.example.com"));
    let [parent, sub] = config.zones.as_slice() else { panic!("two zones") };
    assert_eq!(parent.settings.suffix.as_str(), "f.example.com");
    assert_eq!((parent.settings.ttl.seconds(), sub.settings.ttl.seconds()), (60, 5));
    assert_eq!(parent.settings.other_zones, std::slice::from_ref(&sub.settings.zone));
    assert_eq!((parent.settings.owner.as_str(), parent.settings.fleet.clone()), ("blue", None));
    let west = &config.members[0];
    let paths = vec![PathBuf::from("/home/x/west"), PathBuf::from("/b")];
    assert_eq!(west.access, Access::Kubeconfig { paths, context: Some("w".to_owned()) });
    assert_eq!(west.region.as_ref().map(fleetdns_core::Label::as_str), Some("westus"));
    assert_eq!(west.zones.iter().map(fleetdns_core::Label::as_str).collect::<Vec<_>>(), ["1", "2"]);
    let probe = &config.probe;
    assert_eq!((probe.defaults.protocol, probe.defaults.port), (Some(Protocol::Https), Some(8443)));
    assert_eq!(probe.defaults.path.as_ref(), "/ok");
    assert_eq!(
        (probe.defaults.service.as_ref(), probe.defaults.expect.to_string().as_str()),
        ("c.D", "200,404")
    );
    let own = west.probe.as_ref().unwrap();
    assert_eq!((own.protocol, own.port, own.path.as_ref()), (Some(Protocol::Grpcs), Some(50051), "/w"));
    assert_eq!(own.host.as_ref().map(fleetdns_core::DnsName::as_str), Some("w.example.com"));
    assert_eq!((own.service.as_ref(), own.expect.to_string().as_str()), ("a.B", "204"));
    let pace = Pace {
        interval: "20s".parse().ok(),
        timeout: "1500ms".parse().ok(),
        fall: "6".parse().ok(),
        rise: "7".parse().ok(),
    };
    assert_eq!((own.pace, &own.trust), (pace, &Trust::Member(west.name.clone())));
    // What a cluster leaves open is what [probe] says; one that says nothing has nothing of its own.
    let east = config.members[1].probe.clone().unwrap();
    let trust = Trust::Member(config.members[1].name.clone());
    assert_eq!(east, ProbeDefaults { trust, ..probe.defaults.clone() });
    assert_eq!(config.members[2].probe, None);
    assert_eq!(probe.defaults.host.as_ref().map(fleetdns_core::DnsName::as_str), Some("www.example.com"));
    let settings = config.probe_settings();
    let seconds = |n| Duration::from_secs(n);
    assert_eq!(
        (settings.interval, settings.fast_interval, settings.timeout),
        (seconds(10), seconds(3), seconds(1))
    );
    assert_eq!((probe.defaults.min_interval, own.min_interval), (seconds(4), seconds(4)));
    assert_eq!((settings.fall, settings.rise, settings.namespace_rate.get()), (4, 5, 7));
    let trust =
        |ca_file: Option<&str>, insecure| TrustSettings { ca_file: ca_file.map(PathBuf::from), insecure };
    assert_eq!(settings.trust, trust(Some("/ca.pem"), false));
    let of: Vec<_> = settings.trust_of.iter().map(|(name, trust)| (name.as_str(), trust.clone())).collect();
    assert_eq!(of, [("east", trust(None, true)), ("west", trust(Some("/west.pem"), false))]);
    assert_eq!(settings.nameservers.len(), 1);
    assert_eq!(settings.answer_ttl, (seconds(20), seconds(60)));
    let brakes = &config.brakes;
    assert_eq!(
        (brakes.brakes.min_kept, brakes.brakes.all_down, brakes.brakes.max_delete),
        (2, AllDown::All, 10)
    );
    let anchors: Vec<String> = brakes.anchors.iter().map(ToString::to_string).collect();
    assert_eq!(anchors, ["anchor at 9.9.9.9:53", "anchor at www.example.com:443"]);
    assert_eq!((brakes.startup_timeout, brakes.grace, brakes.drift), (seconds(7), seconds(8), seconds(9)));
    assert_eq!(config.probe_settings().correlation_hold, None);
    assert_eq!(settings.unprobeable_policy, fleetdns_core::UnprobeablePolicy::Hold);
    assert_eq!((config.admin.listen, config.admin.log), (None, LogFormat::Json));
    assert_eq!(config.admin.socket, Socket::At("/home/x/s".into()));
    assert_eq!(fleet.state_dir.as_deref(), Some(Path::new("/home/x/state")));
    let watch = config.watch_settings();
    assert_eq!(
        (watch.selector.as_deref(), watch.startup_timeout, watch.grace),
        (Some("app=web"), seconds(7), seconds(8))
    );
    let publish = watch.publish;
    assert_eq!((publish.fleet, publish.zones.len(), publish.template), (None, 2, fleet.template.clone()));
}

#[test]
fn times_that_are_not_given_fit_those_that_are() {
    for (keys, expected) in [
        ("interval = 1s", (1000, 1000, 1000)),
        ("interval = 30s", (30_000, 2000, 2000)),
        ("timeout = 3s", (5000, 3000, 3000)),
        ("timeout = 8s", (8000, 8000, 8000)),
        ("fast-interval = 1s", (5000, 1000, 1000)),
        ("fast-interval = 9s", (9000, 9000, 2000)),
        ("timeout = 100ms", (5000, 2000, 100)),
    ] {
        let probe = case(&format!("{BASE}[probe]\n{keys}\n")).config().probe.settings;
        let ms = |duration: Duration| duration.as_millis();
        assert_eq!((ms(probe.interval), ms(probe.fast_interval), ms(probe.timeout)), expected, "{keys}");
    }
}

const SEED: &str = "[Global]\nsubscription-id = 1\ntenant-id = 2\nclient-id = 3\nsecret = p#a;ss\nresourceGroup = fed-dns-rg\n";
const KUBEFED: &str = "--federation-name myfederation --dns-provider azure-azuredns --dns-zone-name syncweek.com. \
                       --dns-provider-config dns.conf";

#[test]
fn the_file_of_the_kubefed_guide_works_with_kubefeds_flags() {
    let seed = case(SEED).flags(KUBEFED).variable("KUBECONFIG", "/a:/b").contexts(&["westus", "eastus"]);
    assert_eq!(seed.flags.file(), Path::new("dns.conf"));
    let config = seed.config();
    assert_eq!(config.fleet.name.as_str(), "myfederation");
    let zone = &config.zones[0];
    assert_eq!((zone.settings.zone.as_str(), zone.provider), ("syncweek.com", "azure-azuredns"));
    assert_eq!(zone.keys.get("secret"), Some("p#a;ss"));
    assert_eq!(zone.keys.get("resource-group"), Some("fed-dns-rg"));
    let names: Vec<&str> = config.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["westus", "eastus"]);
    let paths = vec![PathBuf::from("/a"), PathBuf::from("/b")];
    assert_eq!(config.members[1].access, Access::Kubeconfig { paths, context: Some("eastus".to_owned()) });

    assert!(zone.connect(&crate::registry::Registry::new()).is_ok());
}

#[test]
fn coredns_of_kubefed_works_with_its_flags() {
    let text = "[Global]\netcd-endpoints = http://127.0.0.1:2379\nzones = example.com.\ncoredns-endpoints = 10.0.0.5:53\n";
    let kubefed = "--federation-name fed --dns-provider coredns --dns-zone-name example.com";
    let with = |flags: &str| case(text).flags(flags).variable("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let config = with(kubefed).config();
    assert_eq!(config.zones[0].keys.get("etcd-endpoints"), Some("http://127.0.0.1:2379"));
    assert_eq!(
        (config.members[0].name.as_str(), config.members[0].access.clone()),
        ("in-cluster", Access::InCluster)
    );
    // `zones` names the zone as well as the flag does.
    let config = with("--federation-name fed --dns-provider coredns").config();
    assert_eq!(config.zones[0].settings.zone.as_str(), "example.com");
    with("--federation-name fed --dns-provider coredns --dns-zone-name other.com")
        .faults(&["dns.conf:3: [Global] zones: does not name other.com"]);
}

#[test]
fn flags_win_over_the_file() {
    let text = format!("{BASE}[probe]\n");
    let config = case(&text)
        .flags("--federation-name other --zone-name EXAMPLE.com --service-dns-suffix x.example.com -c y.conf")
        .config();
    assert_eq!((config.fleet.name.as_str(), config.zones.len()), ("other", 1));
    assert_eq!(config.zones[0].settings.suffix.as_str(), "x.example.com");
    // With one zone only, it needs no naming.
    let config = case(&text).flags("--service-dns-suffix x.example.com").config();
    assert_eq!(config.zones[0].settings.suffix.as_str(), "x.example.com");
    // A zone that the file does not have is added.
    let config = case(&text).flags("--dns-zone-name b.example --dns-provider embedded").config();
    assert_eq!(
        config.zones.iter().map(|zone| zone.settings.zone.as_str()).collect::<Vec<_>>(),
        ["example.com", "b.example"]
    );

    let two = format!("{text}[zone \"b.example\"]\nprovider = embedded\n");
    case(&two).flags("--dns-provider coredns").faults(&["--dns-provider: does not say which zone is meant"]);
    case("").flags("--federation-name a.b --dns-zone-name .. --dns-provider x").faults(&[
        "--dns-provider: [zone \"..\"] provider: unknown provider 'x'",
        "--dns-zone-name: [zone \"..\"]: the name has an empty label",
        "--federation-name: [fleet] name: 'a.b' is not",
        "dns.conf: [cluster \"NAME\"]: is missing",
    ]);
}

#[test]
fn members_without_sections_are_the_contexts_of_the_kubeconfig() {
    let text = "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n";
    let config = case(text).variable("HOME", "/h").file("/h/.kube/config", "").contexts(&["kind"]).config();
    let paths = vec![PathBuf::from("/h/.kube/config")];
    assert_eq!(config.members[0].access, Access::Kubeconfig { paths, context: Some("kind".to_owned()) });
    // A context needs no kubeconfig of its own when there is one already.
    let named = format!("{text}[cluster \"west\"]\ncontext = w\n");
    let config = case(&named).variable("KUBECONFIG", "/k").config();
    let paths = vec![PathBuf::from("/k")];
    assert_eq!(config.members[0].access, Access::Kubeconfig { paths, context: Some("w".to_owned()) });

    let kubeconfig = |contexts: &[&str]| case(text).variable("KUBECONFIG", "/k").contexts(contexts);
    kubeconfig(&[]).faults(&["dns.conf: [cluster \"NAME\"]: is missing, and /k has no context"]);
    kubeconfig(&["a b"]).faults(&[
        "dns.conf: [cluster \"NAME\"]: is missing, and a context of /k cannot stand in its place: 'a b' cannot name",
    ]);
    kubeconfig(&["!"]).faults(&[
        "dns.conf: [cluster \"NAME\"]: is missing, and the contexts of /k cannot be used in its place: it is broken",
    ]);
}

#[test]
fn the_socket_and_the_state_have_their_usual_places() {
    let usual = |path: &str| Socket::Usual(path.into());
    for (variables, root, socket) in [
        (&[][..], false, Socket::Off),
        (&[("XDG_RUNTIME_DIR", "/run/user/7")], false, usual("/run/user/7/fleetdns.sock")),
        (&[("XDG_RUNTIME_DIR", "/run/user/0")], true, usual("/run/fleetdns/fleetdns.sock")),
        (&[("RUNTIME_DIRECTORY", "/run/a:/run/b")], true, usual("/run/a/fleetdns.sock")),
    ] {
        let mut case = case(BASE);
        case.root = root;
        for (name, value) in variables {
            case = case.variable(name, value);
        }
        assert_eq!(case.config().admin.socket, socket);
    }
    let off =
        case(&format!("{BASE}[admin]\nsocket = OFF\n")).variable("RUNTIME_DIRECTORY", "/run/a").config();
    assert_eq!((off.admin.socket, off.fleet.state_dir), (Socket::Off, None));
    let kept = case(BASE).variable("STATE_DIRECTORY", "/var/lib/a:/var/lib/b").config();
    assert_eq!(kept.fleet.state_dir.as_deref(), Some(Path::new("/var/lib/a")));
    check(
        &format!("{BASE}[admin]\nsocket = run/s\n"),
        &["dns.conf:7: [admin] socket: 'run/s' is not an absolute path, or off"],
    );
}

#[test]
fn kubefeds_flags_alone_are_a_config() {
    let alone = |flags: &str| case("").flags(flags).variable("KUBECONFIG", "/a").contexts(&["west"]);
    let flags = "--federation-name fed --dns-provider aws-route53 --dns-zone-name example.com. --zone-id Z0123456789ABC";
    let config = alone(flags).load().unwrap();
    let zone = &config.zones[0];
    assert_eq!((zone.settings.zone.as_str(), zone.provider), ("example.com", "aws-route53"));
    assert_eq!(zone.keys.get("zone-id"), Some("Z0123456789ABC"));
    assert_eq!(config.members.len(), 1);
    // A file that is named has to be there, by whatever name.
    for named in ["-c none.conf", "-c /etc/fleetdns/dns.conf"] {
        let faults = alone(&format!("{flags} {named}")).load().unwrap_err();
        assert_eq!(faults.len(), 1, "{}", lines(&faults));
        assert!(faults[0].problem.starts_with("cannot be read: "), "{}", lines(&faults));
    }
    // What the flags leave open is said beside the file that is not there.
    let faults = alone("--federation-name fed").load().unwrap_err();
    assert!(
        faults[0].to_string().starts_with("/etc/fleetdns/dns.conf: cannot be read: "),
        "{}",
        lines(&faults)
    );
    assert!(faults.iter().any(|fault| fault.section == "zone \"NAME\""), "{}", lines(&faults));
}

#[test]
fn a_zone_id_is_a_key_of_some_providers_only() {
    case(BASE).flags("--zone-id Z1").faults(&["--zone-id: [zone \"example.com\"] zone-id: is a key of "]);
}

#[test]
fn a_cluster_may_have_limits_of_its_own() {
    let text = format!("{BASE}max-services = 7\n[cluster \"there\"]\nkubeconfig = x\n")
        .replace("name = fed", "name = fed\nmax-services = 5\nmax-object-size = 64KiB");
    let config = case(&text).config();
    let limits: Vec<_> = config.members.iter().map(|m| (m.limits.objects, m.limits.object_size)).collect();
    assert_eq!(limits, [(7, 65536), (5, 65536)]);
    assert_eq!(config.members[0].limits.list_size, 1 << 30);
}

#[test]
fn networks_are_denied_and_allowed_for_all_and_for_one_cluster() {
    let text = format!("{BASE}address-allow = 127.0.0.0/8\n[cluster \"there\"]\nkubeconfig = x\n")
        .replace("name = fed", "name = fed\naddress-deny = 10.0.0.0/8, fd00::/8\naddress-allow = 10.1.2.3");
    let config = case(&text).config();
    let policies = config.publish_settings().addresses;
    let may = |member: &str, address: &str| {
        let member = member.parse().unwrap();
        let own = policies.members.contains_key(&member);
        let guard = if own { Guard::Member(Box::new(member)) } else { Guard::Fleet };
        let spec = ProbeSpec { guard, ..ProbeSpec::tcp(80) };
        policies.check(address.parse().unwrap(), &spec).is_ok()
    };
    assert!(may("here", "127.0.0.1") && !may("there", "127.0.0.1"));
    assert!(
        !may("here", "10.1.2.3") && may("there", "10.1.2.3"),
        "a cluster's key takes the place of the fleet's"
    );
    assert!(!may("here", "10.1.2.4") && !may("there", "10.1.2.4") && !may("there", "fd00::1"));
    assert_eq!(config.probe_settings().addresses, policies);
    // Where the daemon itself listens.
    let own: Vec<String> = policies.listeners.iter().map(ToString::to_string).collect();
    assert_eq!(own, ["127.0.0.1:5353", "127.0.0.1:8053"]);
    case(&text.replace("fd00::/8", "fd00::/129"))
        .faults(&["dns.conf:3: [fleet] address-deny: 'fd00::/129' is not a network such as 10.0.0.0/8"]);
}
