//! Tests of the ledger alone, with fixed inputs and with random schedules.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn host(n: u8) -> Host {
    Host::of(&url::Url::parse(&format!("http://h{n}.example/")).unwrap()).unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

type Leases = Vec<LeaseId>;

/// A ledger, its witness, and simulated sinks, which write when a schedule says so.
struct Rig {
    ledger: Ledger<Leases>,
    witness: LedgerWitness,
    now: Timestamp,
    next: u64,
    /// The number of the last batch that the sinks were given.
    given: u64,
    settled: Vec<LeaseId>,
}

/// One step of a schedule.
#[derive(Clone, Debug)]
enum Move {
    Pages(u8),
    Write { behind: u8 },
    Memo(u8),
    Passivated(u8),
    KeepMemos,
    Commit,
    Sync,
    Hurry,
    Wait,
}

impl Rig {
    fn new(syncing: Syncing) -> Self {
        Self {
            ledger: Ledger::new(syncing),
            witness: LedgerWitness::default(),
            now: Timestamp::EPOCH,
            next: 1,
            given: 0,
            settled: Vec::new(),
        }
    }

    fn hear(&mut self, input: LedgerInput) {
        self.witness.hear(&input);
        self.ledger.handle(self.now, input);
    }

    fn make(&mut self, next: &Move) -> Result<(), SchedulingViolation> {
        self.next += 1;
        let memo = Bytes::from(self.next.to_string());
        match next {
            Move::Pages(count) => self.pages(*count),
            Move::Write { behind } => self.write(self.given.saturating_sub((*behind).into()))?,
            Move::Memo(n) => self.hear(LedgerInput::Memo { host: host(*n), memo }),
            Move::Passivated(n) => {
                self.hear(LedgerInput::Passivated { host: host(*n), memo, stamp: Stamp(self.next) });
            }
            Move::KeepMemos => {
                let memos = self.ledger.memos();
                self.witness.memos(&memos)?;
                self.hear(LedgerInput::MemosKept);
            }
            Move::Commit => self.hear(LedgerInput::Committed),
            Move::Sync => {
                let numbered = self.ledger.begin_sync(self.now);
                self.given = numbered.map_or(self.given, |numbered| numbered.sequence);
            }
            Move::Hurry => self.hear(LedgerInput::Hurry),
            Move::Wait => self.hear(LedgerInput::Waiting),
        }
        let confirmed = self.ledger.confirmed();
        self.witness.confirmed(&confirmed)?;
        self.ledger.check()
    }

    fn pages(&mut self, count: u8) {
        let ids = self.next..self.next + u64::from(count);
        self.next = ids.end;
        let leases: Leases = ids.map(LeaseId).collect();
        assert!(leases.iter().all(|lease| self.ledger.accept(*lease) && !self.ledger.accept(*lease)));
        let numbered = self.ledger.hand_over(leases.len(), 100 * leases.len(), leases.clone());
        self.witness.handed(numbered, &leases);
        self.given = numbered.map_or(self.given, |numbered| numbered.sequence);
    }

    fn write(&mut self, sequence: u64) -> Result<(), SchedulingViolation> {
        self.hear(LedgerInput::Written(sequence));
        while let Some(batch) = self.ledger.next_settled() {
            self.witness.settled(batch.sequence, &batch.settles)?;
            batch.settles.iter().for_each(|lease| self.ledger.settled(*lease));
            self.settled.extend(batch.settles);
        }
        Ok(())
    }
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => (0u8..40).prop_map(Move::Pages),
        8 => (0u8..4).prop_map(|behind| Move::Write { behind }),
        2 => (0u8..3).prop_map(Move::Memo),
        3 => (0u8..3).prop_map(Move::Passivated),
        3 => Just(Move::KeepMemos),
        3 => Just(Move::Commit),
        3 => Just(Move::Sync),
        1 => Just(Move::Hurry),
        1 => Just(Move::Wait),
    ]
}

fn schedules() -> impl Strategy<Value = (Syncing, Vec<(u64, Move)>)> {
    let syncing = prop::sample::select(vec![
        Syncing::AtTheEnd,
        Syncing::Every(Duration::from_millis(300)),
        Syncing::EachTime,
    ]);
    (syncing, prop::collection::vec((0u64..400, moves()), 0..100))
}

