//! Evaluates a fetch of robots.txt, for the host and for the leases that wait for the rules in the file.

use std::time::Duration;

use super::super::blame::Charge;
use super::super::hold::Door;
use super::super::message::{HoldReason, HostEvent, RulesAnswer};
use super::super::rules::{HOPS_MAX, RulesFetch, RulesState};
use super::super::state::HostState;
use super::{Landing, OURS_MAX, StartKind, reason_of};
use crate::name::Scheme;
use crate::outcome::{Blame, Fault, Outcome, Reason};
use crate::time::Timestamp;
use crate::verdict::{Hints, Proposal};

impl HostState {
    pub(in crate::host) fn rules_answer(
        &mut self,
        now: Timestamp,
        scheme: Scheme,
        answer: RulesAnswer,
        hints: Hints,
    ) {
        let Some(fetching) = self.rules.fetching(scheme) else { return };
        let RulesFetch { seq, started, probe, away, .. } = fetching;
        let landing = Landing { seq, started, probe, who: StartKind::Rules, stated: true };
        // A quota that another host announces does not apply to this host.
        if !away {
            self.hear_quota(now, landing, hints);
        }
        match answer {
            RulesAnswer::Known { crawl_delay, expires_in } => {
                self.know_rules(now, scheme, crawl_delay.unwrap_or_default(), expires_in);
                // The answer of another host proves nothing about this host. If the door is closed, the first
                // lease that may start is the probe.
                if !away {
                    self.contact.answered = true;
                    self.well(now, landing);
                }
            }
            RulesAnswer::Again => self.follow_rules(now, scheme, RulesState::Unknown(now)),
            RulesAnswer::Elsewhere { within } => {
                let deadline = now + within;
                let fetching = RulesFetch { seq, started, deadline, probe: false, away: true };
                self.follow_rules(now, scheme, RulesState::Fetching(fetching));
            }
            RulesAnswer::Unavailable { outcome, proposal } => {
                self.rules.of_mut(scheme).known = RulesState::Unknown(self.rules_retry(now, scheme, outcome));
                self.rules.of_mut(scheme).hops = 0;
                self.say(HostEvent::RulesUnavailable { scheme, outcome });
                if away {
                    self.rules_unavailable_elsewhere(now, scheme, landing, outcome);
                } else {
                    self.rules_unavailable(now, landing, scheme, outcome, proposal);
                }
            }
        }
        let refused =
            matches!(answer, RulesAnswer::Unavailable { outcome, .. } if outcome.blame() == Blame::Refusal);
        if !away && !refused {
            self.keep_to_quota(now, hints);
        }
    }

    fn know_rules(&mut self, now: Timestamp, scheme: Scheme, asked: Duration, expires_in: Duration) {
        let kept = asked.min(self.terms.policy.crawl_delay_max());
        if kept < asked {
            self.say(HostEvent::CrawlDelayClamped { asked, kept });
        }
        let origin = self.rules.of_mut(scheme);
        origin.known = RulesState::Until(now + expires_in.max(RULES_HOLD_MIN));
        origin.ours = 0;
        origin.crawl_delay = kept;
        origin.hops = 0;
        self.refresh_spacing();
    }

    /// Follows a redirect of robots.txt with one more fetch, from this host or from another, up to `HOPS_MAX`
    /// times.
    ///
    /// A redirect shows that the host answers, but not that its rules can be fetched. So it does not reduce
    /// the host's strikes (closings in a row) or open the door; otherwise a redirect to a target that always fails
    /// would be requested at once and for ever.
    fn follow_rules(&mut self, now: Timestamp, scheme: Scheme, next: RulesState) {
        if self.rules.fetching(scheme).is_some_and(|fetching| fetching.probe) {
            self.hold.unprobe();
        }
        self.contact.answered = true;
        let origin = self.rules.of_mut(scheme);
        origin.hops += 1;
        origin.known = next;
        if origin.hops > HOPS_MAX {
            self.know_rules(now, scheme, Duration::ZERO, RULES_HOLD_DEFAULT);
        }
    }

