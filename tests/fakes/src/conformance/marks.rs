//! Cases of marks that others have changed.

use fleetdns_core::Owner;

use super::pass::{at, converge, list, plan};
use super::{Fleet, Marked, OTHER, OWNER};

const NAME: &str = "web.example.com";

async fn published<B: Marked>() -> (B, Fleet) {
    let backend = B::start().await;
    let fleet = Fleet::of(&[
        (NAME, &["203.0.113.1", "203.0.113.2", "2001:db8::1"]),
        ("next.example.com", &["203.0.113.1"]),
    ]);
    converge(&*backend.provider(OWNER), &fleet).await;
    (backend, fleet)
}

const LEFT: [&str; 2] = ["foreign 30 A 203.0.113.1 203.0.113.2", "foreign 30 AAAA 2001:db8::1"];

/// Without the mark the record is nobody's: it is neither changed nor deleted.
pub async fn mark_lost<B: Marked>() {
    let (backend, mut fleet) = published::<B>().await;
    backend.unmark(NAME).await;
    let provider = backend.provider(OWNER);
    assert_eq!(at(&list(&*provider).await, NAME), LEFT);
    fleet.publish(NAME, &["203.0.113.9"]);
    let (listing, refused) = converge(&*provider, &fleet).await;
    assert!(refused.iter().any(|text| text.starts_with(&format!("{NAME}: foreign"))), "{refused:?}");
    assert_eq!(at(&listing, NAME), LEFT);
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(at(&listing, NAME), LEFT);
    assert_eq!(at(&listing, "next.example.com"), Vec::<String>::new());
}

/// With another owner's mark the record is the other's.
pub async fn mark_of_another<B: Marked>() {
    let (backend, fleet) = published::<B>().await;
    backend.hand_over(NAME).await;
    let provider = backend.provider(OWNER);
    let (listing, refused) = converge(&*provider, &fleet).await;
    assert!(refused.iter().any(|text| text.starts_with(&format!("{NAME}: foreign"))), "{refused:?}");
    assert_eq!(at(&listing, NAME), LEFT);
    let (listing, _) = converge(&*provider, &Fleet::new()).await;
    assert_eq!(at(&listing, NAME), LEFT);

    let other = backend.provider(OTHER);
    let listing = list(&*other).await;
    let owned: Vec<String> = listing.observed.owned().map(ToString::to_string).collect();
    assert_eq!(owned, [NAME]);
    assert!(at(&listing, NAME).iter().all(|line| line.starts_with("ours")), "{listing:?}");
    let (listing, _) = converge(&*other, &Fleet::new().owned_by(OTHER)).await;
    assert_eq!(at(&listing, NAME), Vec::<String>::new());
}

/// A mark with our owner id and nothing else that can be read: the record is ours, and is marked again.
pub async fn mark_damaged<B: Marked>() {
    let (backend, fleet) = published::<B>().await;
    backend.damage(NAME).await;
    let provider = backend.provider(OWNER);
    let listing = list(&*provider).await;
    let sets = listing.observed.at(&super::cases::name(NAME)).to_vec();
    assert!(sets.len() == 2 && sets.iter().all(|set| set.claim == Owner::Ours(None)), "{sets:?}");
    assert_eq!(plan(&*provider, &fleet).await.changes.len(), 1);
    let (listing, _) = converge(&*provider, &fleet).await;
    let sets = listing.observed.at(&super::cases::name(NAME));
    assert!(sets.len() == 2 && sets.iter().all(|set| set.claim.ownership().is_some()), "{sets:?}");
}
