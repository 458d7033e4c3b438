//! Tests of one shard's slots, and of several shards that give each other slots.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

type Host = u32;

/// One shard's slots with their witness, and the slots granted to hosts of the shard.
struct Shard {
    slots: Slots<Host>,
    witness: SlotsWitness<Host>,
    granted: Vec<Standing>,
}

/// Several shards, and the messages in transit between them: given slots, and requests for slots.
struct Rig {
    shards: Vec<Shard>,
    travelling: Vec<(usize, u32)>,
    asking: Vec<usize>,
    all: u32,
    now: Timestamp,
    clogged: bool,
    next: Host,
    served: u32,
}

/// One step of a schedule. The first number is that of the shard.
#[derive(Clone, Debug)]
enum Move {
    Ask(usize, Standing),
    /// The nth waiting host that is proven becomes connected, and asks again.
    Connect(usize, u8),
    End(usize, u8),
    Arrive,
    Relay,
    Intake(usize, IntakeLevel),
    Clogged(bool),
    Wait(u64),
}

const SHARDS: usize = 3;
const CONNECTED_MAX: usize = 4;

impl Rig {
    fn new(share: u32, connected_max: usize) -> Self {
        let shard = || Shard {
            slots: Slots::new(share, connected_max),
            witness: SlotsWitness::new(share, connected_max),
            granted: Vec::new(),
        };
        Self {
            shards: (0..SHARDS).map(|_| shard()).collect(),
            travelling: Vec::new(),
            asking: Vec::new(),
            all: share * SHARDS as u32,
            now: Timestamp::EPOCH,
            clogged: false,
            next: 0,
            served: 0,
        }
    }

    fn make(&mut self, next: &Move) -> Result<(), SchedulingViolation> {
        match *next {
            Move::Ask(at, standing) => {
                self.next += 1;
                self.hear(at, SlotsInput::Ask { standing, host: self.next })
            }
            Move::Connect(at, which) => {
                let proven = self.shards[at].witness.waiting(Standing::Proven);
                match proven.get(usize::from(which) % proven.len().max(1)) {
                    Some(host) => {
                        let (standing, host) = (Standing::Connected, *host);
                        self.hear(at, SlotsInput::Ask { standing, host })
                    }
                    None => Ok(()),
                }
            }
            Move::End(at, which) => {
                let granted = &mut self.shards[at].granted;
                if granted.is_empty() {
                    return Ok(());
                }
                granted.swap_remove(usize::from(which) % granted.len());
                self.hear(at, SlotsInput::Back(1))
            }
            Move::Arrive => match self.travelling.pop() {
                Some((to, slots)) => self.hear(to, SlotsInput::More(slots)),
                None => Ok(()),
            },
            Move::Relay => match self.asking.pop() {
                Some(to) => (0..SHARDS)
                    .filter(|shard| *shard != to)
                    .try_for_each(|shard| self.hear(shard, SlotsInput::Lend { to })),
                None => Ok(()),
            },
            Move::Intake(at, level) => self.hear(at, SlotsInput::Intake(level)),
            Move::Clogged(clogged) => {
                self.clogged = clogged;
                (0..SHARDS).try_for_each(|at| self.hear(at, SlotsInput::Tick))
            }
            Move::Wait(millis) => {
                self.now += Duration::from_millis(millis);
                let is_due = |shard: &Shard| shard.slots.wake_at().is_some_and(|at| at <= self.now);
                let due: Vec<_> = (0..SHARDS).filter(|at| is_due(&self.shards[*at])).collect();
                due.into_iter().try_for_each(|at| self.hear(at, SlotsInput::Tick))
            }
        }
    }

    fn hear(&mut self, at: usize, input: SlotsInput<Host>) -> Result<(), SchedulingViolation> {
        let shard = &mut self.shards[at];
        shard.witness.hear(&input);
        shard.slots.handle(input);
        loop {
            let doubtful = shard.granted.iter().filter(|standing| **standing == Standing::Doubtful).count();
            let around = Surroundings { is_clogged: self.clogged, doubtful_out: doubtful as u32 };
            let Some(output) = shard.slots.poll(self.now, around) else {
                shard.witness.rest(&shard.slots, around)?;
                break;
            };
            shard.witness.see(&output, around)?;
            match output {
                SlotsOutput::Grant { standing, .. } => {
                    shard.granted.push(standing);
                    self.served += 1;
                }
                SlotsOutput::Give { to, slots } => self.travelling.push((to, slots)),
                SlotsOutput::AskOthers => self.asking.push(at),
            }
        }
        let owned: u32 = self.shards.iter().map(|shard| shard.slots.owned()).sum();
        let travelling: u32 = self.travelling.iter().map(|(_, slots)| slots).sum();
        let out: usize = self.shards.iter().map(|shard| shard.granted.len()).sum();
        ensure(out as u32 <= self.all, S7, || format!("{out} of {} are in flight", self.all))?;
        let sum = owned + travelling;
        ensure(sum == self.all, S7, || format!("{sum} slots where {} were", self.all))
    }

    /// Ends the schedule without further faults. Every waiting host must then be served.
    fn finish(&mut self) -> Result<(), SchedulingViolation> {
        self.make(&Move::Clogged(false))?;
        for at in 0..SHARDS {
            self.make(&Move::Intake(at, IntakeLevel::Full))?;
        }
        for _ in 0..2_000 {
            for at in 0..SHARDS {
                self.make(&Move::End(at, 0))?;
            }
            for next in [Move::Wait(20), Move::Relay, Move::Arrive] {
                self.make(&next)?;
            }
            if self.served == self.next {
                return Ok(());
            }
        }
        assert_eq!(self.served, self.next, "some are never served");
        Ok(())
    }
}

