//! Keeps track, from outside the host, of the robots.txt files of the host's two origins (http and https).

use std::time::Duration;

use super::Witness;
use super::leases::SeenFlight;
use crate::host::message::RulesAnswer;
use crate::host::report::OURS_MAX;
use crate::host::rules::{HOPS_MAX, SCHEMES};
use crate::name::Scheme;
use crate::outcome::{Blame, Fault, Outcome};
use crate::policy::Backoff;
use crate::policy::HostPolicy;
use crate::time::Timestamp;
use crate::verdict::Proposal;

/// The state of one origin's robots.txt.
#[derive(Clone, Copy, Debug, Default)]
struct SeenOrigin {
    /// The fetch of robots.txt in flight at this host.
    out: Option<SeenFlight>,
    /// The time until which the origin waits for rules that are fetched from another host after a redirect.
    away: Option<Timestamp>,
    crawl_delay: Duration,
    /// How many fetches in a row failed on the crawler's side, and the time until which the next fetch waits
    /// because of these failures.
    ours: u32,
    rest: Timestamp,
    /// The number of redirects of robots.txt in a row so far.
    hops: u8,
}

/// The state of both origins' robots.txt.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenRules {
    origins: [SeenOrigin; 2],
    backoff: Backoff,
    crawl_delay_max: Duration,
}

impl SeenRules {
    pub(super) fn new(policy: &HostPolicy) -> Self {
        Self {
            origins: [SeenOrigin::default(); 2],
            backoff: policy.backoff_bounds(),
            crawl_delay_max: policy.crawl_delay_max(),
        }
    }

    fn of_mut(&mut self, scheme: Scheme) -> &mut SeenOrigin {
        &mut self.origins[scheme as usize]
    }

    /// Returns the longer crawl delay of the two origins.
    pub(super) fn crawl_delay(&self) -> Duration {
        self.origins[0].crawl_delay.max(self.origins[1].crawl_delay)
    }

    /// Returns the later of the times until which the two origins wait after failures on the crawler's side.
    pub(super) fn rest(&self) -> Timestamp {
        self.origins[0].rest.max(self.origins[1].rest)
    }

    /// Iterates over the fetches of robots.txt in flight at this host.
    pub(super) fn flights(&self) -> impl Iterator<Item = SeenFlight> {
        self.origins.iter().filter_map(|origin| origin.out)
    }

    /// Whether robots.txt of any origin is being fetched, from this host or from another.
    pub(super) fn are_awaited(&self) -> bool {
        self.origins.iter().any(|origin| origin.out.is_some() || origin.away.is_some())
    }

    pub(super) fn started(&mut self, scheme: Scheme, flight: SeenFlight) {
        self.of_mut(scheme).out = Some(flight);
    }

    /// Returns the start time of this origin's fetch in flight at this host.
    pub(super) fn start_of(&self, scheme: Scheme) -> Option<Timestamp> {
        self.origins[scheme as usize].out.map(|out| out.started)
    }

    /// Ends the fetches whose deadline has passed. Returns whether a fetch from another host is among them.
    pub(super) fn expire(&mut self, now: Timestamp) -> bool {
        let mut missed = false;
        for origin in &mut self.origins {
            let lost = origin.out.take_if(|out| out.deadline <= now).is_some();
            let away = origin.away.take_if(|deadline| *deadline <= now).is_some();
            if lost || away {
                origin.hops = 0;
            }
            missed |= away;
        }
        missed
    }

    /// Records that the host returns from passivation: redirects of robots.txt are followed anew.
    pub(super) fn resumed(&mut self) {
        for origin in &mut self.origins {
            (origin.away, origin.hops) = (None, 0);
        }
    }

    /// Counts the answer if it is a redirect. Returns true if there were so many redirects in a row that
    /// robots.txt counts as absent.
    fn note_hop(&mut self, scheme: Scheme, answer: RulesAnswer) -> bool {
        let origin = self.of_mut(scheme);
        let hop = matches!(answer, RulesAnswer::Again | RulesAnswer::Elsewhere { .. });
        origin.hops = if hop { origin.hops + 1 } else { 0 };
        let over = origin.hops > HOPS_MAX;
        if over {
            (origin.hops, origin.ours, origin.crawl_delay) = (0, 0, Duration::ZERO);
        }
        over
    }

