//! Property tests: arbitrary schedules of inputs and times never break an invariant, and every lease ends
//! exactly once.
//!
//! With the feature `sabotage` the same schedules must find each seeded bug.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;

use super::rig::{Answer, fault, lease, propose, quota, secs, sleep_and_wake, status, wait};
use crate::host::{HostLimits, HostState, Input, Output, RulesAnswer, RulesMode, Violation, Witness};
use crate::name::Scheme;
use crate::outcome::Fault;
use crate::policy::{Backoff, HostPolicy};
use crate::rate::{per_minute, per_second};
use crate::record::{LeaseId, Priority};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal, Quota, Verdict};

/// A step of a schedule: one event for a host. Unless the step says otherwise, its number selects one of
/// the requests or leases that the step is about, modulo how many of these there are.
#[derive(Clone, Debug)]
enum Move {
    Assign {
        count: u8,
        https: bool,
    },
    Grant {
        is_short: bool,
    },
    RefuseSlot,
    /// The host is held by order for this many milliseconds.
    Hold(u64),
    /// A slot is not granted, because the common budget of the host's group affords no start for this many
    /// milliseconds.
    DenySlot(u64),
    Report {
        which: u8,
        answer: Answer,
        repeatable: bool,
        give_up: bool,
    },
    Undelivered(u8),
    Rules(u8, RulesAnswer, Hints),
    Disallow(u64),
    /// The store settles all leases that were handed on.
    SettleDelivered,
    /// The store settles any one lease, in whichever place the lease is.
    SettleAny(u64),
    Restart,
    Drain,
    /// Lets time pass to the host's next timer, and this much longer.
    Wake(Duration),
    /// Polls the host this much before its timer is due.
    WakeEarly(Duration),
    /// Grants slots and lets a few spacings pass, until as many requests are in flight as possible.
    Fill,
    /// Refuses the requests in flight one after another, each with its own wait in seconds, as a server
    /// refuses a burst of concurrent requests.
    RefuseBurst(Vec<u64>),
}

#[derive(Clone, Debug)]
struct Schedule {
    policy: HostPolicy,
    rules: RulesMode,
    moves: Vec<(Duration, Move)>,
}

fn answers() -> impl Strategy<Value = Answer> {
    let stated = (0u8..4, 0u32..20, 0u64..90);
    let stated = stated.prop_map(|(limit, remaining, reset)| Quota {
        limit: (limit > 0).then_some(20),
        remaining,
        reset: secs(reset),
        window: (limit > 1).then_some(secs(60)),
    });
    let faults = [
        Fault::Connect,
        Fault::NoSuchName,
        Fault::Timeout,
        Fault::StaleConnection,
        Fault::Ours,
        Fault::Protocol,
        Fault::Malformed,
        Fault::BodyTooLarge,
    ];
    prop_oneof![
        6 => Just(status(200)),
        1 => Just(status(404)),
        1 => Just(status(301)),
        1 => Just(status(403)),
        2 => Just(status(500)),
        2 => Just(status(429)),
        1 => Just(status(503)),
        3 => (0u64..5_000).prop_map(|tenths| wait(429, Duration::from_millis(tenths * 100))),
        1 => Just(wait(503, secs(1 << 40))),
        2 => Just(fault(Fault::Reset)),
        2 => prop::sample::select(faults.to_vec()).prop_map(fault),
        2 => (prop::sample::select(vec![200, 200, 429, 500]), stated).prop_map(|(code, stated)| quota(code, stated)),
    ]
}

