use std::collections::{BTreeMap, BTreeSet};

use fleetdns_core::MemberName;
use fleetdns_watch::{Access, Limits};
use proptest::prelude::*;

use super::*;
use crate::config::{Flags, Outside};

const TEXT: &str =
    "[fleet]\nname = fed\n[zone \"example.com\"]\nprovider = embedded\n[discovery]\ndirectory = /none\n";

/// A member of the directory, or of dns.conf without a file.
fn member(name: &str, file: Option<&str>, endpoint: Option<u64>) -> MemberConfig {
    MemberConfig {
        name: name.parse().unwrap(),
        access: Access::InCluster,
        region: None,
        zones: BTreeSet::new(),
        probe: None,
        limits: Limits::default(),
        // What its file holds.
        files: endpoint.unwrap_or_default(),
        endpoint,
        origin: file.map_or(Origin::Config, |file| Origin::File(file.into())),
    }
}

fn candidate(name: &str, file: &str, endpoint: u64) -> Candidate {
    // An endpoint of 0 is a file that is cut short.
    let broken = (endpoint == 0).then(|| "cut short".to_owned());
    Candidate { member: member(name, Some(file), (endpoint > 0).then_some(endpoint)), broken }
}

fn config(named: &[&str], members: Vec<Candidate>, failed: bool) -> Config {
    let mut config =
        Config::parse("dns.conf", TEXT.as_bytes(), &Flags::default(), &Outside::system(&|_| Ok(vec![])))
            .unwrap();
    config.named = named.iter().map(|name| member(name, None, None)).collect();
    let state = if failed { State::Failed("cannot be read: test".to_owned()) } else { State::Read };
    config.discovered =
        vec![Listing { members, state, ..Listing::new(Kind::Directory, "directory /none".to_owned()) }];
    config
}

/// Files with the numbers of their API servers.
fn files(all: &[(&str, u64)]) -> Vec<Candidate> {
    all.iter().map(|(name, endpoint)| candidate(name, name, *endpoint)).collect()
}

fn names(config: &Config) -> Vec<&str> {
    config.members.iter().map(|one| one.name.as_str()).collect()
}

/// Takes one configuration after another, and returns the last one.
fn after(steps: Vec<(Config, bool)>) -> Config {
    let mut running: Option<Config> = None;
    for (mut next, confirmed) in steps {
        next.settle(running.as_ref(), confirmed);
        running = Some(next);
    }
    running.unwrap()
}

#[test]
fn one_that_is_dropped_joins_and_one_that_is_removed_leaves() {
    let settled = after(vec![
        (config(&["a"], files(&[("b", 1)]), false), false),
        (config(&["a"], files(&[("b", 1), ("c", 2), ("d", 3)]), false), false),
        (config(&["a"], files(&[("b", 1), ("d", 3)]), false), false),
    ]);
    assert_eq!((names(&settled), &settled.source_faults[..]), (vec!["a", "b", "d"], &[][..]));
}

#[test]
fn a_source_that_fails_or_loses_most_keeps_its_members_until_an_operator_confirms() {
    let full = || config(&["x", "y", "z"], files(&[("a", 1), ("b", 2), ("c", 3)]), false);
    let all = vec!["x", "y", "z", "a", "b", "c"];
    for confirmed in [false, true] {
        let failed = after(vec![(full(), false), (config(&["x", "y", "z"], vec![], true), confirmed)]);
        assert_eq!(names(&failed), all, "not even an operator knows who has gone");
        assert_eq!(failed.source_faults, ["directory /none cannot be read: test"]);
    }
    for left in [&[][..], &[("a", 1)]] {
        let less = || config(&["x", "y", "z"], files(left), false);
        // However often it is looked at.
        let held = after(vec![(full(), false), (less(), false), (less(), false)]);
        assert_eq!(names(&held), all);
        assert!(held.source_faults[0].contains("of 3 clusters are gone at once and stay"), "{held:?}");
        let confirmed = after(vec![(full(), false), (less(), false), (less(), true)]);
        assert_eq!((confirmed.members.len(), &confirmed.source_faults[..]), (3 + left.len(), &[][..]));
    }
    // Its only one may leave, as long as that is not most of the fleet.
    let only = |named: &[&str]| {
        after(vec![(config(named, files(&[("a", 1)]), false), false), (config(named, vec![], false), false)])
    };
    assert_eq!(names(&only(&["x"])), ["x"]);
    let all = only(&[]);
    assert!(
        names(&all) == ["a"] && all.source_faults[0].starts_with("more than half of 1 clusters are gone")
    );
}

#[test]
fn a_source_that_was_never_read_leaves_open_who_is_a_member() {
    let steps = |second: (Config, bool)| after(vec![(config(&[], vec![], false), false), second]);
    assert_eq!(steps((config(&[], vec![], false), false)).completeness, Completeness::Unread);
    assert_eq!(steps((config(&[], vec![], true), true)).completeness, Completeness::Unread);
    assert_eq!(steps((config(&[], vec![], false), true)).completeness, Completeness::Confirmed);
    assert_eq!(steps((config(&[], files(&[("a", 1)]), false), false)).completeness, Completeness::Read);
    let later =
        after(vec![(config(&[], files(&[("a", 1)]), false), false), (config(&[], vec![], true), false)]);
    assert_eq!(later.completeness, Completeness::Read, "who was known once is known");
}

