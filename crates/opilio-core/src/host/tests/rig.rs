//! Runs a host in tests: with virtual time, slots that are granted at once, and an observer that checks every
//! step.

use std::time::Duration;

use crate::canonical::Fingerprint;
use crate::host::{
    Delivery, HostEvent, HostLimits, HostState, Input, Output, RulesAnswer, RulesMode, Start, Witness,
};
use crate::name::{Host, Scheme};
use crate::outcome::{Fault, Outcome, Reason};
use crate::policy::HostPolicy;
use crate::record::{Ending, Lease, LeaseId, Record};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal, Quota, Verdict};

pub(super) fn ms(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn lease(id: u64) -> Lease {
    let url = url::Url::parse(&format!("http://example.com/{id}")).unwrap();
    let record = Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::Http);
    Lease { id: LeaseId(id), record }
}

pub(super) fn leases(ids: std::ops::Range<u64>) -> Vec<Lease> {
    ids.map(lease).collect()
}

/// The outcome of a request and the server's hints, as the fetcher would report them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) hints: Hints,
}

pub(super) const OK: Answer = status(200);
pub(super) const BARE_429: Answer = status(429);

pub(super) const fn status(status: u16) -> Answer {
    Answer { outcome: Outcome::Answered(status), hints: Hints { retry_after: None, quota: None } }
}

pub(super) const fn fault(fault: Fault) -> Answer {
    Answer { outcome: Outcome::Failed(fault), hints: Hints { retry_after: None, quota: None } }
}

pub(super) const fn wait(code: u16, wait: Duration) -> Answer {
    Answer { outcome: Outcome::Answered(code), hints: Hints { retry_after: Some(wait), quota: None } }
}

pub(super) const fn quota(code: u16, quota: Quota) -> Answer {
    Answer { outcome: Outcome::Answered(code), hints: Hints { retry_after: None, quota: Some(quota) } }
}

/// Proposes a verdict like the default retry policy: three retries, but without random waits.
pub(super) fn propose(attempt: u16, answer: Answer) -> Proposal {
    propose_within(3, attempt, answer)
}

fn propose_within(retries: u16, attempt: u16, answer: Answer) -> Proposal {
    use crate::outcome::Blame;
    let reason = match answer.outcome {
        Outcome::Answered(status) | Outcome::Redirected(status) => Reason::of_status(status),
        Outcome::Refused(_) | Outcome::Failed(_) => answer.outcome.reason(),
    };
    let verdict = match answer.outcome.blame() {
        Blame::Success => Verdict::Done,
        Blame::Neutral if matches!(answer.outcome, Outcome::Redirected(_)) => Verdict::Redirect,
        Blame::Ours => Verdict::Retry { after: Duration::ZERO },
        Blame::Neutral if answer.outcome == Outcome::Failed(Fault::Malformed) && attempt <= retries => {
            Verdict::Retry { after: secs(1) }
        }
        Blame::Refusal | Blame::Host | Blame::Url if attempt <= retries => {
            Verdict::Retry { after: answer.hints.retry_after.unwrap_or_default().max(secs(1)) }
        }
        Blame::Refusal | Blame::Neutral | Blame::Host | Blame::Url => Verdict::GiveUp(reason),
    };
    Proposal { verdict, hints: answer.hints, repeatable: true }
}

/// Lets a host sleep and wake, if it may sleep. So every test shows that a host which has slept does the same as one
/// that has not.
pub(super) fn sleep_and_wake(host: &mut HostState) {
    if host.may_sleep_until().is_none() {
        return;
    }
    #[cfg_attr(
        not(feature = "sabotage"),
        expect(unused_mut, reason = "only a seeded bug is not in the bytes")
    )]
    let mut woken = HostState::from_bytes(&host.to_bytes(), host.terms.policy.clone(), host.terms.limits);
    #[cfg(feature = "sabotage")]
    if let Some(bug) = host.bug {
        woken.sabotage(bug);
    }
    assert_eq!(format!("{woken:?}"), format!("{host:?}"));
    *host = woken;
}

pub(super) struct Rig {
    pub(super) host: HostState,
    pub(super) witness: Witness,
    pub(super) now: Timestamp,
    policy: HostPolicy,
    rules: RulesMode,
    pub(super) starts: Vec<(Timestamp, Start)>,
    pub(super) rules_starts: Vec<Timestamp>,
    pub(super) events: Vec<HostEvent>,
    pub(super) delivered: Vec<(LeaseId, Delivery, u16)>,
    pub(super) settled: Vec<(LeaseId, Ending)>,
    pub(super) credit: Option<u32>,
    pub(super) passivated: bool,
    /// The number of retries of each URL.
    pub(super) retries: u16,
}

impl Rig {
    pub(super) fn new(policy: HostPolicy) -> Self {
        Self::with_rules(policy, RulesMode::Off)
    }

    pub(super) fn with_rules(policy: HostPolicy, rules: RulesMode) -> Self {
        let now = Timestamp::EPOCH;
        Self {
            host: HostState::new(policy.clone(), rules, HostLimits::default(), 108, now),
            witness: Witness::new(&policy),
            now,
            policy,
            rules,
            starts: Vec::new(),
            rules_starts: Vec::new(),
            events: Vec::new(),
            delivered: Vec::new(),
            settled: Vec::new(),
            credit: None,
            passivated: false,
            retries: 3,
        }
    }

