use super::*;
use fleetdns_core::name::DnsName;
use fleetdns_planner::publish::publish;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn catalog() -> Catalog {
    let zone: DnsName = "example.com".parse().unwrap();
    let settings = PublishSettings {
        fleet: Some("fed".parse().unwrap()),
        zones: vec![(zone.clone(), zone)],
        ..PublishSettings::default()
    };
    Catalog::new(Arc::new(settings), Patience::default())
}

fn service(name: &str, ips: &[&str]) -> Service {
    let item = |ip: &&str| Ingress { ip: Some((*ip).to_owned()), hostname: None };
    Service {
        namespace: "default".into(),
        name: name.into(),
        ingress: (!ips.is_empty()).then(|| ips.iter().map(item).collect()),
        ..Service::default()
    }
}

fn key(name: &str) -> ServiceKey {
    ServiceKey::new("default", name).unwrap()
}

fn all(names: &str) -> Vec<Listed> {
    names.chars().map(|c| Listed::Service(service(&c.to_string(), &["203.0.113.1"]))).collect()
}

fn listed(names: &str) -> Catalog {
    let mut catalog = catalog();
    let _ = catalog.list(all(names), s(0));
    catalog
}

fn names(catalog: &Catalog) -> String {
    catalog.services().keys().map(ServiceKey::name).collect()
}

fn addresses(catalog: &Catalog, name: &str) -> Option<Vec<String>> {
    let published = catalog.services().get(&key(name)).unwrap();
    published.addresses.as_ref().map(|set| set.iter().map(ToString::to_string).collect())
}

/// Lists one after the other, each `seconds:names`; what stands after each.
fn story(first: &str, lists: &[(u64, &str, &str)]) {
    let mut catalog = listed(first);
    for (seconds, list, stands) in lists {
        let _ = catalog.list(all(list), s(*seconds));
        assert_eq!(names(&catalog), *stands, "{first} then {list:?} at {seconds} s");
    }
}

#[test]
fn nothing_is_listed_before_a_list() {
    let mut catalog = catalog();
    assert!(!catalog.is_listed());
    let _ = catalog.recall(&marked(""), s(0));
    assert!(!catalog.is_listed());
    assert!(!catalog.list([], s(1)).changed);
    assert!(catalog.is_listed() && catalog.services().is_empty());
}

const OLD: &str = "http:80@x.example/old";

/// What marks tell of Services with these names.
fn marked(names: &str) -> OrdMap<ServiceKey, Arc<Published>> {
    let one = |name: char| {
        let mut published =
            publish(&service(&name.to_string(), &["203.0.113.1"]), &PublishSettings::default()).unwrap();
        // A mark does not tell what the settings make of a Service now.
        published.probe = Arc::new(OLD.parse().unwrap());
        (published.key.clone(), Arc::new(published))
    };
    names.chars().map(one).collect()
}

fn probes(catalog: &Catalog) -> String {
    catalog.services().values().map(|one| if one.probe.to_string() == OLD { 'm' } else { 'n' }).collect()
}

#[test]
fn a_first_list_counts_however_small_it_is() {
    let catalog = listed("");
    assert!(catalog.is_listed());
    assert_eq!(catalog.unconfirmed(), None);
}

#[test]
fn what_marks_tell_stands_until_the_first_list() {
    let mut catalog = catalog();
    assert!(catalog.recall(&marked("ab"), s(0)).changed);
    assert!(catalog.recall(&marked("bc"), s(1)).changed, "another zone");
    assert_eq!((names(&catalog).as_str(), catalog.is_listed()), ("abc", false));
    let _ = catalog.list(all("bcd"), s(2));
    assert_eq!((names(&catalog).as_str(), probes(&catalog).as_str()), ("bcd", "nnn"));
}

