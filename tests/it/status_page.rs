//! The status page in a real browser, on real servers.

use std::path::Path;
use std::time::Duration;

use fleetdns_tests::browser::Browser;
use fleetdns_tests::conf::Conf;
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::endpoint::{Endpoint, Mode};
use fleetdns_tests::fleet::Fleet;
use fleetdns_tests::manifest::NewService;
use fleetdns_tests::servers;
use tokio::task::block_in_place;

use crate::e2e_endpoint::{BACK, REFUSED};

/// From DNS to the page: the page waits a second for what else changes, and fetches itself.
const SHOWN: Duration = Duration::from_secs(3);
const START: Duration = Duration::from_secs(20);

/// Whether the row of an address says this.
fn row(address: &str, words: &str) -> String {
    format!("document.querySelector('[data-address=\"{address}\"]')?.innerText.includes('{words}') ?? false")
}

fn live(state: &str) -> String {
    format!("document.getElementById('live').dataset.state === '{state}'")
}

/// Fails for what axe-core finds on the page.
fn accessible(browser: &mut Browser, what: &str) {
    let script = std::fs::read_to_string(servers::axe()).unwrap();
    for colours in ["light", "dark"] {
        browser.show_as(1280, 900, colours);
        let found = browser.axe(&script);
        assert!(found.is_empty(), "{what}, {colours}:\n{}", found.join("\n"));
    }
}

