//! Tests of dispatch alone, with fixed inputs and with random schedules.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// A dispatch with a simulated store and simulated host actors, driven by a schedule.
struct Rig {
    dispatch: Dispatch,
    witness: DispatchWitness,
    store: [Work; HOSTS],
    counts: StoreCounts,
}

/// The due work of one host in the simulated store.
#[derive(Clone, Copy, Default)]
struct Work {
    due: usize,
    /// Whether the store has reported the work to dispatch.
    told: bool,
    /// True if the host's last want got fewer leases than it asked for, and the host has not become passive since.
    short: bool,
}

/// One step of a schedule. Hosts are given by their numbers.
#[derive(Clone, Debug)]
enum Move {
    Discover(u8, u8),
    Want(u8, u8),
    Begun(u8),
    Passivated(u8),
    Errand(u8),
    Intake(IntakeLevel),
    Stop,
    Turn { asked: u8, filters: bool },
    End { pages: u8, others: u8 },
}

const HOSTS: usize = 12;

fn host(n: usize) -> Host {
    Host::of(&url::Url::parse(&format!("http://h{n}.example/")).unwrap()).unwrap()
}

fn number(host: &Host) -> usize {
    (0..HOSTS).find(|n| self::host(*n) == *host).unwrap()
}

impl Rig {
    fn new(limits: DispatchLimits) -> Self {
        Self {
            dispatch: Dispatch::new(limits),
            witness: DispatchWitness::new(limits),
            store: [Work::default(); HOSTS],
            counts: StoreCounts::default(),
        }
    }

    fn hear(&mut self, input: DispatchInput) -> Result<(), SchedulingViolation> {
        self.witness.hear(&input);
        self.dispatch.handle(input);
        self.witness.rest(&self.dispatch)
    }

    fn make(&mut self, next: &Move) -> Result<(), SchedulingViolation> {
        match *next {
            Move::Discover(n, due) => self.store[usize::from(n)].due += usize::from(due),
            Move::Want(n, leases) => {
                self.hear(DispatchInput::Want { host: host(n.into()), leases: leases.into() })?;
            }
            Move::Begun(n) => self.hear(DispatchInput::Begun(host(n.into())))?,
            Move::Passivated(n) => {
                self.stop_leasing(n.into());
                self.hear(DispatchInput::Passivated(host(n.into())))?;
            }
            Move::Errand(n) => {
                let waking = self.dispatch.errand(&host(n.into()));
                self.witness.errand(&host(n.into()), waking)?;
            }
            Move::Intake(level) => self.hear(DispatchInput::Intake(level))?,
            Move::Stop => self.hear(DispatchInput::Stop)?,
            Move::Turn { asked, filters } => {
                self.turn(usize::from(asked), filters)?;
            }
            Move::End { pages, others } => {
                let pages = u64::from(pages).min(self.counts.out);
                self.counts.out -= pages;
                self.counts.pages += pages;
                self.counts.out -= u64::from(others).min(self.counts.out);
            }
        }
        self.witness.rest(&self.dispatch)
    }

    fn stop_leasing(&mut self, n: usize) {
        (self.store[n].told, self.store[n].short) = (false, false);
    }

    /// Runs one turn. Returns how many leases each host got, as pairs of host number and count.
    fn turn(&mut self, asked: usize, filters: bool) -> Result<Vec<(usize, usize)>, SchedulingViolation> {
        let asked = asked.min(self.dispatch.room());
        let has_news = |n: &usize| self.store[*n].due > 0 && !self.store[*n].told;
        let (mut told, others): (Vec<usize>, Vec<usize>) =
            (0..HOSTS).filter(has_news).partition(|n| self.store[*n].short);
        told.extend(others.into_iter().take(asked));
        told.iter().for_each(|n| self.store[*n].told = true);
        self.hear(DispatchInput::Ready { hosts: told.into_iter().map(host).collect(), asked })?;
        let wants = self.dispatch.lease(self.counts);
        self.witness.lease(self.counts, &wants, &self.dispatch)?;
        let mut leased = Vec::new();
        for (at, want) in wants.into_iter().enumerate() {
            let n = number(&want.host);
            let work = &mut self.store[n];
            let taken = want.n.min(work.due);
            work.due -= taken;
            work.short = taken < want.n;
            work.told &= !work.short;
            let filtered = filters && taken > 0 && at % 3 == 0;
            let answer = match taken {
                0 => WantAnswer::Nothing,
                _ if filtered => WantAnswer::Filtered,
                _ => WantAnswer::Leases,
            };
            if answer == WantAnswer::Leases {
                self.counts.out += taken as u64;
                leased.push((n, taken));
            }
            let waking = self.dispatch.answer(want.clone(), answer);
            self.witness.answer(&want, answer, waking)?;
            if !self.dispatch.is_live(&want.host) {
                self.stop_leasing(n);
            }
        }
        self.witness.rest(&self.dispatch)?;
        Ok(leased)
    }