fn rules_answers() -> impl Strategy<Value = RulesAnswer> {
    let known = (0u64..4, 0u64..400).prop_map(|(delay, expires)| RulesAnswer::Known {
        crawl_delay: (delay > 0).then_some(secs(delay)),
        expires_in: secs(expires),
    });
    prop_oneof![
        6 => known,
        1 => Just(RulesAnswer::Again),
        2 => (0u64..60).prop_map(|within| RulesAnswer::Elsewhere { within: secs(within) }),
        3 => answers().prop_map(|answer| RulesAnswer::Unavailable {
            outcome: answer.outcome,
            proposal: propose(1, answer),
        }),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (0u8..12, any::<bool>()).prop_map(|(count, https)| Move::Assign { count, https }),
        16 => any::<bool>().prop_map(|is_short| Move::Grant { is_short }),
        2 => Just(Move::RefuseSlot),
        1 => (1u64..3_000).prop_map(Move::DenySlot),
        1 => (0u64..90_000).prop_map(Move::Hold),
        16 => (any::<u8>(), answers(), any::<u8>()).prop_map(|(which, answer, dice)| Move::Report {
            which,
            answer,
            repeatable: dice % 8 != 0,
            give_up: dice % 16 >= 14,
        }),
        1 => any::<u8>().prop_map(Move::Undelivered),
        6 => (any::<u8>(), rules_answers(), answers()).prop_map(|(which, answer, said)| {
            let hints = match answer {
                RulesAnswer::Unavailable { proposal, .. } => proposal.hints,
                _ => said.hints,
            };
            Move::Rules(which, answer, hints)
        }),
        1 => (0u64..200).prop_map(Move::Disallow),
        6 => Just(Move::SettleDelivered),
        1 => (0u64..200).prop_map(Move::SettleAny),
        1 => Just(Move::Restart),
        16 => prop_oneof![Just(Duration::ZERO), (0u64..300_000).prop_map(Duration::from_micros), (0u64..90).prop_map(secs)]
            .prop_map(Move::Wake),
        4 => (0u64..30_000).prop_map(Duration::from_micros).prop_map(Move::WakeEarly),
        8 => Just(Move::Fill),
        1 => prop::collection::vec(0u64..120, 2..5).prop_map(Move::RefuseBurst),
    ]
}

fn policies() -> impl Strategy<Value = HostPolicy> {
    let rates =
        prop::sample::select(vec![None, Some(per_minute(60)), Some(per_minute(300)), Some(per_second(50))]);
    (rates, 1u32..6, any::<bool>(), 1u32..14, 1u64..400).prop_map(
        |(rate, in_flight, adapt, strikes, hold)| {
            let policy =
                HostPolicy::new().in_flight(in_flight).adapt(adapt).max_strikes(strikes).max_hold(secs(hold));
            let policy = policy.backoff(Backoff { min: Duration::from_millis(200), max: secs(20) });
            rate.map_or(policy.clone().unlimited_rate(), |rate| policy.rate(rate))
        },
    )
}

fn schedules() -> impl Strategy<Value = Schedule> {
    let gap = prop_oneof![
        4 => Just(Duration::ZERO),
        4 => (0u64..400).prop_map(Duration::from_millis),
        1 => (0u64..70).prop_map(secs),
    ];
    let drain = (any::<bool>(), 0usize..250);
    let rules = prop_oneof![2 => Just(RulesMode::Off), 1 => Just(RulesMode::Fetch)];
    let steps = prop::collection::vec((gap, moves()), 1..250);
    (policies(), rules, steps, drain).prop_map(|(policy, rules, mut moves, (drains, at))| {
        if drains && at % 4 == 0 {
            moves.insert(at.min(moves.len()), (Duration::ZERO, Move::Drain));
        }
        Schedule { policy, rules, moves }
    })
}

/// Runs a host by a schedule, in place of the host's actor.
struct Chaos {
    host: HostState,
    witness: Witness,
    policy: HostPolicy,
    rules: RulesMode,
    now: Timestamp,
    next_id: u64,
    /// The leases in flight, each with the number of its attempt.
    flying: Vec<(LeaseId, u16)>,
    rules_flying: Vec<Scheme>,
    delivered: Vec<LeaseId>,
    ends: HashMap<LeaseId, u32>,
    assigned: Vec<LeaseId>,
    settled_by_force: Vec<LeaseId>,
    asked: bool,
    passivated: bool,
    #[cfg(feature = "sabotage")]
    bug: Option<crate::host::Bug>,
}

impl Chaos {
    fn new(schedule: &Schedule) -> Self {
        let (policy, rules) = (schedule.policy.clone(), schedule.rules);
        Self {
            host: HostState::new(policy.clone(), rules, HostLimits::default(), 1, Timestamp::EPOCH),
            witness: Witness::new(&policy),
            policy,
            rules,
            now: Timestamp::EPOCH,
            next_id: 1,
            flying: Vec::new(),
            rules_flying: Vec::new(),
            delivered: Vec::new(),
            ends: HashMap::new(),
            assigned: Vec::new(),
            settled_by_force: Vec::new(),
            asked: false,
            passivated: false,
            #[cfg(feature = "sabotage")]
            bug: None,
        }
    }