/// Writes what it looks like on a phone, a tablet and a wide screen, light and dark; nothing is wider than the window.
fn pictures(browser: &mut Browser, name: &str) {
    let folder = servers::results("status-page");
    for (width, height) in [(390, 844), (820, 1180), (1440, 1000)] {
        for colours in ["light", "dark"] {
            browser.show_as(width, height, colours);
            browser.screenshot(&folder.join(format!("{name}-{width}-{colours}.png")));
            let wide = browser.value("document.documentElement.scrollWidth");
            assert!(wide.as_u64() <= Some(width.into()), "{name} at {width}: {wide} wide");
        }
    }
    browser.show_as(1280, 900, "light");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_page_follows_a_cluster_that_dies_and_a_daemon_that_restarts() {
    let fleet = Fleet::start().await;
    let (in_west, mut in_east) = (Endpoint::on_port(5001), Endpoint::on_port(5001));
    let (west, east) = (in_west.ip().to_string(), in_east.ip().to_string());
    fleet.publish(&NewService::new("default", "web").port(5001), &west, &east).await;
    let mut daemon = Daemon::start(&fleet.conf()).await;
    let url = format!("http://{}/", daemon.admin());
    let mut browser = block_in_place(Browser::start);

    block_in_place(|| {
        eprintln!("loaded in {:.0?}", browser.open(&url));
        browser.until(&row(&east, "in"), START);
        browser.until(&live("live"), START);
        browser.value("window.before = document.querySelector('[data-service=\"default/web\"] details')");
        browser.value("window.before.open = true");
        pictures(&mut browser, "healthy");

        // The cluster dies.
        in_east.set(Mode::Refuse);
        let took = browser.until(&row(&east, "out"), REFUSED + SHOWN);
        eprintln!("out on the page after {took:.1?}");
        browser.until(&row(&east, "connection refused"), SHOWN);
        browser.until("document.body.innerText.includes('eastus: no endpoint healthy')", SHOWN);
        browser.until("document.querySelector('.timeline').innerText.includes('out')", SHOWN);
        assert_eq!(browser.loads(), 1, "it was never loaded again");
        assert_eq!(
            browser.value("window.before.isConnected && window.before.open"),
            true,
            "what is open stays so"
        );
        accessible(&mut browser, "a dead cluster");
        pictures(&mut browser, "dead");
    });

    // The daemon restarts: the page says so, comes back by itself, and follows again.
    assert_eq!(browser.errors(), [""; 0]);
    daemon.kill();
    block_in_place(|| browser.until(&live("away"), SHOWN));
    daemon.start_again();
    daemon.ready(START).await;
    block_in_place(|| {
        browser.until(&live("live"), START);
        // While it was away, the browser noted that nobody answered.
        let away = browser.errors();
        assert!(away.iter().all(|error| error.contains("net::ERR_")), "{away:?}");
        browser.until(&row(&east, "out"), SHOWN);
        in_east.recover();
        browser.until(&row(&east, "in"), BACK + SHOWN);
        assert_eq!(browser.loads(), 1);
    });

    block_in_place(|| {
        // By keyboard: to the content, past the header.
        browser.open(&url);
        browser.press("Tab", 9);
        assert_eq!(browser.value("document.activeElement.className"), "skip");
        browser.press("Enter", 13);
        browser.until("location.hash === '#main'", SHOWN);
        for (name, path, text) in [
            ("service", "service/default/web", "2 of 2 addresses in DNS"),
            ("preview", "preview?cluster=eastus", "would change"),
            ("filtered", "?q=nothing&kind=in", "0 of 1 Services"),
        ] {
            browser.open(&format!("{url}{path}"));
            browser.until(&format!("document.body.innerText.includes('{text}')"), SHOWN);
            let follows = browser.value("document.querySelector('main[data-live]') !== null");
            assert_eq!(follows, name != "preview", "a preview is worked out once");
            accessible(&mut browser, path);
            pictures(&mut browser, name);
        }
        let foreign: Vec<String> =
            browser.requests().into_iter().filter(|asked| !asked.starts_with(&url)).collect();
        assert_eq!(foreign, [""; 0], "nothing is asked of anybody else");
        assert_eq!(browser.errors(), [""; 0]);
        // Without JavaScript it says the same.
        browser.call("Emulation.setScriptExecutionDisabled", serde_json::json!({"value": true}));
        browser.open(&url);
        assert_eq!(browser.value("document.getElementById('live').textContent"), "as of the last load");
        assert_eq!(browser.value(&row(&east, "in")), true);
    });
    block_in_place(|| drop(in_east));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_does_nothing_in_a_browser() {
    let hostile = "<script>alert(1)</script>";
    let conf = Conf::with_zone("provider = embedded\nlisten = 127.0.0.1:0\n")
        .cluster(hostile, Path::new("/nowhere/<img/src>/kubeconfig"))
        .more("[brakes]\nstartup-timeout = 1s");
    let daemon = Daemon::start(&conf).await;
    let subject = format!("cluster/{hostile}");
    let reason = "<b id=forged>\u{202e}bold</b>";
    let drained = daemon.command(&["drain", &subject, "--anyway", "--reason", reason]).await;
    assert_eq!(drained.code, Some(0), "{drained:?}");
    let url = format!("http://{}/", daemon.admin());
    block_in_place(|| {
        let mut browser = Browser::start();
        browser.open(&url);
        for path in [
            "",
            "preview?cluster=%3Cscript%3Ealert(1)%3C%2Fscript%3E",
            "?q=%3Cscript%3E&name=%22%3E%3Cb%20id=forged%3E",
        ] {
            browser.open(&format!("{url}{path}"));
            browser.until(&format!("document.body.innerText.includes('{hostile}')"), SHOWN);
            assert_eq!(browser.value("document.querySelectorAll('script').length"), 1, "{path}");
            assert_eq!(browser.value("document.querySelectorAll('#forged, img').length"), 0, "{path}");
        }
        browser.open(&url);
        browser.until("document.body.innerText.includes('\\\\u{202e}bold')", SHOWN);
        accessible(&mut browser, "hostile text");
        assert_eq!(browser.errors(), [""; 0]);
        // The policy of the page forbids what got in all the same.
        browser.value(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.forged = 1\">')",
        );
        browser.value("document.head.appendChild(Object.assign(document.createElement('script'), {textContent: 'window.forged = 1'}))");
        assert_eq!(browser.value("window.forged ?? 0"), 0);
        assert!(browser.errors().iter().any(|error| error.contains("Content Security Policy")));
    });
}
