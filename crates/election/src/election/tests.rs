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

/// Reads the same every second.
fn watch(election: &mut Election, seconds: std::ops::RangeInclusive<u32>, found: &Option<Found>) {
    for second in seconds {
        election.pause(SECOND * second);
        election.found(SECOND * second, found.clone());
    }
}

#[test]
fn a_lease_of_another_counts_from_when_it_was_seen_to_change() {
    let mut one = new(1);
    assert_eq!(one.next(SECOND), Next::Read);
    one.found(SECOND, held(Some(2), 1));
    assert_eq!(wants(&one, SECOND * 13), None);
    one.found(SECOND * 13, held(Some(2), 2));
    watch(&mut one, 14..=25, &held(Some(2), 2));
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
    one.found(SECOND, held(None, 1));
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
    one.not_written();
    one.found(SECOND * 2, None);
    assert!(wants(&one, SECOND * 2).is_some());
    // One that follows, and one that has just started, leave time for a leader that is cut off.
    for election in [&mut two, &mut three] {
        watch(election, 2..=14, &None);
        assert_eq!(wants(election, SECOND * 14), None);
        watch(election, 15..=15, &None);
        assert!(wants(election, SECOND * 15).is_some());
    }
}

/// What a backup holds may name anybody, and says nothing of who leads.
#[test]
fn a_record_that_was_put_back_from_a_backup_is_no_reason_to_lead() {
    let record = |by: Option<usize>, transitions| Record { holder: by.map(me), seconds: 13, transitions };
    let put_back =
        |by, version: u64| Some(Found { record: record(by, 3), version: version.to_string().into() });
    let follower = || {
        let mut one = new(1);
        one.found(SECOND, Some(Found { record: record(Some(2), 5), version: "9".into() }));
        one
    };
    for by in [Some(1), Some(3), None] {
        let mut one = follower();
        one.pause(SECOND);
        one.found(SECOND * 10, put_back(by, 4));
        watch(&mut one, 11..=22, &put_back(by, 4));
        assert_eq!(wants(&one, SECOND * 22), None, "{by:?}");
        watch(&mut one, 23..=23, &put_back(by, 4));
        let (record, _) = wants(&one, SECOND * 23).unwrap();
        assert_eq!(record.transitions, 6, "{by:?}: it goes on where the others were");
    }
    // The leader writes its own over it while its time runs.
    let mut leader = follower();
    leader.written(SECOND * 20, record(Some(1), 6), "10".into());
    leader.not_written();
    leader.found(SECOND * 21, put_back(Some(1), 4));
    assert!(leader.until().is_some() && wants(&leader, SECOND * 21).is_some());
    leader.found(SECOND * 22, put_back(Some(2), 5));
    assert_eq!((leader.until(), wants(&leader, SECOND * 22)), (None, None), "or steps down");
}

#[test]
fn a_take_over_whose_answer_is_lost_is_known_again_by_its_record() {
    let mut one = new(1);
    watch(&mut one, 1..=14, &held(Some(2), 1));
    let (record, _) = wants(&one, SECOND * 14).unwrap();
    one.sends(SECOND * 14, &record);
    assert_eq!(one.next(SECOND * 15), Next::Read);
    one.found(SECOND * 15, Some(Found { record: record.clone(), version: "2".into() }));
    assert_eq!(one.until(), None, "nobody knows when it was written");
    assert_eq!(wants(&one, SECOND * 15).map(|(wanted, _)| wanted), Some(record));
}

/// Versions may come again after a backup.
#[test]
fn who_does_not_lead_reads_before_every_write() {
    let mut one = new(1);
    watch(&mut one, 1..=19, &held(Some(2), 1));
    one.pause(SECOND * 19);
    assert_eq!(one.next(SECOND * 20), Next::Read);
    one.found(SECOND * 20, held(Some(2), 1));
    let (record, _) = wants(&one, SECOND * 20).unwrap();
    one.written(SECOND * 20, record, "2".into());
    assert!(wants(&one, SECOND * 21).is_some(), "a leader renews");
    assert_eq!(one.next(SECOND * 40), Next::Read, "one that was frozen leads no more");
}

