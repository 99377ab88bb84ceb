//! What is shown of members.

use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_member_is_as_old_as_its_time_in_the_fleet() {
    let mut view = View::empty();
    let set =
        |names: &[&str]| -> BTreeSet<MemberName> { names.iter().map(|name| name.parse().unwrap()).collect() };
    let ages = |view: &View| {
        ["a", "b"].map(|name| {
            let member = MemberView::pending(name.parse().unwrap());
            view.cluster_line(&member, &Health::default()).age_seconds
        })
    };
    tokio::time::advance(Duration::from_secs(100)).await;
    view.follow_members(&set(&["a"]), &set(&["a", "b"]));
    tokio::time::advance(Duration::from_secs(10)).await;
    view.follow_members(&set(&["a", "b"]), &set(&["a", "b"]));
    assert_eq!(ages(&view), [110, 10]);
    view.follow_members(&set(&["a", "b"]), &set(&["a"]));
    view.follow_members(&set(&["a"]), &set(&["a", "b"]));
    assert_eq!(ages(&view), [110, 0]);
}
