//! What the provider of Route 53 measures, in the metrics of the daemon.

use std::time::Duration;

use fleetdns_tests::conf::{Conf, ZONE};
use fleetdns_tests::daemon::Daemon;
use fleetdns_tests::eventually;
use fleetdns_tests::kube::Member;
use fleetdns_tests::manifest::NewService;

use fleetdns_fakes::route53::{Fake, OTHER_ID};

/// A pass and two questions, and room for a busy machine.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_time_until_a_batch_is_everywhere_is_a_metric() {
    let (fake, member) = tokio::join!(Fake::start(), Member::start("westus"));
    fake.add_zone(OTHER_ID, ZONE, false);
    fake.state().sync_takes = Duration::ZERO;
    let service = NewService::new("default", "web").port(80).annotation("fleetdns.io/probe", "none");
    member.create_published(&service, &["203.0.113.1"]).await;
    let keys = format!(
        "provider = aws-route53\nendpoint-url = {}\ncredentials-file = {}\nwait-insync = yes\n",
        fake.url,
        fake.credentials_file()
    );
    let daemon = Daemon::start(&Conf::with_zone(&keys).cluster("westus", &member.kubeconfig())).await;
    let measured = async || {
        let text = daemon.metrics();
        let sample = format!("fleetdns_zone_insync_seconds{{zone=\"{ZONE}\"}} ");
        if text.contains(&sample) { Ok(()) } else { Err(text) }
    };
    eventually("the time to INSYNC", SOON, Duration::from_millis(200), measured).await;
}
