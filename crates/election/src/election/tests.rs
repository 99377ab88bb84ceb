//! Replicas on clocks of their own, an engine that is slow and fails, and one law: at most one may write at any moment.

use proptest::prelude::*;

use super::*;

const LEASE: Duration = Duration::from_secs(15);
const SECOND: Duration = Duration::from_secs(1);

fn me(number: usize) -> String {
    format!("r{number}")
}

fn new(number: usize) -> Election {
    Election::new(me(number), Terms::of(LEASE))
}

fn held(by: Option<usize>, version: u64) -> Option<Found> {
    let record = Record { holder: by.map(me), seconds: 13, transitions: 0 };
    Some(Found { record, version: version.to_string().into() })
}

/// What an election wants to write now.
fn wants(election: &Election, at: Duration) -> Option<(Record, Option<Arc<str>>)> {
    match election.next(at) {
        Next::Write(record, over) => Some((record, over)),
        Next::Read => None,
    }
}

#[test]
fn a_lease_of_another_counts_from_when_it_was_seen_to_change() {
    let mut one = new(1);
    assert_eq!(one.next(SECOND), Next::Read);
    one.found(SECOND, held(Some(2), 1));
    assert_eq!(wants(&one, SECOND * 13), None);
    one.found(SECOND * 13, held(Some(2), 2));
    assert_eq!(wants(&one, SECOND * 25), None, "it was renewed");
    assert_eq!(one.pause(SECOND * 25 + SECOND / 2), SECOND / 2, "it is there when the lease ends");
    one.found(SECOND * 26, held(Some(2), 2));
    let (record, over) = wants(&one, SECOND * 26).unwrap();
    assert_eq!((record.holder.clone(), record.transitions, over), (Some(me(1)), 1, Some("2".into())));
    one.written(SECOND * 26, record, "3".into());
    assert_eq!(one.until(), Some(SECOND * 26 + Terms::of(LEASE).hold));
    assert_eq!(wants(&one, SECOND * 27).unwrap().0.transitions, 1, "a renewal is no transition");
}

#[test]
fn a_lease_that_was_given_back_is_taken_at_once() {
    let (mut one, mut two) = (new(1), new(2));
    one.found(SECOND, held(Some(1), 1));
    let (record, _) = wants(&one, SECOND).unwrap();
    one.written(SECOND, record, "2".into());
    let (record, version) = one.release().unwrap();
    assert_eq!((record.holder.clone(), &*version, one.until()), (None, "2", None));
    two.found(SECOND * 2, Some(Found { record, version: "3".into() }));
    assert!(wants(&two, SECOND * 2).is_some());
    assert_eq!(two.release(), None, "who does not lead gives nothing back");
}

#[test]
fn a_write_of_which_nobody_knows_extends_nothing() {
    let mut one = new(1);
    one.found(SECOND, held(None, 1));
    let (record, _) = wants(&one, SECOND).unwrap();
    one.written(SECOND, record, "2".into());
    let until = one.until();
    one.not_written();
    assert_eq!(one.next(SECOND * 2), Next::Read);
    one.found(SECOND * 3, held(Some(1), 3));
    assert_eq!(one.until(), until);
    assert!(wants(&one, SECOND * 3).is_some_and(|(_, over)| over == Some("3".into())));
    one.found(SECOND * 3, held(Some(2), 4));
    assert_eq!(one.until(), None, "another has taken it");
}

#[test]
fn a_record_that_is_deleted_is_written_again_by_the_leader_first() {
    let (mut one, mut two, mut three) = (new(1), new(2), new(3));
    one.found(SECOND, held(None, 1));
    let (record, _) = wants(&one, SECOND).unwrap();
    one.written(SECOND, record, "2".into());
    two.found(SECOND, held(Some(1), 2));
    for election in [&mut one, &mut two, &mut three] {
        election.not_written();
        election.found(SECOND * 2, None);
    }
    assert!(wants(&one, SECOND * 2).is_some());
    assert_eq!(wants(&two, SECOND * 14), None);
    assert!(wants(&two, SECOND * 15).is_some());
    assert_eq!(wants(&three, SECOND * 3), None, "one that has just started leaves time for it");
    assert!(wants(&three, SECOND * 4).is_some());
}