#[test]
fn no_record_keeps_a_lease_for_ever() {
    let mut one = new(1);
    let record = Record { holder: Some("x".into()), seconds: u32::MAX, transitions: u32::MAX };
    let found = Some(Found { record, version: "1".into() });
    watch(&mut one, 1..=600, &found);
    assert_eq!(wants(&one, SECOND * 600), None);
    watch(&mut one, 601..=601, &found);
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
    backup: (Option<Found>, u64),
    /// When all was last as in the backup.
    kept: u64,
    /// When there was last no document.
    absent: u64,
    /// When a document was deleted or put back last.
    meddled: u64,
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

#[test]
fn what_was_not_looked_at_for_a_while_counts_from_now() {
    let mut one = new(1);
    watch(&mut one, 1..=5, &held(Some(2), 1));
    // It may have been renewed and put back meanwhile.
    watch(&mut one, 14..=26, &held(Some(2), 1));
    assert_eq!(wants(&one, SECOND * 26), None);
    watch(&mut one, 27..=27, &held(Some(2), 1));
    let (record, _) = wants(&one, SECOND * 27).unwrap();
    one.written(SECOND * 27, record, "2".into());
    let mine = one.seen.clone().unwrap().found;
    // A backup may have put it back.
    watch(&mut one, 47..=59, &mine);
    assert_eq!(wants(&one, SECOND * 59), None, "who had it last waits too when the engine is back");
    watch(&mut one, 60..=60, &mine);
    assert!(wants(&one, SECOND * 60).is_some());
}

/// The least time from one deletion or restore to the next.
const MEDDLES: u64 = 45_000;

/// What becomes of the engine's documents: they are deleted, or put back as they once were, and versions come again. Not so
/// soon after they were like that that others have seen nothing else, and not again before the replicas are over it.
fn meddle(world: &mut World, now: u64, dice: u16) {
    let backup = world.backup.clone();
    if world.writes == backup.1 {
        world.kept = now;
    }
    if world.stored.is_none() {
        world.absent = now;
    }
    match dice % 64 {
        12 | 13 => world.backup = (world.stored.clone(), world.writes),
        11 if now >= world.meddled.saturating_add(MEDDLES).max(world.absent + 4_000) => {
            (world.stored, world.meddled) = (None, now);
        }
        14 if now >= world.meddled.saturating_add(MEDDLES).max(world.kept + 4_000) => {
            ((world.stored, world.writes), world.meddled) = (backup, now);
        }
        _ => {}
    }
}

/// Sends what the election wants; `false`: it wants to wait.
fn send(replica: &mut Replica, now: u64, dice: u16, has_read: bool) -> bool {
    let clock = replica.clock(now);
    replica.call = match replica.election.next(clock) {
        Next::Read if has_read => None,
        Next::Read => Some(Call::Read),
        Next::Write(record, over) => {
            replica.election.sends(clock, &record);
            Some(Call::Write { record, over, sent: clock })
        }
    };
    replica.wakes = now + u64::from(dice % 300);
    replica.call.is_some()
}

/// One thing that a replica does. `dice` says how long it takes and what goes wrong.
fn act(replica: &mut Replica, world: &mut World, now: u64, dice: u16) {
    let clock = replica.clock(now);
    match (replica.call.take(), replica.answer.take()) {
        (None, _) => drop(send(replica, now, dice, false)),
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
                (Call::Read, Ok(found)) => {
                    replica.election.found(clock, found);
                    if send(replica, now, dice, true) {
                        return;
                    }
                }
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

/// Three replicas with clocks of such rates; returns for how long one of them might write, and how long it all took.
fn elect(rates: &[u64], dice: &[u16], meddles: bool) -> Result<(u64, u64), TestCaseError> {
    let mut world = World::default();
    let start = |(number, rate): (usize, &u64)| Replica {
        election: new(number),
        rate: *rate,
        call: None,
        answer: None,
        wakes: 0,
    };
    let mut replicas: Vec<Replica> = rates.iter().enumerate().map(start).collect();
    let (mut now, mut led, mut started) = (0, 0_u64, 3);
    for &dice in dice {
        if meddles {
            meddle(&mut world, now, dice.rotate_left(8));
        }
        let next = (0..3).min_by_key(|number| replicas[*number].wakes).unwrap();
        while now < replicas[next].wakes {
            now += 1;
            let writers = replicas.iter().filter(|replica| replica.may_write(now)).count();
            prop_assert!(writers <= 1, "{writers} may write at {now} ms");
            led += u64::try_from(writers).unwrap();
        }
        act(&mut replicas[next], &mut world, now, dice);
        if meddles && dice % 128 == 77 {
            // It is killed, and another one starts.
            replicas[next].election = new(started);
            (replicas[next].call, replicas[next].answer, started) = (None, None, started + 1);
        }
    }
    Ok((led, now))
}

proptest! {
    #[test]
    fn at_most_one_may_write(
        rates in proptest::collection::vec(910..1090_u64, 3),
        dice in proptest::collection::vec(any::<u16>(), 200..1200),
        meddles: bool,
    ) {
        elect(&rates, &dice, meddles)?;
    }

    #[test]
    fn where_nothing_goes_wrong_one_leads(
        rates in proptest::collection::vec(910..1090_u64, 3),
        dice in proptest::collection::vec(any::<u16>(), 400..1200),
    ) {
        // These have no request that is lost, and no process that is frozen.
        let dice: Vec<u16> = dice.into_iter().map(|dice| dice | 6).collect();
        let (led, now) = elect(&rates, &dice, false)?;
        prop_assert!(led + 25_000 > now, "for {led} of {now} ms somebody led");
    }
}
