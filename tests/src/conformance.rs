//! What every provider has to do, in one list of cases: [`cases`]. A [`Backend`] gives a zone of its own to each case.
//!
//! Plans come from the real planner: a case says what a fleet publishes ([`Fleet`]), and what has to stand in the zone.
//!
//! [`conformance!`](crate::conformance!) makes one test of each case, so that adding a provider is one line.

pub mod cases;
mod fleet;
pub mod marks;
mod pass;

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

/// One test for each case, in a module: `conformance!(bind, Bind)`, or `conformance!(embedded, Embedded, no marks)`
/// where nobody else can reach the marks.
#[macro_export]
macro_rules! conformance {
    ($module:ident, $backend:ty) => {
        mod $module {
            use super::*;
            $crate::conformance!(@cases $backend);
            $crate::conformance!(@tests $backend, marks: [mark_lost, mark_of_another, mark_damaged,]);
        }
    };
    ($module:ident, $backend:ty, no marks) => {
        mod $module {
            use super::*;
            $crate::conformance!(@cases $backend);
        }
    };
    (@cases $backend:ty) => {
        $crate::conformance!(@tests $backend, cases: [
            empty_zone, every_type_round_trips, foreign_records_stay, created_replaced_deleted,
            names_that_begin_alike, wildcard_and_apex, many_names, applied_twice, stale_plan,
            editor_between_list_and_apply, clashing_types, one_fault_stops_no_other, ttl_is_clamped,
            case_and_idna, longest_names, largest_sets,
        ]);
    };
    (@tests $backend:ty, $list:ident: [$($case:ident,)*]) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::conformance::$list::$case::<$backend>().await;
            }
        )*
    };
}
