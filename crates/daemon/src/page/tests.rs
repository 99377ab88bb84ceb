//! From a view to a page, without a socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetdns_core::plan::HeldChange;
use fleetdns_core::routing::Routing;
use fleetdns_core::{
    Health, Hold, Inventory, MemberName, MemberView, Override, OverrideKind, Overrides, ProbeKey,
    SelfCheckFailure, Snapshot, Verdict,
};
use fleetdns_planner::Protocol;
use tokio::sync::watch;

use super::overview::Overview;
use super::services::Search;
use super::text::Level;
use super::timeline::Filter;
use super::{preview, templates};
use crate::inputs::Inputs;
use crate::journal::{Kind, What};
use crate::test_fleet::{member, unread_zone, written};
use crate::view::View;
use crate::zone::ZoneStatus;

const WEB: &str = "web.default.fed.svc.example.com";

struct Rig {
    view: View,
    snapshot: Snapshot,
    health: Health,
    overrides: Overrides,
    zone: ZoneStatus,
}

impl Rig {
    /// These clusters, all of which answers and is in DNS.
    fn of(members: impl IntoIterator<Item = (MemberName, Arc<MemberView>)>) -> Self {
        let snapshot = Snapshot { members: members.into_iter().collect() };
        let mut health = Health::default();
        for target in snapshot.targets() {
            let key = ProbeKey { address: target.address.ip().unwrap(), spec: target.spec };
            health.verdicts.insert(key, Verdict::Healthy);
        }
        let mut zone = unread_zone();
        zone.observed = Some(written(&snapshot, &health));
        zone.listed_at = Some(tokio::time::Instant::now());
        Self { view: View::empty(), snapshot, health, overrides: Overrides::default(), zone }
    }

    fn two() -> Self {
        let east = member("east", Protocol::Tcp, &[("web", "203.0.113.2"), ("api", "203.0.113.3")]);
        let west = member("west", Protocol::Tcp, &[("web", "203.0.113.1")]);
        Self::of([east, west])
    }

    fn verdict(&mut self, address: &str, verdict: Verdict) {
        let keys: Vec<ProbeKey> = self.health.verdicts.keys().cloned().collect();
        let address: std::net::IpAddr = address.parse().unwrap();
        for key in keys.into_iter().filter(|key| key.address == address) {
            self.health.verdicts.insert(key, verdict);
        }
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut MemberView)) {
        let name = name.parse().unwrap();
        let mut view = (**self.snapshot.members.get(&name).unwrap()).clone();
        change(&mut view);
        self.snapshot.members.insert(name, Arc::new(view));
    }

    fn view(&self) -> View {
        View {
            inputs: Inputs::new(
                watch::channel(self.snapshot.clone()).1,
                watch::channel(self.health.clone()).1,
                watch::channel(self.overrides.clone()).1,
            ),
            zones: vec![watch::channel(self.zone.clone()).1],
            ..self.view.clone()
        }
    }

    fn overview(&self) -> Overview {
        Overview::of(&self.view())
    }

    fn page(&self) -> String {
        self.page_of(&Search::default(), &Filter::default())
    }

    fn page_of(&self, search: &Search, filter: &Filter) -> String {
        templates::index(&self.overview(), &self.view(), search, filter, false).unwrap()
    }

    /// The text of a row of a table, without its tags.
    fn row(&self, start: &str) -> String {
        let page = self.page();
        let from = page.find(start).unwrap_or_else(|| panic!("no {start} in {page}"));
        let row = &page[from..];
        text(&row[..row.find("</tr>").unwrap()])
    }
}