#[test]
fn a_file_that_is_cut_short_or_names_another_ones_api_server_changes_nothing() {
    for (file, part) in [(("b", 0), "cut short"), (("b", 1), "its API server is that of cluster z")] {
        let settled = after(vec![
            (config(&[], files(&[("b", 2), ("z", 1)]), false), false),
            (config(&[], files(&[file, ("z", 1)]), false), false),
        ]);
        assert_eq!(names(&settled), ["b", "z"]);
        assert_eq!(settled.members[0].files, 2, "it is watched as before");
        assert!(settled.source_faults[0].contains(part), "{settled:?}");
        assert!(settled.source_faults[0].ends_with("what was read before stands"), "{settled:?}");
    }
    // A file of another name, and a new one that sorts before.
    let settled = after(vec![
        (config(&[], files(&[("b", 1)]), false), false),
        (
            config(&[], vec![candidate("b", "a", 2), candidate("a", "aa", 1), candidate("b", "b", 1)], false),
            false,
        ),
    ]);
    assert_eq!(settled.members, [member("b", Some("b"), Some(1))]);
    assert_eq!(settled.source_faults.len(), 2, "{settled:?}");
}

#[test]
fn one_that_cannot_be_used_gives_way_to_a_usable_one_of_its_name() {
    let pair = || vec![candidate("a", "older", 0), candidate("a", "younger", 1)];
    let at_once = after(vec![(config(&[], pair(), false), false)]);
    let later = after(vec![
        (config(&[], vec![candidate("a", "older", 0)], false), false),
        (config(&[], pair(), false), false),
    ]);
    for settled in [at_once, later] {
        assert_eq!(settled.members, [member("a", Some("younger"), Some(1))]);
        assert!(settled.source_faults[0].contains("cut short"), "{settled:?}");
    }
}

#[test]
fn sources_may_name_so_many() {
    let many =
        (1..=MOST as u64 + 2).map(|number| candidate(&format!("c{number}"), &number.to_string(), number));
    let settled = after(vec![(config(&["x"], many.collect(), false), false)]);
    assert_eq!(settled.members.len(), MOST + 1);
    assert_eq!(settled.source_faults, ["2 clusters are left out: sources may name 1000 in all"]);
}

/// What the directory says at one look, and who asks for it.
#[derive(Debug, Clone)]
struct Look {
    files: Vec<(u8, u64)>,
    named: BTreeSet<u8>,
    failed: bool,
    confirmed: bool,
}

fn look() -> impl Strategy<Value = Look> {
    let file = (0..8_u8, 0..8_u64);
    let files = prop_oneof![
        4 => prop::collection::vec(file, 0..8),
        1 => Just(Vec::new()),
    ];
    let named = prop::collection::btree_set(0..4_u8, 0..2);
    (files, named, prop::bool::weighted(0.2), prop::bool::weighted(0.2))
        .prop_map(|(files, named, failed, confirmed)| Look { files, named, failed, confirmed })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn nobody_is_removed_wrongly(looks in prop::collection::vec(look(), 1..12)) {
        let mut running: Option<Config> = None;
        for Look { files, named, failed, confirmed } in looks {
            // Files of one name in several folders, so to speak: names repeat, files do not.
            let files: BTreeMap<String, (u8, u64)> =
                files.iter().enumerate().map(|(place, file)| (format!("{}-{}", file.0, place % 2), *file)).collect();
            let candidates = files.iter().map(|(path, (name, endpoint))| candidate(&format!("c{name}"), path, *endpoint));
            let named: Vec<String> = named.iter().map(|name| format!("c{name}")).collect();
            let named: Vec<&str> = named.iter().map(String::as_str).collect();
            let listed: Vec<Candidate> = if failed { Vec::new() } else { candidates.collect() };
            let mut next = config(&named, listed.clone(), failed);
            next.settle(running.as_ref(), confirmed);

            let unique: BTreeSet<&MemberName> = next.members.iter().map(|one| &one.name).collect();
            prop_assert_eq!(unique.len(), next.members.len());
            let endpoints = || next.members.iter().filter_map(|one| one.endpoint);
            prop_assert_eq!(endpoints().collect::<BTreeSet<_>>().len(), endpoints().count());
            prop_assert!(named.iter().all(|name| names(&next).contains(name)));
            if let Some(before) = &running {
                let discovered = |config: &Config| -> Vec<MemberConfig> {
                    config.members.iter().filter(|one| one.origin != Origin::Config).cloned().collect()
                };
                let had = discovered(before);
                let gone: Vec<&MemberConfig> = had.iter().filter(|one| !unique.contains(&one.name)).collect();
                prop_assert!(!failed || gone.is_empty(), "a source that failed removed {:?}", gone);
                if !confirmed {
                    prop_assert!(gone.len() <= 1 || gone.len() * 2 <= had.len(), "{:?} of {:?}", gone, had);
                    let lost = before.members.iter().filter(|one| !unique.contains(&one.name)).count();
                    prop_assert!(gone.is_empty() || lost * 2 <= before.members.len() , "{} lost, {:?}", lost, gone);
                }
                for old in &had {
                    let still = listed.iter().any(|one| {
                        is_same(&one.member, old) && (one.broken.is_some() || one.member.endpoint == old.endpoint)
                    });
                    let named = named.contains(&old.name.as_str());
                    // One that never could be used gives way to a usable one.
                    let still = still && old.endpoint.is_some();
                    prop_assert!(!still || named || next.members.contains(old), "{:?} was disturbed", old);
                }
            }
            running = Some(next);
        }
    }
}
