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
            view.cluster_line(&member, &Input::default()).age_seconds
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

#[test]
fn a_cluster_is_waited_for_before_its_watch_begins() {
    let mut view =
        View { origins: Arc::new([("a".parse().unwrap(), String::new())].into()), ..View::empty() };
    assert_eq!(view.unready(), ["cluster a has not been listed yet"]);
    let mut member = MemberView::pending("a".parse().unwrap());
    let mut inputs = |member: &MemberView| {
        let members = [(member.name.clone(), Arc::new(member.clone()))].into_iter().collect();
        let snapshot = watch::channel(Snapshot { members }).1;
        let (health, overrides) =
            (watch::channel(Health::default()).1, watch::channel(Overrides::default()).1);
        view.inputs = Inputs::new(snapshot, health, overrides);
        view.unready()
    };
    assert_eq!(inputs(&member), ["cluster a has not been listed yet"]);
    member.inventory = Inventory::Live;
    assert_eq!(inputs(&member), [""; 0]);
}