fn text(html: &str) -> String {
    let pieces = html.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    pieces.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

fn search(q: &str, page: usize) -> Search {
    Search { q: q.to_owned(), page: Some(page), ..Search::default() }
}

fn found(rig: &Rig, search: &Search) -> (Vec<String>, usize, usize, usize) {
    let found = search.find(&rig.overview(), &rig.snapshot);
    let keys = found.keys.iter().map(ToString::to_string).collect();
    (keys, found.matched, found.page, found.pages)
}

#[tokio::test(start_paused = true)]
async fn a_fleet_in_order_has_no_problems() {
    let rig = Rig::two();
    let overview = rig.overview();
    assert_eq!((overview.level, overview.headline.as_str()), (Level::Good, "No problems"));
    assert_eq!(overview.notices, []);
    assert_eq!(overview.sums, "2 clusters · 2 Services · 3 endpoints: 3 healthy · 2 names in 1 zone");
    let row = rig.row("data-address=\"203.0.113.2\"");
    assert!(row.contains("in 203.0.113.2 east longer than is remembered healthy"), "{row}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_is_out_since_when_and_why() {
    let mut rig = Rig::two();
    rig.verdict("203.0.113.2", Verdict::Unhealthy);
    rig.zone.observed = Some(written(&rig.snapshot, &rig.health));
    let out = |kind, address: &str| {
        let mut what = What::new(kind, "unhealthy").name(WEB);
        what.address = Some(address.to_owned());
        what
    };
    rig.view.journal.record([out(Kind::Out, "203.0.113.2"), out(Kind::Out, "203.0.113.1")]);
    let time = rig.view.journal.kept()[0].time.clone();
    let row = rig.row("data-address=\"203.0.113.2\"");
    assert!(row.contains(&format!("out 203.0.113.2 east {time} unhealthy")), "{row}");
    // The last move of the other one did not bring it to where it is.
    let row = rig.row("data-address=\"203.0.113.1\"");
    assert!(row.contains("in 203.0.113.1 west longer than is remembered healthy"), "{row}");
    let page = rig.page();
    assert!(page.contains("1 of 2 addresses in DNS"), "{page}");
    let (first, _) = page.split_once("data-service=\"default/api\"").unwrap();
    assert!(first.contains("data-service=\"default/web\""), "what is in trouble comes first");
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_that_a_brake_keeps_says_so() {
    let mut rig = Rig::two();
    rig.verdict("203.0.113.2", Verdict::Unhealthy);
    let name: fleetdns_core::DnsName = WEB.parse().unwrap();
    rig.zone.held.insert(name.clone(), HeldChange { name, reason: Hold::Velocity });
    let row = rig.row("data-address=\"203.0.113.2\"");
    assert!(row.contains("in 203.0.113.2 east") && row.contains("held: velocity: "), "{row}");
    let notice = &rig.overview().notices[0];
    assert_eq!((notice.level, notice.what), (Level::Warning, "brake"));
    assert!(notice.text.to_string().starts_with("example.com: velocity at 1 name: "), "{notice:?}");
    assert_eq!(notice.command.as_ref().unwrap().to_string(), format!("fleetdns why {WEB}"));
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_or_the_routing_keeps_out_is_where_it_belongs() {
    let set = |kind| Override {
        subject: "address/203.0.113.2".parse().unwrap(),
        kind,
        by: "ada".to_owned(),
        reason: String::new(),
        since: 0,
        until: None,
    };
    for (kind, verdict, in_dns) in [
        (Some(OverrideKind::Drain), Verdict::Healthy, false),
        (Some(OverrideKind::ForceIn), Verdict::Unhealthy, true),
        (None, Verdict::Healthy, false),
    ] {
        let mut rig = Rig::two();
        if !in_dns {
            rig.verdict("203.0.113.2", Verdict::Unhealthy);
            rig.zone.observed = Some(written(&rig.snapshot, &rig.health));
        }
        rig.verdict("203.0.113.2", verdict);
        rig.overrides = kind.map(set).into_iter().collect();
        if kind.is_none() {
            let row = rig.row("data-address=\"203.0.113.2\"");
            assert!(row.contains("not written yet"), "{row}");
            rig.zone.settings.routing = Routing::Failover;
            let row = rig.row("data-address=\"203.0.113.2\"");
            assert!(row.contains("not written yet"), "no cluster has a better priority: {row}");
            rig.zone.settings.priorities = Arc::new([("west".parse().unwrap(), 1)].into());
        }
        let row = rig.row("data-address=\"203.0.113.2\"");
        assert!(row.contains(&format!("{} 203.0.113.2", if in_dns { "in" } else { "out" })), "{row}");
        assert!(!row.contains("written yet") && !row.contains("removed yet"), "{kind:?}: {row}");
        assert_eq!(row.contains("stands by"), kind.is_none(), "{row}");
        for wrong in ["tag warning\">out", "tag problem\">in"] {
            assert!(!rig.page().contains(wrong), "{kind:?}: {wrong}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_banner_names_the_worst_first_with_what_to_type() {
    let mut rig = Rig::two();
    rig.health.self_check = Some(SelfCheckFailure::Correlation { keys: 3, bad: 2, members: Arc::from([]) });
    rig.zone.fault = Some("away".to_owned());
    rig.zone.write_fault = Some("away".to_owned());
    let name: fleetdns_core::DnsName = WEB.parse().unwrap();
    rig.zone.held.insert(name.clone(), HeldChange { name, reason: Hold::Velocity });
    rig.change("west", |member| member.inventory = Inventory::Stale);
    for address in ["203.0.113.2", "203.0.113.3"] {
        rig.verdict(address, Verdict::Unhealthy);
    }
    rig.overrides = [Override {
        subject: "cluster/west".parse().unwrap(),
        kind: OverrideKind::Drain,
        by: "ada".to_owned(),
        reason: String::new(),
        since: 0,
        until: None,
    }]
    .into_iter()
    .collect();
    let overview = rig.overview();
    assert_eq!(overview.headline, "3 problems, 2 warnings");
    let lines: Vec<String> = overview
        .notices
        .iter()
        .map(|notice| {
            let command = notice.command.as_ref().map(|command| format!(" ${command}")).unwrap_or_default();
            format!("{} {}{command}", notice.level, notice.what)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "problem prober self-check failed $fleetdns confirm-outage",
            "problem zone fault",
            "problem cluster down",
            format!("warning brake $fleetdns why {WEB}").as_str(),
            "warning cluster API away",
            "note override $fleetdns undrain cluster/west",
        ]
    );
    assert_eq!(overview.clusters[0].name.to_string(), "east", "the worst cluster is first");
}

#[tokio::test(start_paused = true)]
async fn two_hundred_clusters_begin_with_the_worst_and_the_rest_is_asked_for() {
    let name = |n: usize| format!("c{n:03}");
    let mut rig = Rig::of((0..200).map(|n| {
        let address = format!("203.0.113.{n}");
        member(&name(n), Protocol::Tcp, &[("web", &address)])
    }));
    rig.verdict("203.0.113.150", Verdict::Unhealthy);
    let rows = |page: &str| page.matches("data-cluster=").count();
    let page = rig.page();
    assert_eq!(rows(&page), 20);
    assert!(page.contains("data-cluster=\"c150\"") && page.contains("All 200 clusters"), "{page}");
    assert_eq!(page.matches("data-address=").count(), 10);
    assert!(page.contains("data-address=\"203.0.113.150\"") && page.contains("and 190 more addresses"));
    let all = templates::index(&rig.overview(), &rig.view(), &Search::default(), &Filter::default(), true);
    assert_eq!(rows(&all.unwrap()), 200);
    let key = "default/web".parse().unwrap();
    let service = templates::service(&rig.overview(), &rig.view(), &key).unwrap().unwrap();
    assert_eq!(service.matches("data-address=").count(), 200);
}

#[tokio::test(start_paused = true)]
async fn services_are_found_and_paged_on_the_server() {
    let services: Vec<(String, String)> =
        (0..60).map(|n| (format!("app{n:02}"), format!("203.0.113.{n}"))).collect();
    let services: Vec<(&str, &str)> =
        services.iter().map(|(name, address)| (name.as_str(), address.as_str())).collect();
    let mut rig = Rig::of([member("east", Protocol::Tcp, &services)]);
    rig.verdict("203.0.113.42", Verdict::Unhealthy);
    let (keys, matched, page, pages) = found(&rig, &search("", 1));
    assert_eq!((keys.len(), matched, page, pages), (25, 60, 1, 3));
    assert_eq!(&keys[..2], ["default/app42", "default/app00"], "what is in trouble comes first");
    let (keys, _, page, _) = found(&rig, &search("", 99));
    assert_eq!((keys.len(), keys.last().unwrap().as_str(), page), (10, "default/app59", 3));
    for (q, matched) in [
        ("app4", 10),
        ("DEFAULT/app4", 10),
        ("app07.default.fed.svc.east.example.com", 1),
        ("203.0.113.7", 1),
        ("nothing", 0),
        ("<script>", 0),
    ] {
        assert_eq!(found(&rig, &search(q, 1)).1, matched, "{q}");
    }
    let trouble = Search { show: "trouble".to_owned(), ..Search::default() };
    assert_eq!(found(&rig, &trouble).0, ["default/app42"]);
}

#[tokio::test(start_paused = true)]
async fn the_timeline_has_the_latest_first_and_is_filtered() {
    let rig = Rig::two();
    let clusters: [MemberName; 2] = ["east", "west"].map(|name| name.parse().unwrap());
    for n in 0..120 {
        let kind = if n % 2 == 0 { Kind::Out } else { Kind::In };
        let name = format!("n{n}.example.com");
        rig.view.journal.record([What::new(kind, "unhealthy").name(name).clusters([&clusters[n % 2]])]);
    }
    let events = rig.view.journal.kept();
    let seqs = |filter: Filter| {
        let timeline = filter.timeline(&events);
        (timeline.rows.iter().map(|row| row.seq).collect::<Vec<_>>(), timeline.older)
    };
    let (all, older) = seqs(Filter::default());
    assert_eq!((all.first(), all.last(), older), (Some(&120), Some(&71), Some(71)));
    let (rest, older) = seqs(Filter { before: Some(21), ..Filter::default() });
    assert_eq!((rest.len(), older), (20, None));
    let of = |kind: &str, cluster: &str, name: &str| Filter {
        kind: kind.to_owned(),
        cluster: cluster.to_owned(),
        name: name.to_owned(),
        before: None,
    };
    assert_eq!(seqs(of("in", "", "n11")).0, [120, 118, 116, 114, 112, 12]);
    assert_eq!(seqs(of("", "west", "N11.example")).0, [12]);
    assert_eq!(seqs(of("held", "", "")).0, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_preview_says_what_the_death_of_a_cluster_changes() {
    let mut rig = Rig::two();
    rig.snapshot
        .members
        .insert("south".parse().unwrap(), member("south", Protocol::Tcp, &[("web", "203.0.113.1")]).1);
    rig.zone.observed = Some(written(&rig.snapshot, &rig.health));
    let preview = |cluster: &str| {
        let view = rig.view();
        preview::preview(
            &view.inputs.current(),
            &view.brakes,
            std::slice::from_ref(&rig.zone),
            &cluster.parse().unwrap(),
        )
    };
    let east = preview("east");
    let words = |one: &preview::Change| {
        let all =
            |sets: &[super::text::Text]| sets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("{}: {} → {}", one.name, all(&one.now), all(&one.then))
    };
    let changes: Vec<String> = east.changes.iter().map(words).collect();
    assert_eq!(changes, [format!("{WEB}: A 203.0.113.1 203.0.113.2 → A 203.0.113.1")]);
    let held: Vec<String> = east.held.iter().map(|(name, why)| format!("{name} {why}")).collect();
    assert!(held.len() == 1 && held[0].starts_with("api.default.fed.svc.example.com all-down: "), "{held:?}");
    // What another cluster has too lives there.
    assert_eq!(preview("west").names, 0);
    let page = templates::preview(&rig.overview(), &rig.view(), &"east".parse().unwrap()).unwrap().unwrap();
    assert!(page.contains("1 name would change") && page.contains("fleetdns simulate --down east"), "{page}");
    let none = templates::preview(&rig.overview(), &rig.view(), &"north".parse().unwrap()).unwrap();
    assert_eq!(none, None);
}

#[tokio::test(start_paused = true)]
async fn hostile_text_stays_text_on_every_page() {
    let bad = "<script>alert(1)</script>\u{202e}\u{1b}[31m\r\n\"'&";
    let cluster = "<img/onerror'>&`$(id)";
    let mut rig = Rig::of([member(cluster, Protocol::Tcp, &[("web", "203.0.113.1")])]);
    rig.change(cluster, |member| {
        member.fault = Some(bad.into());
        member.inventory = Inventory::Stale;
    });
    rig.zone.fault = Some(bad.to_owned());
    rig.zone.startup = Some(bad.to_owned());
    rig.view.fleet = bad.to_owned();
    rig.view.origins = Arc::new([(cluster.parse().unwrap(), bad.to_owned())].into());
    rig.overrides = [Override {
        subject: format!("cluster/{cluster}").parse().unwrap(),
        kind: OverrideKind::Drain,
        by: bad.to_owned(),
        reason: bad.to_owned(),
        since: 0,
        until: None,
    }]
    .into_iter()
    .collect();
    let mut what = What::new(Kind::Cluster, bad).name(bad).zone(bad);
    what.clusters = vec![bad.to_owned()];
    what.address = Some(bad.to_owned());
    what.answer = Some(bad.to_owned());
    rig.view.journal.record([what]);
    let typed = Filter { kind: bad.into(), cluster: bad.into(), name: bad.into(), before: None };
    let (overview, view) = (rig.overview(), rig.view());
    let pages = [
        rig.page(),
        templates::service(&overview, &view, &"default/web".parse().unwrap()).unwrap().unwrap(),
        templates::preview(&overview, &view, &cluster.parse().unwrap()).unwrap().unwrap(),
    ];
    for page in &pages {
        assert_eq!(page.matches("<script").count(), 1, "its own: {page}");
        assert!(!page.contains("<img"), "{page}");
        assert!(!page.contains(['\u{202e}', '\u{1b}', '\r']), "{page}");
        assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    }
    assert!(
        pages[0].contains("drain &#39;cluster/&#60;img/onerror&#39;\\&#39;&#39;&#62;&#38;`$(id)&#39;"),
        "{}",
        pages[0]
    );
    let typed = rig.page_of(&Search { q: bad.into(), ..Search::default() }, &typed);
    assert_eq!(typed.matches("<script").count(), 1, "{typed}");
}

/// `cargo test --release -p fleetdns-daemon --lib a_page_of_100_000 -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures; the numbers are those of the machine"]
async fn a_page_of_100_000_services_takes_less_than_half_a_second() {
    let of = |cluster: usize| {
        let all: Vec<(String, String)> = (0..5_000)
            .map(|n| (format!("app{n:04}-{cluster}"), format!("198.{}.{}.{}", cluster, n / 250, n % 250)))
            .collect();
        let all: Vec<(&str, &str)> = all.iter().map(|(name, ip)| (name.as_str(), ip.as_str())).collect();
        member(&format!("c{cluster}"), Protocol::Tcp, &all)
    };
    let mut rig = Rig::of((0..20).map(of));
    rig.verdict("198.3.1.1", Verdict::Unhealthy);
    let view = rig.view();
    let _ = view.inputs.current();
    let timed = |what: &str, work: &dyn Fn() -> usize| {
        let started = Instant::now();
        let size = work();
        let took = started.elapsed();
        eprintln!("{what}: {took:.0?}, {size} bytes");
        took
    };
    let whole = timed("overview", &|| Overview::of(&view).services.len());
    let overview = Overview::of(&view);
    for q in ["", "app4999-19", "app0001-3.default.fed.svc.example.com"] {
        let page = timed(&format!("page '{q}'"), &|| {
            templates::index(&overview, &view, &search(q, 1), &Filter::default(), false).unwrap().len()
        });
        assert!(whole + page < Duration::from_millis(500), "{whole:?} and {page:?}");
    }
    timed("service", &|| {
        templates::service(&overview, &view, &"default/app0001-3".parse().unwrap()).unwrap().unwrap().len()
    });
    timed("preview", &|| {
        templates::preview(&overview, &view, &"c3".parse().unwrap()).unwrap().unwrap().len()
    });
}