    fn run(&mut self, schedule: &Schedule) -> Result<(), Violation> {
        for (gap, next) in &schedule.moves {
            self.now += *gap;
            match next {
                Move::Fill => self.fill()?,
                Move::RefuseBurst(waits) => self.refuse_burst(waits)?,
                _ => {
                    if let Some(input) = self.input(next) {
                        self.hear(input)?;
                    }
                }
            }
        }
        self.finish()
    }

    fn input(&mut self, next: &Move) -> Option<Input> {
        match next {
            Move::Assign { count, https } => {
                let ids = self.next_id..self.next_id + u64::from(*count);
                self.next_id = ids.end;
                let scheme = if *https { Scheme::Https } else { Scheme::Http };
                let leases = ids.map(|id| {
                    let mut lease = lease(id);
                    lease.record.scheme = scheme;
                    lease.record.priority = Priority((id % 3) as i8);
                    if id % 8 == 7 {
                        lease.id = LeaseId::errand(id);
                    }
                    lease
                });
                let leases: Vec<_> = leases.collect();
                self.assigned.extend(leases.iter().map(|lease| lease.id));
                Some(Input::Assign(leases))
            }
            Move::Grant { is_short } => {
                std::mem::take(&mut self.asked).then_some(Input::Granted { is_short: *is_short })
            }
            Move::RefuseSlot => std::mem::take(&mut self.asked).then_some(Input::Refused),
            Move::Hold(millis) => Some(Input::Hold { until: self.now + Duration::from_millis(*millis) }),
            Move::DenySlot(millis) => {
                let until = self.now + Duration::from_millis(*millis);
                std::mem::take(&mut self.asked).then_some(Input::SlotDenied { until })
            }
            Move::Report { which, answer, repeatable, give_up } => {
                let (lease, attempt) = pick(&mut self.flying, *which)?;
                let mut proposal = Proposal { repeatable: *repeatable, ..propose(attempt, *answer) };
                if let (true, Verdict::Retry { .. }) = (*give_up, proposal.verdict) {
                    proposal.verdict = Verdict::GiveUp(crate::outcome::Reason::HttpOther);
                }
                Some(Input::Report { lease, outcome: answer.outcome, proposal })
            }
            Move::Undelivered(which) => {
                pick(&mut self.flying, *which).map(|(lease, _)| Input::Undelivered(lease))
            }
            Move::Rules(which, answer, hints) => {
                let scheme = pick(&mut self.rules_flying, *which)?;
                if matches!(answer, RulesAnswer::Elsewhere { .. }) {
                    // The fetch goes on at another host, so a further result will come.
                    self.rules_flying.push(scheme);
                }
                Some(Input::Rules { scheme, answer: *answer, hints: *hints })
            }
            Move::Disallow(id) => Some(Input::Disallowed(LeaseId(*id))),
            Move::SettleDelivered => Some(Input::Settled(std::mem::take(&mut self.delivered))),
            Move::SettleAny(id) => {
                self.settled_by_force.push(LeaseId(*id));
                Some(Input::Settled(vec![LeaseId(*id)]))
            }
            Move::Restart => {
                self.asked = false;
                Some(Input::Restarted)
            }
            Move::Drain => Some(Input::Drain),
            Move::Wake(after) => {
                let wake = self.host.wake_at().map_or(self.now, |(at, _)| at);
                self.now = self.now.max(wake.min(self.now + secs(4_000)) + *after);
                Some(Input::Tick)
            }
            Move::WakeEarly(before) => {
                let wake = self.host.wake_at().map_or(0, |(at, _)| at.as_micros());
                let early = Timestamp::from_micros(wake.saturating_sub(before.as_micros() as u64));
                self.now = self.now.max(early.min(self.now + secs(4_000)));
                Some(Input::Tick)
            }
            Move::Fill | Move::RefuseBurst(_) => None,
        }
    }