    /// Ends the schedule without further faults. All due work must then be leased, up to the page limit.
    fn finish(&mut self) -> Result<(), SchedulingViolation> {
        self.hear(DispatchInput::Intake(IntakeLevel::Full))?;
        for _ in 0..1_000 {
            let leased = self.turn(READY_MAX, false)?;
            self.counts.pages += self.counts.out;
            self.counts.out = 0;
            let live: Vec<usize> = (0..HOSTS)
                .filter(|n| matches!(self.dispatch.hosts.get(&host(*n)), Some(HostPlace::Live(_))))
                .collect();
            for n in live {
                self.make(&Move::Begun(n as u8))?;
                // A host that got leases either asks for more or is done.
                match leased.iter().any(|(other, _)| *other == n) {
                    true => self.make(&Move::Want(n as u8, 3))?,
                    false => self.make(&Move::Passivated(n as u8))?,
                }
            }
            let left: usize = self.store.iter().map(|work| work.due).sum();
            if left == 0 || self.dispatch.is_at_its_limit(self.counts) {
                return Ok(());
            }
        }
        panic!("work is left and never leased: {:?}", self.dispatch);
    }
}

fn moves() -> impl Strategy<Value = Move> {
    let host = 0..HOSTS as u8;
    let levels = prop::sample::select(vec![IntakeLevel::Full, IntakeLevel::One, IntakeLevel::Paused]);
    prop_oneof![
        6 => (host.clone(), 1u8..40).prop_map(|(n, due)| Move::Discover(n, due)),
        6 => (host.clone(), 0u8..9).prop_map(|(n, leases)| Move::Want(n, leases)),
        6 => host.clone().prop_map(Move::Begun),
        4 => host.clone().prop_map(Move::Passivated),
        1 => host.prop_map(Move::Errand),
        1 => levels.prop_map(Move::Intake),
        12 => (0u8..6, any::<bool>()).prop_map(|(asked, filters)| Move::Turn { asked, filters }),
        4 => (0u8..30, 0u8..30).prop_map(|(pages, others)| Move::End { pages, others }),
    ]
}

fn schedules() -> impl Strategy<Value = (DispatchLimits, Vec<Move>)> {
    let limits =
        (prop::option::of(0u64..200), 1u32..8, 1u32..8).prop_map(|(pages_max, hosts_max, newcomers_max)| {
            DispatchLimits { pages_max, hosts_max, newcomers_max }
        });
    let stops = (prop::collection::vec(moves(), 0..120), 0usize..400).prop_map(|(mut moves, at)| {
        if at < moves.len() {
            moves.insert(at, Move::Stop);
        }
        moves
    });
    (limits, stops)
}