#[test]
fn a_first_list_that_misses_half_of_what_marks_tell_is_confirmed_like_any_other() {
    for (first, second, at, stands) in [
        ("", "", 31, "abcd"),
        ("", "", 32, ""),
        ("ab", "ab", 32, "ab"),
        ("ab", "abcd", 32, "abcd"),
        ("x", "x", 32, "x"),
    ] {
        let mut catalog = catalog();
        let _ = catalog.recall(&marked("abcd"), s(0));
        let _ = catalog.list(all(first), s(2));
        assert!(names(&catalog).starts_with("abcd"), "{first}");
        assert_eq!(catalog.unconfirmed().unwrap().due, s(32));
        let _ = catalog.list(all(second), s(at));
        assert_eq!(names(&catalog), stands, "{first} then {second} at {at}");
        assert!(
            stands == "abcd" && at < 32 || probes(&catalog).chars().all(|probe| probe == 'n'),
            "read again"
        );
    }
}

#[test]
fn what_a_list_missed_before_the_marks_were_read_is_doubted_from_then_on() {
    let mut catalog = listed("e");
    assert!(catalog.recall(&marked("abe"), s(10)).changed);
    assert_eq!((names(&catalog).as_str(), probes(&catalog).as_str()), ("abe", "mmn"));
    let _ = catalog.list(all("e"), s(39));
    assert_eq!(names(&catalog), "abe");
    let _ = catalog.remove(&key("a"), Duration::ZERO);
    assert_eq!(names(&catalog), "be", "the API says so itself");
    let _ = catalog.list(all("e"), s(40));
    assert_eq!(names(&catalog), "e");
    // A few that are missing may as well have been deleted meanwhile.
    let mut catalog = listed("de");
    assert!(!catalog.recall(&marked("ade"), s(10)).changed);
    assert_eq!((names(&catalog).as_str(), catalog.unconfirmed()), ("de", None));
}

#[test]
fn a_status_that_was_emptied_while_nobody_watched_has_its_grace() {
    for marks_first in [true, false] {
        let mut catalog = catalog();
        let item = || [Listed::Service(service("a", &[]))];
        if marks_first {
            let _ = catalog.recall(&marked("a"), s(1));
            let _ = catalog.list(item(), s(1));
        } else {
            let _ = catalog.list(item(), s(1));
            let _ = catalog.recall(&marked("a"), s(1));
        }
        assert_eq!(addresses(&catalog, "a").unwrap(), ["203.0.113.1"]);
        let _ = catalog.list(item(), s(20));
        assert_eq!(catalog.next_tick(), Some(s(31)));
        assert!(catalog.tick(s(31)).changed);
        assert_eq!(addresses(&catalog, "a").unwrap(), Vec::<String>::new());
    }
}

#[test]
fn what_cannot_be_read_in_the_first_list_stands_as_its_marks_tell() {
    let mut catalog = catalog();
    let _ = catalog.recall(&marked("ab"), s(0));
    let _ = catalog.list([Listed::Unreadable(key("a")), Listed::Gone(key("b"))], s(1));
    assert_eq!(names(&catalog), "a");
}

#[test]
fn less_than_half_missing_counts_at_once() {
    story("abc", &[(1, "ab", "ab")]);
    story("abcde", &[(1, "abc", "abc")]);
}

#[test]
fn half_or_more_missing_waits_for_a_second_list() {
    story("ab", &[(1, "a", "ab"), (31, "a", "a")]);
    story("abc", &[(1, "", "abc"), (30, "", "abc"), (31, "", "")]);
    story("a", &[(1, "", "a"), (60, "", "")]);
}

#[test]
fn a_service_that_comes_back_was_never_gone() {
    story("abcd", &[(1, "", "abcd"), (31, "abcd", "abcd"), (32, "", "abcd"), (33, "", "abcd"), (62, "", "")]);
}

#[test]
fn only_what_is_missing_twice_goes_and_the_rest_is_doubted_again() {
    story("abcd", &[(1, "cd", "abcd"), (31, "", "cd"), (60, "", "cd"), (61, "", "")]);
    story("abcd", &[(1, "cd", "abcd"), (5, "ab", "abcd"), (34, "ab", "abcd"), (35, "ab", "ab")]);
}