    pub(super) fn hear(&mut self, input: Input) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            self.witness.hear(self.now, &input);
            self.host.handle(self.now, input);
            while let Some(output) = self.host.poll(self.now) {
                self.witness.see(self.now, &output).unwrap();
                if let Some(answer) = self.perform(output) {
                    next = Some(answer);
                }
            }
            sleep_and_wake(&mut self.host);
            self.witness.rest(self.now, &self.host).unwrap();
        }
    }

    fn perform(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Credit(more) => self.credit = Some(more),
            Output::AskSlot => return Some(Input::Granted { is_short: false }),
            Output::ReturnSlot => {}
            Output::Fetch(start) => self.starts.push((self.now, start)),
            Output::FetchRules { .. } => self.rules_starts.push(self.now),
            Output::Deliver { lease, delivery, attempts } => {
                self.delivered.push((lease.id, delivery, attempts))
            }
            Output::Settle { lease, ending } => self.settled.push((lease.id, ending)),
            Output::Event(event) => self.events.push(event),
            Output::Passivate => self.passivated = true,
        }
        None
    }

    pub(super) fn assign(&mut self, ids: std::ops::Range<u64>) {
        self.hear(Input::Assign(leases(ids)));
    }

    pub(super) fn answer(&mut self, id: u64, answer: Answer) {
        let start = &self.starts.iter().rev().find(|(_, start)| start.lease.id.0 == id).unwrap().1;
        let stale = answer.outcome == Outcome::Failed(Fault::StaleConnection);
        // As in the retry policy, a second stale connection counts as a broken connection.
        let read = if stale && start.failed_before { fault(Fault::Reset) } else { answer };
        let proposal = propose_within(self.retries, start.attempt, read);
        self.hear(Input::Report { lease: LeaseId(id), outcome: answer.outcome, proposal });
    }

    pub(super) fn answer_rules(&mut self, answer: RulesAnswer) {
        let hints = match answer {
            RulesAnswer::Unavailable { proposal, .. } => proposal.hints,
            RulesAnswer::Known { .. } | RulesAnswer::Again | RulesAnswer::Elsewhere { .. } => {
                Hints::default()
            }
        };
        self.answer_rules_with(answer, hints);
    }

    /// Answers the fetch of robots.txt. `hints` are the waits and quotas that the host states about itself.
    pub(super) fn answer_rules_with(&mut self, answer: RulesAnswer, hints: Hints) {
        self.hear(Input::Rules { scheme: Scheme::Http, answer, hints });
    }

    /// Lets time pass until `end`, and polls the host whenever its timer is due.
    pub(super) fn run_until(&mut self, end: Timestamp) {
        while let Some((at, _)) = self.host.wake_at().filter(|(at, _)| *at <= end) {
            self.now = at.max(self.now);
            self.hear(Input::Tick);
        }
        self.now = end;
        self.hear(Input::Tick);
    }

    pub(super) fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// Answers each start after `latency`, until nothing is left to do or the time `end` has come.
    pub(super) fn serve(
        &mut self,
        end: Timestamp,
        latency: Duration,
        mut answer: impl FnMut(Timestamp, &Start) -> Answer,
    ) {
        let mut seen = self.starts.len() - self.unanswered().len();
        let mut due: Vec<(Timestamp, u64, Answer)> = Vec::new();
        loop {
            for (at, start) in &self.starts[seen..] {
                due.push((*at + latency, start.lease.id.0, answer(*at, start)));
            }
            seen = self.starts.len();
            let report = due.iter().map(|(at, ..)| *at).min();
            let wake = self.host.wake_at().map(|(at, _)| at);
            let Some(next) = report.into_iter().chain(wake).min().filter(|at| *at <= end) else { break };
            self.now = next.max(self.now);
            match due.iter().position(|(at, ..)| *at <= self.now) {
                Some(place) => {
                    let (_, id, answer) = due.remove(place);
                    self.answer(id, answer);
                }
                None => self.hear(Input::Tick),
            }
            if self.passivated {
                break;
            }
            self.settle_all();
        }
    }

    /// Returns the URL numbers of the starts that are not answered yet.
    fn unanswered(&self) -> Vec<u64> {
        let flying = self.host.snapshot().in_flight;
        self.starts.iter().rev().take(flying).map(|(_, start)| start.lease.id.0).collect()
    }

    /// Settles all leases that were handed on, as the store does.
    pub(super) fn settle_all(&mut self) {
        if self.host.snapshot().parsed > 0 {
            let ids = self.delivered.iter().map(|(id, ..)| *id).collect();
            self.hear(Input::Settled(ids));
        }
    }

    /// Passivates the host, and restores it at once from its saved state.
    pub(super) fn passivate(&mut self) {
        let memo = self.host.memo();
        self.host =
            HostState::resume(self.policy.clone(), self.rules, HostLimits::default(), memo, 7, self.now);
        self.passivated = false;
    }

    pub(super) fn start_times(&self) -> Vec<u64> {
        self.starts.iter().map(|(at, _)| at.as_micros() / 1_000).collect()
    }

    pub(super) fn holds(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, HostEvent::Held { .. })).count()
    }

    pub(super) fn pages(&self) -> usize {
        self.delivered.iter().filter(|(_, delivery, _)| *delivery == Delivery::Page).count()
    }
}
