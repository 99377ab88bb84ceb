//! What `check` finds.

use fleetdns_watch::{Access, check};

use crate::Fleet;
use crate::fake::{Fake, How};

async fn findings(fleet: &Fleet) -> (bool, String) {
    let found = check(&fleet.members[0], &fleet.settings, &[]).await;
    let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(!found.is_empty() && !text.contains("top-secret"), "{text}");
    (found.iter().all(|finding| finding.good), text)
}

#[tokio::test]
async fn a_member_that_can_be_watched_is_found_good() {
    let east = Fake::start();
    let (good, text) = findings(&Fleet::new(&[("east", &east)])).await;
    assert!(good && text.contains("v1.36.1") && text.contains("may watch services"), "{text}");
}

#[tokio::test]
async fn each_fault_says_what_to_do() {
    let mut east = Fake::start();
    let mut fleet = Fleet::new(&[("east", &east)]);
    east.cluster().review = How::Status(403);
    east.cluster().pulse = How::Status(403);
    let (good, text) = findings(&fleet).await;
    assert!(!good && text.contains("list services (403)") && text.contains("create clusterrole"), "{text}");
    assert!(text.contains("may watch services"), "{text}");

    east.cluster().pulse = How::Well;
    east.cluster().node_list = How::Status(403);
    let (good, text) = findings(&fleet).await;
    assert!(!good && text.contains("set region and zones"), "{text}");
    fleet.members[0].region = Some("eastus".parse().unwrap());
    assert!(findings(&fleet).await.0);

    east.cluster().token = "another".into();
    let (good, text) = findings(&fleet).await;
    assert!(!good && text.contains("(401)"), "{text}");

    east.freeze(true);
    let (good, text) = findings(&fleet).await;
    assert!(!good && text.contains("no answer within"), "{text}");

    east.kill();
    let (good, text) = findings(&fleet).await;
    assert!(!good && text.contains("refused"), "{text}");

    let Access::Kubeconfig { context, .. } = &mut fleet.members[0].access else { panic!("no kubeconfig") };
    *context = Some("mars".into());
    let (good, text) = findings(&fleet).await;
    assert!(!good && text.contains("no context 'mars'"), "{text}");
}