    fn refuse_burst(&mut self, waits: &[u64]) -> Result<(), Violation> {
        self.fill()?;
        for seconds in waits {
            let answer = wait(429, secs(*seconds));
            let report = Move::Report { which: 0, answer, repeatable: true, give_up: false };
            let Some(input) = self.input(&report) else { break };
            self.hear(input)?;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), Violation> {
        for _ in 0..16 {
            let input = match self.host.wake_at() {
                _ if self.passivated => break,
                _ if std::mem::take(&mut self.asked) => Input::Granted { is_short: false },
                Some((at, _)) if at <= self.now + secs(3) => {
                    self.now = self.now.max(at);
                    Input::Tick
                }
                Some(_) | None => break,
            };
            self.hear(input)?;
        }
        Ok(())
    }

    fn hear(&mut self, input: Input) -> Result<(), Violation> {
        if self.passivated {
            let memo = self.host.memo();
            let seed = self.next_id;
            self.host = HostState::resume(
                self.policy.clone(),
                self.rules,
                HostLimits::default(),
                memo,
                seed,
                self.now,
            );
            self.plant();
            self.witness.resumed();
            (self.passivated, self.asked) = (false, false);
        }
        self.witness.hear(self.now, &input);
        self.host.handle(self.now, input);
        while let Some(output) = self.host.poll(self.now) {
            self.witness.see(self.now, &output)?;
            self.perform(output);
        }
        if !self.passivated {
            self.witness.rest(self.now, &self.host)?;
            self.host.check(self.now)?;
            sleep_and_wake(&mut self.host);
        }
        Ok(())
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::AskSlot => self.asked = true,
            Output::Fetch(start) => {
                self.flying.retain(|(id, _)| *id != start.lease.id);
                self.flying.push((start.lease.id, start.attempt));
            }
            Output::FetchRules { scheme, .. } => {
                self.rules_flying.retain(|other| *other != scheme);
                self.rules_flying.push(scheme);
            }
            Output::Deliver { lease, .. } => {
                *self.ends.entry(lease.id).or_default() += 1;
                self.delivered.push(lease.id);
            }
            Output::Settle { lease, .. } => *self.ends.entry(lease.id).or_default() += 1,
            Output::Passivate => self.passivated = true,
            Output::Credit(_) | Output::ReturnSlot | Output::Event(_) => {}
        }
    }

    /// Lets everything succeed from now on, and checks that all leases end in a bounded number of steps.
    fn finish(&mut self) -> Result<(), Violation> {
        for _ in 0..3_000 {
            if self.passivated && self.witness.open_leases() == 0 {
                break;
            }
            self.go_well()?;
        }
        assert_eq!(self.witness.open_leases(), 0, "something never ended: {:?}", self.host.snapshot());
        for lease in &self.assigned {
            let ends = self.ends.get(lease).copied().unwrap_or_default();
            let forced = self.settled_by_force.contains(lease);
            assert!(ends == 1 || (forced && ends == 0), "{lease:?} ended {ends} times");
        }
        Ok(())
    }

    /// Grants slots, answers requests with success and settles leases, as far as possible; then advances time
    /// to the host's timer.
    fn go_well(&mut self) -> Result<(), Violation> {
        let known = RulesAnswer::Known { crawl_delay: None, expires_in: secs(86_400) };
        let good = Move::Report { which: 0, answer: status(200), repeatable: true, give_up: false };
        for step in [Move::Grant { is_short: false }, good, Move::Rules(0, known, Hints::default())] {
            while let (false, Some(input)) = (self.passivated, self.input(&step)) {
                self.hear(input)?;
            }
        }
        for step in [Move::SettleDelivered, Move::Wake(Duration::ZERO)] {
            if let (false, Some(input)) = (self.passivated, self.input(&step)) {
                self.hear(input)?;
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "sabotage"))]
    fn plant(&mut self) {}

    #[cfg(feature = "sabotage")]
    fn plant(&mut self) {
        if let Some(bug) = self.bug {
            self.host.sabotage(bug);
        }
    }
}

fn pick<T>(list: &mut Vec<T>, which: u8) -> Option<T> {
    (!list.is_empty()).then(|| list.remove(usize::from(which) % list.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_breaks_an_invariant_and_every_lease_ends_once(schedule in schedules()) {
        let result = Chaos::new(&schedule).run(&schedule);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

#[cfg(feature = "sabotage")]
#[test]
fn each_seeded_bug_is_caught_as_a_breach_of_its_invariant() {
    use crate::host::Bug;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let schedules: Vec<Schedule> =
        (0..1_500).map(|_| schedules().new_tree(&mut runner).unwrap().current()).collect();
    for bug in Bug::ALL {
        let mut caught = HashMap::new();
        for schedule in &schedules {
            let mut chaos = Chaos::new(schedule);
            chaos.bug = Some(bug);
            chaos.plant();
            let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| chaos.run(schedule)));
            if let Ok(Err(violation)) = run {
                *caught.entry(violation.invariant).or_insert(0) += 1;
            }
        }
        assert!(caught.contains_key(&bug.breaks()), "{bug:?} goes unnoticed: {caught:?}");
    }
}