    fn known(&mut self, scheme: Scheme, crawl_delay: Option<Duration>) {
        let crawl_delay = crawl_delay.unwrap_or_default().min(self.crawl_delay_max);
        let origin = self.of_mut(scheme);
        (origin.ours, origin.crawl_delay) = (0, crawl_delay);
    }

    /// Records how long the next fetch waits after a failure on the crawler's side; the waits grow.
    fn rest_after(&mut self, now: Timestamp, scheme: Scheme, outcome: Outcome) {
        if outcome.blame() == Blame::Ours {
            let origin = &mut self.origins[scheme as usize];
            origin.rest = now + self.backoff.ceiling(origin.ours);
        }
    }

    /// Counts failures on the crawler's side. Returns true if there were so many that the origin's leases
    /// end.
    fn count_ours(&mut self, scheme: Scheme, outcome: Outcome) -> bool {
        let ours = &mut self.of_mut(scheme).ours;
        let is_ours = outcome.blame() == Blame::Ours;
        *ours = if is_ours { (*ours + 1) % u32::from(OURS_MAX) } else { 0 };
        is_ours && *ours == 0
    }
}

impl Witness {
    /// Records the result of a fetch of rules.
    pub(super) fn rules_answered(&mut self, now: Timestamp, scheme: Scheme, answer: RulesAnswer) {
        let origin = self.rules.of_mut(scheme);
        let (away, out) = (origin.away.take().is_some(), origin.out.take());
        if out.is_none() && !away || self.rules.note_hop(scheme, answer) {
            return;
        }
        match answer {
            RulesAnswer::Known { crawl_delay, .. } => {
                self.rules.known(scheme, crawl_delay);
                if let Some(out) = out {
                    self.faults.answered(&mut self.leases, out.started, true);
                }
            }
            RulesAnswer::Again => {}
            RulesAnswer::Elsewhere { within } => self.rules.of_mut(scheme).away = Some(now + within),
            RulesAnswer::Unavailable { outcome, .. } if away => {
                self.may_end_origin(scheme, outcome, false);
                self.rules.rest_after(now, scheme, outcome);
                self.faults.fail_of_host(&mut self.leases, now, false);
            }
            RulesAnswer::Unavailable { outcome, proposal } => {
                self.rules_unavailable(now, scheme, out, outcome, &proposal);
            }
        }
    }

    fn rules_unavailable(
        &mut self,
        now: Timestamp,
        scheme: Scheme,
        out: Option<SeenFlight>,
        outcome: Outcome,
        proposal: &Proposal,
    ) {
        self.rules.rest_after(now, scheme, outcome);
        let often = self.rules.count_ours(scheme, outcome);
        self.may_end_origin(scheme, outcome, often);
        self.hold.note_refusal(now, outcome, &proposal.hints);
        let ours = outcome.blame() == Blame::Ours;
        if ours && outcome != Outcome::Failed(Fault::StaleConnection) {
            return;
        }
        self.faults.note_unwelcome(1);
        // A probe whose connection was idle for too long shows nothing about the host.
        let tells = |out: SeenFlight| out.probe && !ours && !self.faults.door.is_old_news(out.started);
        let probe = out.is_some_and(tells);
        self.faults.fail_of_host(&mut self.leases, now, probe);
    }

    /// Allows the leases that wait for an origin's rules to end, if these rules can never be fetched.
    fn may_end_origin(&mut self, scheme: Scheme, outcome: Outcome, often: bool) {
        if often || matches!(outcome, Outcome::Failed(fault) if fault.is_permanent()) {
            self.leases.may_end_origin(scheme);
        }
    }
}

const _: () = assert!(SCHEMES.len() == 2, "the witness keeps two origins");
