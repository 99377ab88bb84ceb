//! Who has a host name, when several Services ask for it or one was away.

use super::*;

const NAME: &str = "www.example.com";

/// A fleet that changes, and what it makes of a zone.
struct Story {
    planner: Planner,
    observed: Observed,
    rules: &'static str,
}

/// A Service in a member: its address, none where it has no load balancer yet, and the hour of its creation.
type Row<'a> = (&'a str, &'a str, &'a str, u8);

impl Story {
    fn new(rules: &'static str) -> Self {
        Self { planner: planner(), observed: Observed::default(), rules }
    }

    /// The planner of a process that has just started.
    fn restarts(&mut self) {
        self.planner = planner();
    }

    fn snapshot(&self, rows: &[Row<'_>]) -> Snapshot {
        let service = |(_, key, address, hour): &Row<'_>| {
            let (namespace, name) = key.split_once('/').unwrap();
            let ingress = if address.is_empty() { vec![] } else { vec![serde_json::json!({"ip": address})] };
            serde_json::json!({"namespace": namespace, "name": name, "ingress": ingress,
                "created": format!("2026-01-01T{hour:02}:00:00Z"),
                "annotations": {"fleetdns.io/hostname": NAME, "fleetdns.io/probe": "none"}})
        };
        let members = ["east", "west"].map(|member| {
            let own = rows.iter().filter(|(of, ..)| *of == member).map(service);
            serde_json::json!({"name": member, "inventory": "live", "services": own.collect::<Vec<_>>()})
        });
        let rules: serde_json::Value = serde_json::from_str(self.rules).unwrap();
        let text = serde_json::json!({"fleet": "fed", "federation-names": false, "hostnames": rules,
            "zones": [{"name": "example.com"}], "members": members});
        crate::simulate::parts_of(&serde_json::from_value(text).unwrap()).1
    }

    /// One pass over a fleet with these Services, of which those behind `gone` were deleted a moment ago. Returns what
    /// stands at the name, and what is refused.
    fn pass(&mut self, rows: &[Row<'_>], gone: &[Row<'_>]) -> (String, String) {
        let mut snapshot = self.snapshot(rows);
        for (name, member) in &self.snapshot(gone).members {
            let mut view = (*snapshot.members[name]).clone();
            view.absent = member.services.clone();
            snapshot.members.insert(name.clone(), Arc::new(view));
        }
        let scope = self.planner.update(&Input::new(&snapshot, &Health::default(), &Overrides::default()));
        let names = self.planner.in_scope(&scope, &self.observed);
        self.planner.remember(&names, &self.observed);
        let plan = self.planner.plan(&scope, &self.observed);
        apply(&mut self.observed, &plan);
        let name: DnsName = NAME.parse().unwrap();
        self.planner.remember([&name], &self.observed);
        let sets = self.observed.at(&name).iter().filter_map(ObservedSet::ours);
        let values: Vec<String> =
            sets.flat_map(RecordData::values).map(|ip| ip.replace("203.0.113.", "")).collect();
        let refused: Vec<String> = plan.refused.iter().map(|one| one.reason.to_string()).collect();
        (values.join(" "), refused.join("; "))
    }

    fn mark(&self) -> String {
        let name: DnsName = NAME.parse().unwrap();
        self.observed.at(&name)[0].claim.mark().unwrap().to_string()
    }
}

const A: Row<'_> = ("west", "aaa/web", "203.0.113.1", 9);
const B: Row<'_> = ("west", "bbb/web", "203.0.113.2", 1);

#[test]
fn a_name_stays_with_who_had_it_over_an_absence_and_no_longer() {
    let mut story = Story::new("{}");
    assert_eq!(story.pass(&[A], &[]).0, "1");
    let (stands, refused) = story.pass(&[A, B], &[]);
    assert_eq!(stands, "1", "an older Service that asks later is refused");
    assert!(refused.contains("aaa/web has this name, bbb/web asks for it too"), "{refused}");
    let (stands, refused) = story.pass(&[B], &[A]);
    assert_eq!(stands, "", "what was deleted goes at once, and nobody takes its place");
    assert!(refused.contains("bbb/web asks for this name, which is kept for aaa/web"), "{refused}");
    assert_eq!(
        story.pass(&[B, ("west", "aaa/web", "", 9)], &[]).0,
        "",
        "it is back and waits for its load balancer"
    );
    assert_eq!(story.pass(&[A, B], &[]).0, "1");
    story.pass(&[B], &[A]);
    assert_eq!(story.pass(&[B], &[]).0, "2", "the absence was too long");
    assert_eq!(story.pass(&[A, B], &[]).0, "2", "who has it now keeps it in turn");
}