#[test]
fn a_few_more_missing_at_the_confirmation_go_with_the_others() {
    story("abcdefgh", &[(1, "efgh", "abcdefgh"), (31, "efg", "efg")]);
}

#[test]
fn a_list_before_the_confirmation_is_due_removes_nothing_however_little_it_misses() {
    story("abcde", &[(1, "a", "abcde"), (10, "abcd", "abcde"), (30, "abcd", "abcde"), (31, "abcd", "abcd")]);
    story("abcde", &[(1, "a", "abcde"), (10, "abcde", "abcde"), (12, "abcd", "abcd")]);
}

#[test]
fn what_the_first_list_of_a_rebuilt_cluster_misses_waits_for_a_second_one() {
    for (at, second, stands) in
        [(30, "abcd", "abcde"), (31, "abcd", "abcd"), (31, "abcde", "abcde"), (31, "abc", "abc")]
    {
        let mut catalog = listed("abcde");
        let _ = catalog.list_rebuilt(all("abcd"), s(1));
        assert_eq!((names(&catalog).as_str(), catalog.unconfirmed().unwrap().due), ("abcde", s(31)));
        let _ = catalog.list(all(second), s(at));
        assert_eq!(names(&catalog), stands, "{second} at {at} s");
    }
    let mut catalog = listed("abc");
    let _ = catalog.list_rebuilt(all("abcd"), s(1));
    assert_eq!((names(&catalog).as_str(), catalog.unconfirmed()), ("abcd", None));
}

#[test]
fn a_cluster_that_is_rebuilt_again_and_again_is_not_doubted_for_ever() {
    let mut catalog = listed("abcde");
    let _ = catalog.list_rebuilt(all("abcd"), s(1));
    let _ = catalog.list_rebuilt(all("abcd"), s(20));
    assert_eq!(names(&catalog), "abcde");
    let _ = catalog.list_rebuilt(all("abc"), s(31));
    assert_eq!((names(&catalog).as_str(), catalog.unconfirmed().unwrap().due), ("abcd", s(61)));
}

#[test]
fn additions_of_a_doubted_list_count_at_once() {
    story("ab", &[(1, "xy", "abxy"), (31, "xy", "xy")]);
}

#[test]
fn what_is_doubted_says_how_much_and_until_when() {
    let mut catalog = listed("abc");
    let _ = catalog.list(all("a"), s(10));
    let self_check = catalog.unconfirmed().unwrap();
    assert_eq!((self_check.missing.len(), self_check.known, self_check.due), (2, 3, s(40)));
}

#[test]
fn a_deletion_on_the_watch_counts_at_once() {
    let mut catalog = listed("abc");
    assert!(catalog.remove(&key("a"), Duration::ZERO).changed);
    assert!(catalog.remove(&key("b"), Duration::ZERO).changed);
    assert!(!catalog.remove(&key("b"), Duration::ZERO).changed);
    assert_eq!(names(&catalog), "c");
}

#[test]
fn a_deletion_on_the_watch_ends_the_doubt() {
    let mut catalog = listed("ab");
    let _ = catalog.list(all("b"), s(1));
    assert!(catalog.unconfirmed().is_some());
    assert!(catalog.remove(&key("a"), Duration::ZERO).changed);
    assert_eq!(catalog.unconfirmed(), None);
}

#[test]
fn what_is_listed_as_gone_goes_at_once_and_what_cannot_be_read_stays() {
    let mut catalog = listed("ab");
    let changes = catalog.list([Listed::Gone(key("a")), Listed::Unreadable(key("b"))], s(1));
    assert!(changes.changed);
    assert_eq!(names(&catalog), "b");
    assert_eq!(catalog.unconfirmed(), None);
}

