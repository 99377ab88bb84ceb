//! What is shown, and what `config/` asks of it.

use std::time::Duration;

use fleetdns_watch::Turn;

use super::*;

fn text(fill: impl FnOnce(&mut Metrics<'_>)) -> String {
    let mut registry = Registry::with_prefix("fleetdns");
    fill(&mut Metrics(&mut registry));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).unwrap();
    text
}

#[test]
fn what_providers_measure_is_one_family_for_all_zones() {
    let measure = |zone: &str, name, kind, value| ZoneMeasure {
        zone: zone.to_owned(),
        measure: Measure { kind, name, help: "How long", value },
    };
    let shown = text(|all| {
        all.measures(vec![
            measure("a.example", "insync_seconds", MeasureKind::Gauge, 2.0),
            measure("a.example", "cut", MeasureKind::Counter, 3.0),
            measure("b\"\n\\", "insync_seconds", MeasureKind::Gauge, 0.5),
        ]);
    });
    assert_eq!(
        shown,
        "# HELP fleetdns_zone_cut_total How long.\n# TYPE fleetdns_zone_cut_total counter\n\
         fleetdns_zone_cut_total{zone=\"a.example\"} 3.0\n\
         # HELP fleetdns_zone_insync_seconds How long.\n# TYPE fleetdns_zone_insync_seconds gauge\n\
         fleetdns_zone_insync_seconds{zone=\"a.example\"} 2.0\n\
         fleetdns_zone_insync_seconds{zone=\"b\\\"\\n\\\\\"} 0.5\n"
    );
}

#[tokio::test]
async fn series_exist_from_the_start_in_both_formats() {
    let view = View::empty();
    let (kind, old) = render(&view, false).unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    for series in [
        "fleetdns_overrides{kind=\"force-in\"} 0.0\n",
        "fleetdns_self_check_failed{kind=\"vantage\"} 0.0\n",
        "fleetdns_events_total{kind=\"zone-fault\"} 0.0\n",
        "fleetdns_probes_put_off 0\n",
        "fleetdns_leader 1\n",
        "fleetdns_audit_lost_total 0\n",
        "fleetdns_probes_total{kind=\"grpcs\",result=\"inconclusive\"} 0.0\n",
        "fleetdns_probe_seconds_bucket{kind=\"tcp\",le=\"0.001\"} 0\n",
        "fleetdns_probe_start_lag_seconds_bucket{le=\"+Inf\"} 0\n",
        "fleetdns_prober_stalls_total 0\n",
    ] {
        assert!(old.contains(series), "no {series} in {old}");
    }
    let (kind, open) = render(&view, true).unwrap();
    assert!(kind.starts_with(OPEN_METRICS) && open.ends_with("# EOF\n"), "{kind} {open}");
    assert!(
        open.contains("# TYPE fleetdns_events counter\n") && open.contains("fleetdns_events_total{"),
        "{open}"
    );
}

#[tokio::test]
async fn the_process_shows_what_it_uses() {
    let text = render(&View::empty(), false).unwrap().1;
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    };
    assert!(value("process_cpu_seconds_total") >= 0.0);
    // This test needs a megabyte, and less than a terabyte.
    let resident = value("process_resident_memory_bytes");
    assert!((1e6..1e12).contains(&resident) && value("process_virtual_memory_bytes") >= resident);
    assert!((1.0..=value("process_max_fds")).contains(&value("process_open_fds")));
    let ago = UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - value("process_start_time_seconds");
    assert!((-2.0..86_400.0).contains(&ago), "started {ago} s ago");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_shows_when_its_api_answered() {
    let view = View::empty();
    view.beats.configure(["east".parse().unwrap()].into());
    let age = || {
        let text = render(&view, false).unwrap().1;
        let start = "fleetdns_cluster_last_answer_timestamp_seconds{cluster=\"east\"} ";
        let at = text.lines().find_map(|line| line.strip_prefix(start)?.parse::<f64>().ok()).unwrap();
        UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - at
    };
    let east = "east".parse().unwrap();
    assert!(age() > 1e9, "it never did");
    for turn in [Turn::Listed, Turn::Answered] {
        view.beats.turn(&east, turn);
        tokio::time::advance(Duration::from_secs(100)).await;
        view.beats.turn(&east, Turn::Taken);
        assert!((100.0..110.0).contains(&age()), "{turn:?}: {}", age());
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_shows_when_it_was_listed_as_long_as_it_is_configured() {
    let view = View::empty();
    let east = "east".parse().unwrap();
    let listed = |view: &View| {
        let text = render(view, false).unwrap().1;
        let start = "fleetdns_cluster_last_list_timestamp_seconds{cluster=\"east\"} ";
        text.lines().find_map(|line| line.strip_prefix(start)?.parse::<f64>().ok())
    };
    view.beats.turn(&east, Turn::Listed);
    assert_eq!(listed(&view), None);
    view.beats.configure([east.clone()].into());
    view.beats.turn(&east, Turn::Taken);
    assert_eq!(listed(&view), Some(0.0));
    view.beats.turn(&east, Turn::Listed);
    tokio::time::advance(Duration::from_secs(100)).await;
    view.beats.turn(&east, Turn::Taken);
    view.beats.configure([east.clone(), "west".parse().unwrap()].into());
    let ago = UNIX_EPOCH.elapsed().unwrap().as_secs_f64() - listed(&view).unwrap();
    assert!((100.0..110.0).contains(&ago), "listed {ago} s ago");
    view.beats.configure([].into());
    assert_eq!(listed(&view), None);
}