fn standings() -> impl Strategy<Value = Standing> {
    prop::sample::select(vec![Standing::Connected, Standing::Proven, Standing::Doubtful])
}

fn moves() -> impl Strategy<Value = Move> {
    let levels = vec![IntakeLevel::Full, IntakeLevel::Half, IntakeLevel::One, IntakeLevel::Paused];
    prop_oneof![
        12 => (0..SHARDS, standings()).prop_map(|(at, standing)| Move::Ask(at, standing)),
        8 => (0..SHARDS, any::<u8>()).prop_map(|(at, which)| Move::End(at, which)),
        2 => (0..SHARDS, any::<u8>()).prop_map(|(at, which)| Move::Connect(at, which)),
        3 => Just(Move::Arrive),
        3 => Just(Move::Relay),
        1 => (0..SHARDS, prop::sample::select(levels)).prop_map(|(at, level)| Move::Intake(at, level)),
        1 => any::<bool>().prop_map(Move::Clogged),
        3 => (0u64..30).prop_map(Move::Wait),
    ]
}

fn schedules() -> impl Strategy<Value = (u32, usize, Vec<Move>)> {
    (1u32..12, 0..=CONNECTED_MAX, prop::collection::vec(moves(), 0..150))
}

fn run(rig: &mut Rig, moves: &[Move]) -> Result<(), SchedulingViolation> {
    moves.iter().try_for_each(|next| rig.make(next))?;
    rig.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_makes_or_loses_a_slot_and_everybody_is_served_in_turn((share, connected_max, moves) in schedules()) {
        let result = run(&mut Rig::new(share, connected_max), &moves);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[cfg(feature = "sabotage")]
#[test]
fn each_seeded_bug_is_found_as_a_breach_of_its_invariant() {
    crate::scheduling::sabotage::tests::finds(
        &[Bug::KeepGivenSlot, Bug::DoubtfulTakeAll],
        schedules(),
        |bug, (share, connected_max, moves)| {
            let mut rig = Rig::new(*share, *connected_max);
            rig.shards.iter_mut().for_each(|shard| shard.slots.sabotage(bug));
            run(&mut rig, moves)
        },
    );
}

const CALM: Surroundings = Surroundings { is_clogged: false, doubtful_out: 0 };

fn ask(host: Host) -> SlotsInput<Host> {
    SlotsInput::Ask { standing: Standing::Proven, host }
}

fn grant(host: Host, is_short: bool) -> SlotsOutput<Host> {
    SlotsOutput::Grant { standing: Standing::Proven, host, is_short }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

#[test]
fn a_starved_shard_asks_the_others_again_and_again() {
    let mut slots = Slots::new(1, CONNECTED_MAX);
    slots.handle(ask(1));
    slots.handle(ask(2));
    assert_eq!(slots.poll(at(0), CALM), Some(grant(1, true)));
    assert_eq!(slots.poll(at(0), CALM), Some(SlotsOutput::AskOthers));
    assert_eq!((slots.poll(at(0), CALM), slots.wake_at()), (None, Some(at(20))));
    slots.handle(SlotsInput::Tick);
    assert_eq!(slots.poll(at(20), CALM), Some(SlotsOutput::AskOthers));
    slots.handle(SlotsInput::More(1));
    assert_eq!(slots.poll(at(21), CALM), Some(grant(2, false)));
}

#[test]
fn while_it_is_clogged_nothing_starts_and_nobody_is_asked() {
    let mut slots = Slots::new(1, CONNECTED_MAX);
    slots.handle(ask(1));
    let clogged = Surroundings { is_clogged: true, ..CALM };
    assert_eq!((slots.poll(at(0), clogged), slots.wake_at()), (None, Some(at(1))));
    slots.handle(SlotsInput::Tick);
    assert_eq!(slots.poll(at(1), CALM), Some(grant(1, false)));
}

#[test]
fn borrowed_slots_go_back_as_they_come_back_and_before_anything_is_granted() {
    let mut slots = Slots::new(1, CONNECTED_MAX);
    slots.handle(SlotsInput::More(1));
    (1..4).for_each(|host| slots.handle(ask(host)));
    assert_eq!(
        (slots.poll(at(0), CALM), slots.poll(at(0), CALM)),
        (Some(grant(1, true)), Some(grant(2, true)))
    );
    slots.handle(SlotsInput::Lend { to: 7 });
    assert_eq!(slots.poll(at(0), CALM), Some(SlotsOutput::AskOthers));
    slots.handle(SlotsInput::Back(1));
    assert_eq!(slots.poll(at(1), CALM), Some(SlotsOutput::Give { to: 7, slots: 1 }));
    assert_eq!((slots.poll(at(1), CALM), slots.owned()), (None, 1));
}

#[test]
fn a_host_without_room_waits_again_behind_the_others() {
    let mut slots = Slots::new(2, CONNECTED_MAX);
    slots.handle(ask(1));
    slots.handle(ask(2));
    assert_eq!(slots.poll(at(0), CALM), Some(grant(1, true)));
    slots.handle(SlotsInput::Refused { standing: Standing::Proven, host: 1 });
    assert_eq!(slots.poll(at(0), CALM), Some(SlotsOutput::AskOthers), "nothing more in this round");
    assert_eq!(slots.poll(at(0), CALM), None);
    slots.handle(SlotsInput::Back(1));
    assert_eq!(
        (slots.poll(at(0), CALM), slots.poll(at(0), CALM)),
        (Some(grant(2, true)), Some(grant(1, false)))
    );
}