fn run(rig: &mut Rig, moves: &[(u64, Move)]) -> Result<(), SchedulingViolation> {
    for (gap, next) in moves {
        rig.now += Duration::from_millis(*gap);
        rig.make(next)?;
    }
    // The schedule ends without further faults. All batches must then be settled, each once.
    rig.write(rig.given)?;
    let sent = rig.ledger.batches.iter().all(|batch| batch.sequence > rig.given);
    assert!(sent && rig.settled.is_sorted_by(|one, next| one < next));
    rig.ledger.check()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_breaks_an_invariant_and_all_that_is_written_is_settled((syncing, moves) in schedules()) {
        let result = run(&mut Rig::new(syncing), &moves);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[cfg(feature = "sabotage")]
#[test]
fn each_seeded_bug_is_found_as_a_breach_of_its_invariant() {
    crate::scheduling::sabotage::tests::finds(
        &[Bug::SettleUnwritten, Bug::ConfirmUnkept, Bug::SettleLatestFirst],
        schedules(),
        |bug, (syncing, moves)| {
            let mut rig = Rig::new(*syncing);
            rig.ledger.sabotage(bug);
            run(&mut rig, moves)
        },
    );
}

#[test]
fn nothing_more_is_taken_on_while_the_sinks_have_enough_before_them() {
    let mut ledger = Ledger::<Leases>::new(Syncing::AtTheEnd);
    ledger.hand_over(127, 10, Leases::new());
    assert!(ledger.has_room());
    ledger.hand_over(1, 10, Leases::new());
    assert!(!ledger.has_room());
    ledger.handle(at(0), LedgerInput::Written(1));
    ledger.next_settled();
    assert!(ledger.has_room());
    ledger.hand_over(1, UNWRITTEN_BYTES_MAX, Leases::new());
    assert!(!ledger.has_room());
}

#[test]
fn a_sink_that_takes_nothing_is_waited_for_until_the_run_may_close_no_longer() {
    let mut ledger = Ledger::<Leases>::new(Syncing::AtTheEnd);
    ledger.hand_over(200, 0, vec![LeaseId(1)]);
    ledger.handle(at(900_000), LedgerInput::Waiting);
    assert!(!ledger.has_room(), "it may take its time");
    ledger.handle(at(900_000), LedgerInput::Hurry);
    ledger.handle(at(901_400), LedgerInput::Hurry);
    ledger.handle(at(901_499), LedgerInput::Waiting);
    assert!(!ledger.is_cut_off() && !ledger.has_room());
    ledger.handle(at(901_500), LedgerInput::Waiting);
    assert!(ledger.is_cut_off() && ledger.has_room());
    assert_eq!(ledger.hand_over(1, 0, vec![LeaseId(2)]), None, "the sequence is a prefix");
    assert_eq!(ledger.next_settled(), None);
    assert!(!ledger.is_all_written());
}

#[test]
fn a_run_that_is_to_end_soon_waits_a_while_for_the_sinks_and_then_for_their_disk() {
    let mut ledger = Ledger::<Leases>::new(Syncing::AtTheEnd);
    ledger.hand_over(1, 0, vec![LeaseId(1)]);
    ledger.hand_over(1, 0, vec![LeaseId(2)]);
    ledger.handle(at(0), LedgerInput::Close);
    assert_eq!(ledger.waits_until(), None, "an orderly end waits as long as they take");
    ledger.handle(at(0), LedgerInput::Hurry);
    assert_eq!(ledger.waits_until(), Some(at(1_500)));
    ledger.handle(at(1_000), LedgerInput::Written(1));
    assert_eq!(ledger.waits_until(), Some(at(1_500)), "one is not written");
    ledger.handle(at(1_200), LedgerInput::Written(2));
    assert_eq!((ledger.waits_until(), ledger.is_all_written()), (Some(at(3_200)), true));
}

#[test]
fn an_orderly_end_waits_for_the_sinks_however_long_they_take() {
    let mut ledger = Ledger::<Leases>::new(Syncing::AtTheEnd);
    ledger.hand_over(3, 700, vec![LeaseId(1)]);
    ledger.handle(at(0), LedgerInput::Close);
    ledger.handle(at(86_400_000), LedgerInput::Waiting);
    assert!(!ledger.is_cut_off());
    assert_eq!((ledger.before_sinks(), ledger.waits_until()), ((3, 700), None));
    ledger.handle(at(86_400_000), LedgerInput::Written(1));
    assert!(ledger.next_settled().is_some() && ledger.is_all_written());
    assert_eq!((ledger.before_sinks(), ledger.waits_until()), ((0, 0), None));
}

#[test]
fn a_sync_is_due_once_after_something_was_committed() {
    let mut ledger = Ledger::<Leases>::new(Syncing::Every(Duration::from_millis(100)));
    assert_eq!((ledger.sync_due(), ledger.begin_sync(at(5_000))), (None, None));
    ledger.handle(at(5_000), LedgerInput::Committed);
    ledger.handle(at(5_050), LedgerInput::Committed);
    assert_eq!((ledger.sync_due(), ledger.begin_sync(at(5_099))), (Some(at(5_100)), None));
    assert_eq!(ledger.begin_sync(at(5_100)), Some(Numbered { sequence: 1, sync: true }));
    assert_eq!((ledger.sync_due(), ledger.begin_sync(at(6_000))), (None, None));
    let each = Ledger::<Leases>::new(Syncing::EachTime).hand_over(1, 0, Leases::new());
    assert_eq!(each, Some(Numbered { sequence: 1, sync: true }));
}
