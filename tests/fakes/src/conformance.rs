//! What every provider has to do, in one list of cases: [`cases`]. A [`Backend`] returns a zone of its own to each case.
//!
//! Plans come from the real planner: a case says what a fleet publishes ([`Fleet`]), and what has to stand in the zone.
//!
//! [`conformance!`](crate::conformance!) makes one test of each case, so that adding a provider is one line.

pub mod cases;
pub mod faults;
mod fleet;
pub mod handover;
pub mod marks;
mod pass;
pub mod refusals;

use fleetdns_core::Provider;

pub use fleet::Fleet;
pub use pass::{converge, with_causes};

/// The zone of every case.
pub const ZONE: &str = "example.com";
/// Our owner id.
pub const OWNER: &str = "fed";
/// Somebody else's, who uses fleetdns too.
pub const OTHER: &str = "other";

/// A real server, or the files of one, with an empty zone [`ZONE`]: it has no more than an SOA, name servers and their
/// addresses.
#[expect(async_fn_in_trait, reason = "a case awaits it where it stands; nothing is spawned")]
pub trait Backend: Sized {
    /// Names of the case with many: 10,000, or as many as are written in some seconds.
    const MANY: usize = 10_000;

    /// Starts one.
    async fn start() -> Self;

    /// A provider of the zone, as good as one in another process.
    fn provider(&self, owner: &str) -> Box<dyn Provider>;

    /// Somebody else adds a record, which has no mark of ours. `record_type` is one of A, AAAA and CNAME.
    async fn put(&self, name: &str, record_type: &str, value: &str);

    /// Somebody else changes a value of ours, by hand: the mark stays.
    async fn edit(&self, name: &str, record_type: &str, from: &str, to: &str);
}

/// A backend that keeps marks where others can reach them. Each method changes the mark of all sets of one name.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Marked: Backend {
    /// Takes it away.
    async fn unmark(&self, name: &str);

    /// Puts [`OTHER`] in the place of the owner.
    async fn hand_over(&self, name: &str);

    /// Leaves the owner and makes the rest unreadable.
    async fn damage(&self, name: &str);
}

/// A backend to which external-dns writes too.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Theirs: Backend {
    /// external-dns adds a record.
    async fn put_as_external_dns(&self, name: &str, record_type: &str, value: &str) {
        self.put(name, record_type, value).await;
    }

    /// external-dns adds a TXT record, whose text is without quotes.
    async fn put_text(&self, name: &str, text: &str);
}

/// A backend behind a connection that can be cut.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Cut: Backend {
    /// The connection ends in the middle of the next write, once.
    async fn cut(&self, moment: Moment);

    /// How often that happened.
    fn cuts(&self) -> usize;
}

/// When a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The write is not carried out.
    Before,
    /// It is, and its answer is lost.
    After,
}

/// A backend that knows rights.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Forbid: Backend {
    /// Takes the right to write away.
    async fn forbid(&self);

    /// Returns it back.
    async fn allow(&self);
}

/// A backend whose zone can be gone.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Vanish: Backend {
    /// Somebody else deletes the zone.
    async fn vanish(&self);
}

/// A backend that asks to wait.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Storm: Backend {
    /// Every call is refused from now on, with the request to wait.
    async fn storm(&self);

    /// It is over.
    async fn calm(&self);

    /// Calls that were made since the storm began.
    fn calls(&self) -> usize;
}

/// Names below these are refused by a backend that [`Refuse::refuse`] was called on. One is before [`TAKEN`] in every
/// order of names, one after it.
pub const REFUSED: [&str; 2] = ["a.example.com", "z.example.com"];
/// Names below this one are taken all the same.
pub const TAKEN: &str = "m.example.com";

/// A backend that refuses single names for reasons of its own: a policy, a lock, a condition on record names.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Refuse: Backend {
    /// Plans in a row after which everything else has to be written.
    const APPLIES: usize = 1;

    /// Every write to a name below one of [`REFUSED`] is refused from now on, new or not; below [`TAKEN`] it is taken.
    async fn refuse(&self);

    /// Everything is taken again.
    async fn accept(&self);
}