#[test]
fn a_kept_name_is_kept_over_a_reload() {
    let mut story = Story::new("{}");
    story.pass(&[A], &[]);
    story.pass(&[A, B], &[]);
    assert_eq!(story.pass(&[B, ("west", "aaa/web", "", 9)], &[]).0, "", "it waits for its load balancer");
    let now = &story.planner;
    story.planner = now.reconfigured(now.zone().clone(), now.capabilities.clone(), now.brakes.clone());
    let (stands, refused) = story.pass(&[B, ("west", "aaa/web", "", 9)], &[]);
    assert_eq!(stands, "", "{refused}");
    assert_eq!(story.pass(&[A, B], &[]).0, "1");
}

#[test]
fn a_refused_service_that_was_away_takes_nothing() {
    let mut story = Story::new("{}");
    story.pass(&[A], &[]);
    story.pass(&[A, B], &[]);
    assert_eq!(story.pass(&[A], &[B]).0, "1");
    assert_eq!(story.pass(&[], &[A, B]).0, "");
    let (stands, refused) = story.pass(&[B], &[A]);
    assert_eq!(stands, "", "{refused}");
    assert_eq!(story.pass(&[A, B], &[]).0, "1");
}

#[test]
fn a_restart_goes_by_the_marks_and_says_where_there_are_none() {
    let mut story = Story::new("{}");
    story.pass(&[A], &[]);
    story.restarts();
    assert_eq!(story.pass(&[A, B], &[]).0, "1");
    story.restarts();
    assert_eq!(
        story.pass(&[B, ("west", "aaa/web", "", 9)], &[]).0,
        "",
        "the mark names one without addresses"
    );
    story.restarts();
    let (stands, refused) = story.pass(&[A, B], &[]);
    assert_eq!(stands, "2", "nothing remembers: the oldest has it");
    assert!(
        refused.contains("no record says which Service had it before, the oldest one has it"),
        "{refused}"
    );
}

#[test]
fn the_alphabet_decides_nothing_between_services_of_one_age() {
    let mut firsts = 0;
    for number in 0..40 {
        let (one, other) = (format!("a{number}/web"), format!("b{number}/web"));
        let rows = [("west", &*one, "203.0.113.1", 1), ("west", &*other, "203.0.113.2", 1)];
        let (stands, refused) = Story::new("{}").pass(&rows, &[]);
        assert!(refused.contains("both are equally old, a hash decides"), "{refused}");
        let turned = [rows[1], rows[0]];
        assert_eq!(Story::new("{}").pass(&turned, &[]).0, stands, "always the same");
        firsts += usize::from(stands == "1");
    }
    assert!((10..=30).contains(&firsts), "{firsts} of 40 by the alphabet");
}

#[test]
fn services_share_a_name_where_the_rules_say_so_each_in_members_of_its_own() {
    let rows = [
        ("east", "shop/eu", "203.0.113.1", 1),
        ("west", "shop/us", "203.0.113.2", 2),
        ("west", "shop/late", "203.0.113.3", 3),
        ("east", "blog/eu", "203.0.113.4", 4),
    ];
    let (stands, refused) = Story::new("{}").pass(&rows, &[]);
    assert_eq!((stands.as_str(), refused.matches("claimed").count()), ("1", 3), "{refused}");

    let mut story = Story::new(r#"{"shop": "*, shared www.example.com"}"#);
    let (stands, refused) = story.pass(&rows[..3], &[]);
    assert_eq!(stands, "1 2");
    assert!(refused.contains("shop/us has this shared name in west, shop/late asks for it too"), "{refused}");
    let both =
        "v=1 owner=fed service=shop/eu member=east;;;none;203.0.113.1 member=west;;;none;203.0.113.2;shop/us";
    assert_eq!(story.mark(), both);
    // One that is older, and a second one in a member of another, take nothing away.
    let more = [("west", "shop/eu", "203.0.113.5", 0), rows[0], rows[1]];
    let (stands, refused) = story.pass(&more, &[]);
    assert_eq!(stands, "1 2");
    assert!(refused.contains("shop/us has this shared name in west, shop/eu asks for it too"), "{refused}");
    assert_eq!(story.mark(), both);
    // What is left has the name alone, and the other one gets its place again.
    assert_eq!(story.pass(&[rows[1]], &[rows[0]]).0, "2");
    assert_eq!(story.pass(&rows[..2], &[]).0, "1 2");
    assert_eq!(story.pass(&rows[..2], &[]).1, "");
}

#[test]
fn namespaces_share_a_name_only_where_each_has_a_rule_that_says_so() {
    let rows = [("east", "shop/web", "203.0.113.1", 1), ("west", "blog/web", "203.0.113.2", 2)];
    for (rules, stands) in [
        (r#"{"shop": "shared www.example.com", "blog": "shared www.example.com"}"#, "1 2"),
        (r#"{"shop": "shared www.example.com", "blog": "www.example.com"}"#, "1"),
        (r#"{"shop": "shared *", "blog": "shared *"}"#, "1 2"),
        (r#"{"shop": "shared www.example.com"}"#, "1"),
        (r#"{"*": "shared www.example.com"}"#, "1"),
        (r#"{"*": "shared *"}"#, "1"),
    ] {
        assert_eq!(Story::new(rules).pass(&rows, &[]).0, stands, "{rules}");
    }
}
