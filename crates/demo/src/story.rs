//! The story, told while it happens. Every time in it is from an event to the first DNS answer that shows it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use fleetdns_probe::ProbeSettings;
use tokio::time::{Instant, timeout};

use super::app;
use super::dns::{self, Data};
use super::names::{self, Zone};
use super::scene::{Member, Scene};
use super::screen::{Screen, seconds};
use crate::error::DemoError;

/// Every step has so long.
const BUDGET: Duration = Duration::from_secs(30);
/// While DNS has not changed yet it is asked so often.
const ASK: Duration = Duration::from_millis(5);

/// Tells the whole story; leaves everything running.
pub(super) async fn tell(
    screen: &mut Screen<'_>,
    scene: &mut Scene,
    probing: &ProbeSettings,
) -> Result<(), DemoError> {
    introduce(screen, scene)?;
    let (appeared, all) = records_appear(screen, scene).await?;
    screen.heading("2. East dies: its API and its app refuse connections")?;
    screen.say(&format!(
        "fleetdns connects to every published address, every {:?}, and every {:?} once\n\
         that fails; {} failures in a row take the address out of DNS.",
        probing.interval, probing.fast_interval, probing.fall
    ))?;
    let (gone, less) = east_dies(screen, scene, &all).await?;
    screen.heading("3. East returns")?;
    screen.say(&format!("{} successes in a row bring the address back.", probing.rise))?;
    let back = east_returns(screen, scene, &less).await?;

    screen.heading("That was the whole story")?;
    screen.took("From a Service in two clusters to DNS", appeared)?;
    screen.took("From a dead cluster to DNS without it", gone)?;
    screen.took("From the cluster's return to DNS with it", back)?;
    Ok(())
}

fn introduce(screen: &mut Screen<'_>, scene: &Scene) -> io::Result<()> {
    screen.heading("fleetdns demo: two clusters, one DNS zone, and a cluster that dies")?;
    screen.say("All of it runs in this process, on loopback, and leaves nothing behind.\n")?;
    for member in scene.members() {
        screen.say(&format!(
            "cluster {}   Kubernetes API {}   calculator app {}",
            member.name,
            member.api_address(),
            member.app_address()
        ))?;
    }
    screen.say(&format!(
        "DNS server       {} port {}, zone {}",
        scene.dns.ip(),
        scene.dns.port(),
        names::DNS_ZONE
    ))?;
    screen.say(&format!("status page      http://{}/", scene.admin))?;
    screen.say("fleetdns probes and writes with its default settings.")
}

async fn records_appear(screen: &mut Screen<'_>, scene: &Scene) -> Result<(Duration, Zone), DemoError> {
    screen.heading("1. A Service appears in both clusters")?;
    let watched = async {
        for member in scene.members() {
            member.watched().await;
        }
    };
    within("fleetdns watches both clusters", watched).await?;
    until(scene, "the DNS server answers for the empty zone", &|zone| {
        zone.iter().all(|(_, set)| set.is_none())
    })
    .await?;

    screen.took("fleetdns has started: it watches both clusters and answers DNS", scene.started.elapsed())?;
    screen.say(&format!(
        "Each cluster gets the Service '{}' (namespace '{}', type\n\
         LoadBalancer), and its load balancer gets an address.",
        names::SERVICE,
        names::NAMESPACE
    ))?;
    let start = Instant::now();
    for member in scene.members() {
        member.publish();
    }
    let zone = until_expected(scene, "the records of both clusters are in DNS", true).await?;
    let took = start.elapsed();
    screen.took("Five names are in DNS", took)?;
    screen.say("")?;
    for (name, _) in &zone {
        screen.say(&format!("  {name}"))?;
    }
    screen.say(&format!(
        "\nOne for the fleet, one for each region, one for each zone of a region.\n\
         Below, '…' stands for '{}.{}.{}.',\n\
         which is service, namespace and fleet.",
        names::SERVICE,
        names::NAMESPACE,
        names::FLEET
    ))?;
    screen.records(&zone, &Zone::new())?;
    screen.say("Try it:")?;
    screen.hint(&dig(scene, &names::region(scene.east.name)))?;
    client(screen, scene).await?;
    let probed = async {
        for member in scene.members() {
            member.probed().await;
        }
    };
    within("fleetdns probes both apps", probed).await?;
    Ok((took, zone))
}