/// A backend whose listing can fail while it takes writes.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Blind: Backend {
    /// Listings fail from now on.
    async fn blind(&self, how: Blindness);

    /// Listings work again.
    async fn see(&self);
}

/// How a listing fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blindness {
    /// It is refused: a right that was taken away, a rate.
    Refused,
    /// It begins, or its connection does, and nothing more comes.
    Stalled,
}

/// A backend that can carry out a part of a write.
#[expect(async_fn_in_trait, reason = "as for Backend")]
pub trait Halve: Backend {
    /// Of the next change of this name from addresses to a CNAME the deletion is carried out and the addition is not,
    /// once. The backend's answer is as it would be then.
    async fn halve(&self, name: &str);

    /// How often that happened.
    fn halves(&self) -> usize;
}

/// One test for each case, in a module. The list says what of the backend can be reached or disturbed from outside:
/// `marks` ([`Marked`]), `theirs` ([`Theirs`]), `owner` and `release` (records can get another owner, and none), `cut` ([`Cut`]), `forbid` ([`Forbid`]), `vanish` ([`Vanish`]), `storm` ([`Storm`]), `refuse`
/// ([`Refuse`]), `blind` and `stall` ([`Blind`], each way of it) and `half` ([`Halve`]), such as
/// `conformance!(bind, Bind, [marks, cut, forbid, vanish])`.
///
/// `conformance!(bind, Bind)` stands for `[marks]`, and `conformance!(embedded, Embedded, no marks)` for `[]`.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $backend:ty) => {
        $crate::conformance!($module, $backend, [marks]);
    };
    ($module:ident, $backend:ty, no marks) => {
        $crate::conformance!($module, $backend, []);
    };
    ($module:ident, $backend:ty, [$($what:ident),*]) => {
        mod $module {
            use super::*;
            $crate::conformance!(@tests $backend, cases: [
                empty_zone, every_type_round_trips, foreign_records_stay, created_replaced_deleted,
                names_that_begin_alike, wildcard_and_apex, many_names, applied_twice, stale_plan,
                editor_between_list_and_apply, clashing_types, one_fault_stops_no_other, ttl_is_clamped,
                case_and_idna, longest_names, largest_sets,
            ]);
            $($crate::conformance!(@$what $backend);)*
        }
    };
    (@marks $backend:ty) => {
        $crate::conformance!(@tests $backend, marks: [mark_lost, mark_of_another, mark_damaged,]);
    };
    (@theirs $backend:ty) => {
        $crate::conformance!(@tests $backend, handover: [external_dns_adopted, external_dns_was_faster,]);
    };
    (@owner $backend:ty) => { $crate::conformance!(@tests $backend, handover: [another_owner_adopted,]); };
    (@release $backend:ty) => { $crate::conformance!(@tests $backend, handover: [zone_given_up,]); };
    (@cut $backend:ty) => { $crate::conformance!(@tests $backend, faults: [cut_in_a_write,]); };
    (@forbid $backend:ty) => { $crate::conformance!(@tests $backend, faults: [forbidden,]); };
    (@vanish $backend:ty) => { $crate::conformance!(@tests $backend, faults: [zone_gone,]); };
    (@refuse $backend:ty) => {
        $crate::conformance!(@tests $backend, refusals: [one_refused_name, twenty_refused_names,]);
    };
    (@blind $backend:ty) => { $crate::conformance!(@tests $backend, refusals: [listing_refused,]); };
    (@stall $backend:ty) => { $crate::conformance!(@tests $backend, refusals: [listing_stalled,]); };
    (@half $backend:ty) => { $crate::conformance!(@tests $backend, refusals: [write_done_by_half,]); };
    (@storm $backend:ty) => { $crate::conformance!(@tests $backend, faults: [storm,]); };
    (@tests $backend:ty, $list:ident: [$($case:ident,)*]) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::conformance::$list::$case::<$backend>().await;
            }
        )*
    };
}