#[test]
fn opting_out_counts_at_once() {
    let mut catalog = listed("ab");
    let mut out = service("a", &["203.0.113.1"]);
    out.annotations.insert("fleetdns.io/exclude".into(), "true".into());
    assert!(catalog.put(out, s(1)).changed);
    assert_eq!(names(&catalog), "b");
}

#[test]
fn an_unchanged_service_keeps_its_arc_and_changes_nothing() {
    let mut catalog = listed("abc");
    let before = catalog.services().clone();
    let mut again = all("abc");
    again[1] = Listed::Service(service("b", &["203.0.113.9"]));
    assert_eq!(catalog.list(all("abc"), s(1)), Changes::default());
    assert!(catalog.list(again, s(2)).changed);
    let same = |name| Arc::ptr_eq(&before[&key(name)], &catalog.services()[&key(name)]);
    assert!(same("a") && same("c") && !same("b"));
}

#[test]
fn an_emptied_status_keeps_its_address_for_the_grace() {
    let mut catalog = listed("a");
    assert!(!catalog.put(service("a", &[]), s(10)).changed);
    assert_eq!(catalog.next_tick(), Some(s(40)));
    assert!(!catalog.put(service("a", &[]), s(20)).changed);
    assert!(!catalog.tick(s(39)).changed);
    assert_eq!(addresses(&catalog, "a"), Some(vec!["203.0.113.1".to_owned()]));
    assert!(catalog.tick(s(40)).changed);
    assert_eq!(addresses(&catalog, "a"), Some(vec![]));
    assert_eq!(catalog.next_tick(), None);
    assert!(!catalog.put(service("a", &[]), s(50)).changed);
    assert_eq!(addresses(&catalog, "a"), Some(vec![]));
}

#[test]
fn a_list_ends_the_grace_as_well_as_a_tick() {
    let mut catalog = listed("a");
    let _ = catalog.list([Listed::Service(service("a", &[]))], s(10));
    let _ = catalog.list([Listed::Service(service("a", &[]))], s(41));
    assert_eq!(addresses(&catalog, "a"), Some(vec![]));
    assert_eq!(catalog.next_tick(), None);
}

#[test]
fn an_address_that_returns_within_the_grace_ends_it() {
    let mut catalog = listed("a");
    let _ = catalog.put(service("a", &[]), s(10));
    let _ = catalog.put(service("a", &["203.0.113.2"]), s(20));
    assert!(!catalog.tick(s(60)).changed);
    assert_eq!(addresses(&catalog, "a"), Some(vec!["203.0.113.2".to_owned()]));
    let _ = catalog.put(service("a", &[]), s(70));
    assert_eq!(catalog.next_tick(), Some(s(100)));
}

#[test]
fn other_changes_are_seen_during_the_grace() {
    let mut catalog = listed("a");
    let mut emptied = service("a", &[]);
    emptied.annotations.insert("fleetdns.io/ttl".into(), "60".into());
    assert!(catalog.put(emptied, s(10)).changed);
    assert_eq!(catalog.services()[&key("a")].ttl.map(fleetdns_core::Ttl::seconds), Some(60));
    assert_eq!(addresses(&catalog, "a"), Some(vec!["203.0.113.1".to_owned()]));
}

#[test]
fn no_grace_ends_while_the_api_is_away() {
    let mut catalog = listed("a");
    assert!(!catalog.put(service("a", &[]), s(10)).changed);
    catalog.set_away(true, s(20));
    assert_eq!((catalog.next_tick(), catalog.tick(s(500)).changed), (None, false));
    assert!(addresses(&catalog, "a").is_some_and(|all| !all.is_empty()));
    // It may say otherwise now that it is back, and has as long for that as at first.
    catalog.set_away(false, s(500));
    assert_eq!((catalog.next_tick(), catalog.tick(s(529)).changed), (Some(s(530)), false));
    assert!(catalog.tick(s(530)).changed);
}