fn run(rig: &mut Rig, moves: &[Move]) -> Result<(), SchedulingViolation> {
    for next in moves {
        rig.make(next)?;
    }
    if rig.dispatch.is_stopped() { Ok(()) } else { rig.finish() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_breaks_an_invariant_and_all_that_is_due_is_leased((limits, moves) in schedules()) {
        let result = run(&mut Rig::new(limits), &moves);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[cfg(feature = "sabotage")]
#[test]
fn each_seeded_bug_is_found_as_a_breach_of_its_invariant() {
    crate::scheduling::sabotage::tests::finds(
        &[Bug::OneMorePage, Bug::ReadyWhileLive, Bug::LatestFirst],
        schedules(),
        |bug, (limits, moves)| {
            let mut rig = Rig::new(*limits);
            rig.dispatch.sabotage(bug);
            run(&mut rig, moves)
        },
    );
}

fn limits(pages_max: Option<u64>, hosts_max: u32) -> DispatchLimits {
    DispatchLimits { pages_max, hosts_max, newcomers_max: 100 }
}

fn seeded(limits: DispatchLimits, due: usize) -> Rig {
    let mut rig = Rig::new(limits);
    rig.store.fill(Work { due, ..Work::default() });
    rig
}

#[test]
fn near_the_page_limit_hosts_share_what_is_left() {
    let mut rig = seeded(limits(Some(24), 100), 50);
    let leased = rig.turn(HOSTS, false).unwrap();
    assert_eq!(leased, (0..HOSTS).map(|n| (n, 2)).collect::<Vec<_>>());
    for n in 0..3 {
        rig.make(&Move::Want(n, 9)).unwrap();
    }
    assert!(rig.turn(0, false).unwrap().is_empty(), "each one that is out may become a page");
    // One of the leased URLs did not become a page, so the first host in the turn may lease one more.
    rig.make(&Move::End { pages: 2, others: 1 }).unwrap();
    assert_eq!(rig.turn(0, false).unwrap(), [(0, 1)]);
}

#[test]
fn hosts_come_alive_in_turn_and_no_more_than_may_be_live() {
    let mut rig = seeded(limits(None, 2), 1);
    assert_eq!(rig.turn(HOSTS, false).unwrap(), [(0, 1), (1, 1)]);
    assert_eq!((rig.dispatch.live(), rig.dispatch.ready(), rig.dispatch.has_more()), (2, 0, true));
    rig.turn(HOSTS, false).unwrap();
    assert_eq!((rig.dispatch.ready(), rig.dispatch.has_more()), (2, false), "two live, two could be next");
    rig.make(&Move::Passivated(1)).unwrap();
    assert_eq!(rig.turn(HOSTS, false).unwrap(), [(2, 1)]);
}

#[test]
fn no_further_host_comes_alive_while_newcomers_wait_for_their_first_turn() {
    let mut rig = seeded(DispatchLimits { newcomers_max: 3, ..limits(None, 100) }, 1);
    assert_eq!(rig.turn(HOSTS, false).unwrap(), [(0, 1), (1, 1), (2, 1)]);
    assert!(rig.turn(HOSTS, false).unwrap().is_empty() && !rig.dispatch.has_more());
    rig.make(&Move::Begun(1)).unwrap();
    rig.make(&Move::Begun(1)).unwrap();
    assert_eq!(rig.turn(HOSTS, false).unwrap(), [(3, 1)]);
    rig.make(&Move::Passivated(0)).unwrap();
    assert_eq!(rig.turn(HOSTS, false).unwrap(), [(4, 1)]);
}

#[test]
fn a_host_that_starts_needs_its_memo_and_one_that_is_overtaken_does_so_too() {
    let mut dispatch = Dispatch::new(limits(None, 2));
    let want = || DispatchInput::Want { host: host(0), leases: 4 };
    dispatch.handle(want());
    let wants = dispatch.lease(StoreCounts::default());
    assert_eq!(
        dispatch.answer(wants[0].clone(), WantAnswer::Leases),
        Waking::Starts,
        "it was not known to be live"
    );
    dispatch.handle(want());
    let wants = dispatch.lease(StoreCounts::default());
    assert_eq!(dispatch.answer(wants[0].clone(), WantAnswer::Leases), Waking::No);
    dispatch.handle(DispatchInput::Passivated(host(0)));
    dispatch.handle(want());
    let wants = dispatch.lease(StoreCounts::default());
    assert_eq!(dispatch.answer(wants[0].clone(), WantAnswer::Leases), Waking::Starts);
}

#[test]
fn near_the_memory_limit_hosts_get_a_few_leases_at_a_time_and_none_while_it_is_reached() {
    let mut rig = seeded(limits(None, 1), 50);
    rig.make(&Move::Intake(IntakeLevel::Half)).unwrap();
    assert_eq!(rig.turn(1, false).unwrap(), [(0, 2)]);
    rig.make(&Move::Want(0, 9)).unwrap();
    rig.make(&Move::Intake(IntakeLevel::Paused)).unwrap();
    assert!(rig.turn(1, false).unwrap().is_empty() && !rig.dispatch.has_more());
    rig.make(&Move::Intake(IntakeLevel::Full)).unwrap();
    assert_eq!(rig.turn(1, false).unwrap(), [(0, 9)]);
}

#[test]
fn places_that_hosts_have_left_do_not_pile_up() {
    let mut dispatch = Dispatch::new(limits(None, 1));
    for _ in 0..10_000 {
        dispatch.handle(DispatchInput::Ready { hosts: vec![host(0)], asked: 1 });
        let _ = dispatch.errand(&host(0));
        dispatch.handle(DispatchInput::Want { host: host(0), leases: 1 });
        dispatch.handle(DispatchInput::Passivated(host(0)));
    }
    assert!(dispatch.ready.len() + dispatch.turn.len() < 1_000);
    assert_eq!(dispatch.check(), Ok(()));
}