    /// Handles a robots.txt that redirects to another host, if that host did not send it, or not in time.
    /// This host is closed as if it had failed itself, but its pace is not changed.
    fn rules_unavailable_elsewhere(
        &mut self,
        now: Timestamp,
        scheme: Scheme,
        landing: Landing,
        outcome: Outcome,
    ) {
        if let Outcome::Failed(fault) = outcome
            && fault.is_permanent()
        {
            self.end_origin(scheme, fault.reason());
        }
        if self.hold.door == Door::Probing {
            // A probe of this host is in flight, and its result decides whether the host is closed.
            self.rules.of_mut(scheme).known =
                RulesState::Unknown(now + self.terms.policy.backoff_bounds().min);
            return;
        }
        self.accuse_of(now, landing, Charge::Unreached, false, |host, closing| {
            host.hold_by_strikes(now, closing, HoldReason::Unreachable);
        });
    }

    /// Handles rules that cannot be fetched: no page may be fetched then (RFC 9309 §2.3.1.4). This counts as
    /// the host's fault.
    fn rules_unavailable(
        &mut self,
        now: Timestamp,
        landing: Landing,
        scheme: Scheme,
        outcome: Outcome,
        proposal: Proposal,
    ) {
        if outcome.blame() != Blame::Ours {
            self.contact.unmet = Some(reason_of(outcome));
        }
        if let Outcome::Failed(fault) = outcome
            && fault.is_permanent()
        {
            self.end_origin(scheme, fault.reason());
        }
        self.count_ours(scheme, outcome);
        match outcome.blame() {
            Blame::Refusal | Blame::Host | Blame::Ours => {
                self.learn(now, landing, None, outcome, proposal);
            }
            Blame::Url | Blame::Neutral | Blame::Success => {
                self.contact.note(outcome);
                self.pacing.learnt.remember(true);
                self.unreachable(now, landing);
            }
        }
    }

    /// Counts fetches that failed on the crawler's side. After `OURS_MAX` of them in a row, the leases that
    /// wait for the rules end.
    fn count_ours(&mut self, scheme: Scheme, outcome: Outcome) {
        let origin = self.rules.of_mut(scheme);
        if outcome.blame() != Blame::Ours {
            origin.ours = 0;
            return;
        }
        origin.ours = origin.ours.saturating_add(1);
        if origin.ours >= OURS_MAX {
            origin.ours = 0;
            self.end_origin(scheme, reason_of(outcome));
        }
    }

    /// Fails all leases that wait for this origin's rules, with the same reason, since a retry would change
    /// nothing.
    fn end_origin(&mut self, scheme: Scheme, reason: Reason) {
        let waiting: Vec<_> = self.ready_leases(scheme).map(|lease| lease.id).collect();
        for lease in waiting {
            if let Some(pending) = self.leases.take_idle(lease) {
                self.fail(pending, reason);
            }
        }
    }

    /// Returns the time from which on the rules may be fetched again after this failure. A hold of the host
    /// may delay the fetch further.
    fn rules_retry(&self, now: Timestamp, scheme: Scheme, outcome: Outcome) -> Timestamp {
        match outcome {
            Outcome::Failed(Fault::Proxy | Fault::Ours | Fault::Lost) => {
                let failed = u32::from(self.rules.of(scheme).ours);
                now + self.terms.policy.backoff_bounds().ceiling(failed)
            }
            Outcome::Failed(_) | Outcome::Answered(_) | Outcome::Refused(_) | Outcome::Redirected(_) => now,
        }
    }

    /// Handles a fetch of robots.txt that had no result in time.
    pub(in crate::host) fn rules_lost(&mut self, now: Timestamp, scheme: Scheme) {
        let Some(fetching) = self.rules.fetching(scheme) else { return };
        if fetching.away {
            let outcome = Outcome::Failed(Fault::Timeout);
            let origin = self.rules.of_mut(scheme);
            origin.known = RulesState::Unknown(now);
            origin.hops = 0;
            self.say(HostEvent::RulesUnavailable { scheme, outcome });
            let landing = Landing {
                seq: fetching.seq,
                started: fetching.started,
                probe: false,
                who: StartKind::Rules,
                stated: true,
            };
            self.rules_unavailable_elsewhere(now, scheme, landing, outcome);
            return;
        }
        if fetching.probe {
            self.hold.unprobe();
        }
        let retry = now + self.terms.policy.backoff_bounds().min;
        let origin = self.rules.of_mut(scheme);
        origin.known = RulesState::Unknown(retry);
        origin.hops = 0;
    }
}

/// The shortest time for which rules are valid: rules that expired at once would never let a lease start.
const RULES_HOLD_MIN: Duration = Duration::from_secs(60);
/// The time for which a robots.txt with too many redirects counts as absent.
const RULES_HOLD_DEFAULT: Duration = Duration::from_secs(3_600);