#[test]
fn a_deletion_has_no_grace() {
    let mut catalog = listed("a");
    let _ = catalog.put(service("a", &[]), s(10));
    assert!(catalog.remove(&key("a"), Duration::ZERO).changed);
    assert_eq!(catalog.next_tick(), None);
    assert!(!catalog.tick(s(60)).changed);
}

#[test]
fn a_service_that_never_had_an_address_has_none() {
    let mut catalog = catalog();
    let mut explicit = service("b", &[]);
    explicit.ingress = Some(vec![]);
    let _ = catalog.list([Listed::Service(service("a", &[])), Listed::Service(explicit)], s(0));
    assert_eq!(addresses(&catalog, "a"), None);
    assert_eq!(addresses(&catalog, "b"), None);
    assert_eq!(catalog.next_tick(), None);
}

#[test]
fn faults_are_said_when_they_are_new() {
    let mut catalog = catalog();
    let bad = || service("a", &["0.0.0.0"]);
    assert_eq!(catalog.put(bad(), s(0)).faulty.len(), 1);
    assert_eq!(catalog.put(bad(), s(1)).faulty.len(), 0);
    let mut other = bad();
    other.annotations.insert("fleetdns.io/target".into(), "203.0.113.1".into());
    assert_eq!(catalog.put(other, s(2)).faulty.len(), 0);
    assert_eq!(catalog.put(bad(), s(3)).faulty.len(), 1);
}

fn asking(name: &str, hostname: &str) -> Service {
    let annotations = BTreeMap::from([("fleetdns.io/hostname".to_owned(), hostname.to_owned())]);
    Service { annotations, ..service(name, &["203.0.113.1"]) }
}

fn absent(catalog: &Catalog) -> String {
    catalog.absent().keys().map(ServiceKey::name).collect()
}

#[test]
fn host_names_are_kept_for_a_deleted_service_until_it_is_back_or_its_time_is_over() {
    let mut catalog = catalog();
    for name in ["a", "b", "c"] {
        let _ = catalog.put(asking(name, &format!("{name}.example.com")), s(0));
    }
    let _ = catalog.put(service("d", &["203.0.113.1"]), s(0));
    for name in ["a", "b", "d"] {
        assert!(catalog.remove(&key(name), s(10)).changed);
    }
    let out =
        Service { annotations: [("fleetdns.io/exclude".into(), "true".into())].into(), ..service("c", &[]) };
    assert!(catalog.put(out, s(10)).changed);
    assert_eq!(
        (names(&catalog).as_str(), absent(&catalog).as_str()),
        ("", "ab"),
        "d has none, c gave them up"
    );
    assert!(catalog.put(asking("a", "a.example.com"), s(20)).changed);
    assert_eq!((names(&catalog).as_str(), absent(&catalog).as_str()), ("a", "b"));
    assert_eq!(catalog.next_tick(), Some(s(130)));
    assert!(!catalog.tick(s(129)).changed);
    assert!(catalog.tick(s(130)).changed);
    assert_eq!((absent(&catalog).as_str(), catalog.next_tick()), ("", None));
}

#[test]
fn host_names_are_kept_in_bounds_and_while_the_api_is_away() {
    let mut settings =
        PublishSettings { zones: catalog().settings.zones.clone(), ..PublishSettings::default() };
    settings.limits.namespace_hostnames = 3;
    let mut catalog = Catalog::new(Arc::new(settings), Patience::default());
    for name in ["a", "b", "c"] {
        let _ = catalog.put(asking(name, &format!("{name}1.example.com,{name}2.example.com")), s(0));
        let _ = catalog.remove(&key(name), s(1));
    }
    assert_eq!(absent(&catalog), "a", "no namespace has more names kept than it may have");
    catalog.set_away(true, s(2));
    assert_eq!((catalog.tick(s(500)).changed, catalog.next_tick()), (false, None));
    catalog.set_away(false, s(500));
    assert_eq!((absent(&catalog).as_str(), catalog.next_tick()), ("a", Some(s(620))));
    let none = Patience { hostname_grace: Duration::ZERO, ..Patience::default() };
    let mut catalog = Catalog::new(Arc::clone(&catalog.settings), none);
    let _ = catalog.put(asking("a", "a.example.com"), s(0));
    assert!(catalog.remove(&key("a"), s(1)).changed);
    assert_eq!(absent(&catalog), "");
}