async fn east_dies(
    screen: &mut Screen<'_>,
    scene: &mut Scene,
    before: &Zone,
) -> Result<(Duration, Zone), DemoError> {
    let start = Instant::now();
    close(&mut scene.east).await;
    let zone = until_expected(scene, "east's address is out of DNS", false).await?;
    let took = start.elapsed();
    screen.took("East is out of DNS", took)?;
    screen.say("Its own names lead a level up now, so nobody has to change a name.")?;
    screen.records(&zone, before)?;
    client(screen, scene).await?;
    Ok((took, zone))
}

async fn east_returns(
    screen: &mut Screen<'_>,
    scene: &mut Scene,
    before: &Zone,
) -> Result<Duration, DemoError> {
    let start = Instant::now();
    open(&mut scene.east).await?;
    let zone = until_expected(scene, "east's address is in DNS again", true).await?;
    let took = start.elapsed();
    screen.took("East is in DNS again", took)?;
    screen.records(&zone, before)?;
    client(screen, scene).await?;
    Ok(took)
}

/// A whole cluster goes.
pub(super) async fn close(member: &mut Member) {
    member.close_app().await;
    member.close_api().await;
}

/// A whole cluster comes back.
pub(super) async fn open(member: &mut Member) -> Result<(), DemoError> {
    member.open_app().await?;
    member.open_api().await
}

/// The question that shows where a name leads.
pub(super) fn dig(scene: &Scene, name: &str) -> String {
    format!("dig @{} -p {} +short {name}", scene.dns.ip(), scene.dns.port())
}

/// A client in the east: asks DNS, then the app at the address it was given.
async fn client(screen: &mut Screen<'_>, scene: &Scene) -> Result<(), DemoError> {
    let name = names::region(scene.east.name);
    let answer = dns::ask(scene.dns, &name).await.map_err(DemoError::Dns)?;
    let Some(ip) = answer.addresses.first() else {
        return Err(DemoError::NoAddress { name });
    };
    let address = SocketAddr::from((*ip, app::PORT));
    let path = "/add/10/67";
    let body = app::ask(address, path).await.map_err(|source| DemoError::App { address, source })?;
    screen.say(&format!("A client of east's name gets {ip}; GET {path} there says {body}."))?;
    Ok(())
}

async fn within(step: &'static str, doing: impl Future<Output = ()>) -> Result<(), DemoError> {
    timeout(BUDGET, doing).await.map_err(|_| DemoError::Late {
        step,
        budget: seconds(BUDGET),
        last: String::new(),
    })
}

/// Asks DNS until west, and east if it is to be in, have their records.
async fn until_expected(scene: &Scene, step: &'static str, east: bool) -> Result<Zone, DemoError> {
    let expected = names::expected(&[
        (scene.west.name, Some(scene.west.ip)),
        (scene.east.name, east.then_some(scene.east.ip)),
    ]);
    let as_expected = |zone: &Zone| {
        let found = zone.iter().map(|(name, set)| (name, set.as_ref().map(|set| &set.data)));
        found.eq(expected.iter().map(|(name, data)| (name, Some(data))))
    };
    until(scene, step, &as_expected).await
}

async fn until(scene: &Scene, step: &'static str, good: &dyn Fn(&Zone) -> bool) -> Result<Zone, DemoError> {
    let mut last = String::new();
    let asking = async {
        loop {
            match scene.look().await {
                Ok(zone) if good(&zone) => return zone,
                Ok(zone) => last = told(&zone),
                Err(error) => last = fleetdns_daemon::chain(&error),
            }
            tokio::time::sleep(ASK).await;
        }
    };
    let asked = timeout(BUDGET, asking).await;
    asked.map_err(|_| DemoError::Late {
        step,
        budget: seconds(BUDGET),
        last: format!("; last answer: {last}"),
    })
}

/// The records in one line.
fn told(zone: &Zone) -> String {
    let one = |(name, set): &(String, Option<dns::Set>)| {
        let data = set.as_ref().map(|set| &set.data);
        let values = data.map_or_else(|| "nothing".to_owned(), |data: &Data| names::short(&data.to_string()));
        format!("{} = {values}", names::short(name))
    };
    zone.iter().map(one).collect::<Vec<String>>().join(", ")
}