#[test]
fn no_record_keeps_a_lease_for_ever() {
    let mut one = new(1);
    let record = Record { holder: Some("x".into()), seconds: u32::MAX, transitions: u32::MAX };
    one.found(SECOND, Some(Found { record, version: "1".into() }));
    assert_eq!(wants(&one, SECOND * 600), None);
    assert_eq!(wants(&one, SECOND * 601).unwrap().0.transitions, u32::MAX);
}

/// A request that is under way.
#[derive(Debug)]
enum Call {
    Read,
    Write { record: Record, over: Option<Arc<str>>, sent: Duration },
}

struct Replica {
    election: Election,
    /// Its clock shows so many thousandths of the time that passes.
    rate: u64,
    call: Option<Call>,
    /// What a request that the engine has carried out returned.
    answer: Option<Result<Option<Found>, ()>>,
    /// Nothing happens here before this.
    wakes: u64,
}

impl Replica {
    fn clock(&self, now: u64) -> Duration {
        Duration::from_micros(now * self.rate)
    }

    fn may_write(&self, now: u64) -> bool {
        self.election.until().is_some_and(|until| self.clock(now) < until)
    }
}

#[derive(Default)]
struct World {
    stored: Option<Found>,
    writes: u64,
}

impl World {
    fn carry_out(&mut self, call: &Call) -> Result<Option<Found>, ()> {
        if let Call::Write { record, over, .. } = call {
            if self.stored.as_ref().map(|found| &found.version) != over.as_ref() {
                return Err(());
            }
            self.writes += 1;
            self.stored = Some(Found { record: record.clone(), version: self.writes.to_string().into() });
        }
        Ok(self.stored.clone())
    }
}

/// One thing that a replica does. `dice` says how long it takes and what goes wrong.
fn act(replica: &mut Replica, world: &mut World, now: u64, dice: u16) {
    let clock = replica.clock(now);
    match (replica.call.take(), replica.answer.take()) {
        (None, _) => {
            replica.call = Some(match replica.election.next(clock) {
                Next::Read => Call::Read,
                Next::Write(record, over) => Call::Write { record, over, sent: clock },
            });
            replica.wakes = now + u64::from(dice % 300);
        }
        (Some(call), None) => {
            // One of eight never arrives, and of one of eight the answer is lost.
            let answer = if dice.is_multiple_of(8) { Err(()) } else { world.carry_out(&call) };
            replica.answer = Some(if dice % 8 == 1 { Err(()) } else { answer });
            replica.call = Some(call);
            // Now and then the process is frozen for longer than a lease lasts.
            replica.wakes = now + if dice % 64 == 2 { u64::from(dice) } else { u64::from(dice % 200) };
        }
        (Some(call), Some(answer)) => {
            match (call, answer) {
                (Call::Read, Ok(found)) => replica.election.found(clock, found),
                (Call::Write { record, sent, .. }, Ok(Some(found))) => {
                    replica.election.written(sent, record, found.version);
                }
                (Call::Write { .. }, _) => replica.election.not_written(),
                (Call::Read, Err(())) => {}
            }
            let pause = replica.election.pause(replica.clock(now)).as_millis();
            replica.wakes = now + u64::try_from(pause).unwrap() + u64::from(dice % 50);
        }
    }
}

proptest! {
    #[test]
    fn at_most_one_may_write_and_some_one_comes_to(
        rates in proptest::collection::vec(910..1090_u64, 3),
        dice in proptest::collection::vec(any::<u16>(), 200..1200),
    ) {
        let mut world = World::default();
        let mut replicas: Vec<Replica> = rates.iter().enumerate().map(|(number, rate)| {
            Replica { election: new(number), rate: *rate, call: None, answer: None, wakes: 0 }
        }).collect();
        let (mut now, mut led) = (0, 0_u64);
        for dice in dice {
            let next = (0..3).min_by_key(|number| replicas[*number].wakes).unwrap();
            while now < replicas[next].wakes {
                now += 1;
                let writers = replicas.iter().filter(|replica| replica.may_write(now)).count();
                prop_assert!(writers <= 1, "{writers} may write at {now} ms");
                led += u64::try_from(writers).unwrap();
            }
            act(&mut replicas[next], &mut world, now, dice);
        }
        prop_assert!(now < 60_000 || led * 4 > now, "for {led} of {now} ms somebody led");
    }
}