/// A catalog with limits on host names, of one Service and of one namespace.
fn limited(service: usize, namespace: usize) -> Catalog {
    let mut settings =
        PublishSettings { zones: catalog().settings.zones.clone(), ..PublishSettings::default() };
    (settings.limits.service_hostnames, settings.limits.namespace_hostnames) = (service, namespace);
    Catalog::new(Arc::new(settings), Patience::default())
}

/// The host names that a Service has, by their first letters, and what is said of the others.
fn hostnames(catalog: &Catalog, name: &str) -> (String, String) {
    let published = catalog.services().get(&key(name)).unwrap();
    let names = published.hostnames.iter().map(|name| name.labels().next().unwrap());
    let faults = published.faults.iter().map(ToString::to_string).collect::<Vec<_>>();
    (names.collect::<Vec<_>>().join(" "), faults.join("; "))
}

fn list_of(letters: &str) -> String {
    letters.split(' ').map(|letter| format!("{letter}.example.com")).collect::<Vec<_>>().join(",")
}

#[test]
fn a_service_has_as_many_host_names_as_it_may_and_keeps_those_that_it_had() {
    let mut catalog = limited(3, 100);
    let _ = catalog.put(asking("x", &list_of("m n o")), s(0));
    assert_eq!(hostnames(&catalog, "x"), ("m n o".to_owned(), String::new()), "the limit itself is allowed");
    let changes = catalog.put(asking("x", &list_of("a b m n o c")), s(1));
    let (names, fault) = hostnames(&catalog, "x");
    assert_eq!(names, "m n o");
    assert!(fault.contains("a.example.com") && fault.contains("service-hostnames"), "{fault}");
    assert_eq!(changes.faulty.len(), 1, "it is logged once");
    assert!(catalog.put(asking("x", &list_of("a b m n o c")), s(2)).faulty.is_empty());
    let _ = catalog.put(asking("x", &list_of("a b n")), s(3));
    assert_eq!(hostnames(&catalog, "x"), ("a b n".to_owned(), String::new()));
    // Another Service is another matter.
    let _ = catalog.put(asking("y", &list_of("d e f")), s(4));
    assert_eq!(hostnames(&catalog, "y").0, "d e f");
}

#[test]
fn a_namespace_has_as_many_host_names_as_it_may_and_the_next_list_looks_again() {
    let mut catalog = limited(100, 4);
    let _ = catalog.put(asking("x", &list_of("a b c")), s(0));
    let _ = catalog.put(asking("y", &list_of("d e")), s(0));
    let (names, fault) = hostnames(&catalog, "y");
    assert_eq!(names, "d");
    assert!(fault.contains("e.example.com") && fault.contains("namespace-hostnames"), "{fault}");
    // A namespace counts for itself.
    let other = Service { namespace: "other".into(), ..asking("z", &list_of("f g h i")) };
    let other_key = other.key().unwrap();
    let _ = catalog.put(other, s(0));
    assert_eq!(catalog.services().get(&other_key).unwrap().hostnames.len(), 4);
    // What one gives up, the other has with the next list.
    let _ = catalog.put(asking("x", &list_of("a")), s(1));
    let other = Service { namespace: "other".into(), ..asking("z", &list_of("f g h i")) };
    let all = [asking("x", &list_of("a")), asking("y", &list_of("d e")), other];
    let _ = catalog.list(all.map(Listed::Service), s(2));
    assert_eq!(hostnames(&catalog, "y"), ("d e".to_owned(), String::new()));
}
