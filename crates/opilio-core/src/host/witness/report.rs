//! Records the reports that the host gets: about requests for URLs, and about the requests that the host
//! repeats as a witness.

use super::Witness;
use super::leases::{SeenFlight, SeenLease};
use crate::outcome::{Blame, Fault, Outcome};
use crate::record::LeaseId;
use crate::time::Timestamp;
use crate::verdict::{Proposal, Verdict};

/// The facts about an outcome that matter to the observer.
#[derive(Clone, Copy)]
struct SeenOutcome {
    blame: Blame,
    /// Whether the spider gets the answer as a page or a redirect.
    wanted: bool,
    /// Whether the answer was a 401 or 403, which may come from a firewall.
    forbidden: bool,
    /// Whether the host answered, whatever the answer says about the URL.
    answered: bool,
    /// Whether a kept-alive connection broke, and the request may be repeated.
    stale: bool,
    /// Whether the URL must not be requested again: another request would change nothing, or the request is
    /// not repeatable.
    is_final: bool,
    /// Whether the fetcher proposes to try again.
    again: bool,
    /// Whether the server stated a wait or a quota, so that the outcome is not chance.
    stated: bool,
}

impl SeenOutcome {
    fn read(outcome: Outcome, proposal: &Proposal) -> Self {
        let blame = outcome.blame();
        let wanted = matches!(proposal.verdict, Verdict::Done | Verdict::Redirect);
        let permanent = matches!(outcome, Outcome::Failed(Fault::NoSuchName | Fault::Certificate));
        Self {
            blame,
            wanted,
            forbidden: matches!(outcome, Outcome::Answered(401 | 403)) && !wanted,
            answered: wanted || matches!(blame, Blame::Success | Blame::Neutral),
            stale: outcome == Outcome::Failed(Fault::StaleConnection) && proposal.repeatable,
            is_final: permanent || !proposal.repeatable,
            again: matches!(proposal.verdict, Verdict::Retry { .. }),
            stated: proposal.hints.retry_after.is_some() || proposal.hints.quota.is_some(),
        }
    }

    /// Returns the outcome as it counts for this lease. If a kept-alive connection breaks, it may have been
    /// idle for too long; but if the URL has failed before, the break counts as a failure of the URL.
    fn under(self, seen: &SeenLease) -> Self {
        let broken = self.stale && (seen.stale > 0 || seen.failed.is_some());
        Self { blame: if broken { Blame::Url } else { self.blame }, ..self }
    }
}

impl Witness {
    /// Records the report that ends an attempt. A report that comes after the attempt's deadline changes
    /// nothing.
    pub(super) fn reported(&mut self, now: Timestamp, id: LeaseId, outcome: Outcome, proposal: &Proposal) {
        let read = SeenOutcome::read(outcome, proposal);
        let hints = &proposal.hints;
        if let Some(flight) = self.take_witness(id) {
            self.hold.note_quota(now, flight.started, hints);
            self.hold.note_refusal(now, outcome, hints);
            self.witness_reported(now, flight, read);
        } else if let Some((place, flight)) = self.leases.land(id) {
            self.hold.note_quota(now, flight.started, hints);
            self.hold.note_refusal(now, outcome, hints);
            self.url_reported(now, place, flight, read);
        }
    }

    fn witness_reported(&mut self, now: Timestamp, flight: SeenFlight, read: SeenOutcome) {
        if read.answered {
            self.faults.answered(&mut self.leases, flight.started, !read.forbidden);
        }
        if !read.answered || read.forbidden {
            let ours = read.blame == Blame::Ours;
            self.faults.note_unwelcome(u32::from(!ours));
            let probe = flight.probe && !ours && !read.forbidden;
            self.faults.fail_of_host(&mut self.leases, now, probe);
        }
    }

    fn url_reported(&mut self, now: Timestamp, place: usize, flight: SeenFlight, read: SeenOutcome) {
        let seen = self.leases.at_mut(place);
        let read = read.under(seen);
        seen.innocent = false;
        seen.may_end = !read.again || read.blame == Blame::Ours || self.hold.parked;
        if read.blame == Blame::Ours {
            return self.url_undone(place, read);
        }
        seen.requests = seen.requests.saturating_add(1);
        if seen.requests == 1 {
            self.faults.crowd.note_first_ask(read.blame == Blame::Refusal);
        }
        if read.answered || read.forbidden {
            seen.attempts.add_perhaps(1);
            if !read.wanted {
                // The URL failed by its own fault, or is one of several that were answered 401 or 403. If a
                // connection breaks in the URL's next attempt, the break uses up an attempt.
                seen.failed = Some((flight.started, now));
            }
            self.faults.answered(&mut self.leases, flight.started, !read.forbidden);
            return;
        }
        self.url_failed(now, place, flight, read);
    }

    /// Records that a request failed on the crawler's side, or that its kept-alive connection was idle for
    /// too long.
    fn url_undone(&mut self, place: usize, read: SeenOutcome) {
        // The server may have broken the connection on purpose. Then this failure shows, together with other
        // failures, that the host is at fault.
        self.faults.note_others();
        if read.stale {
            // The request uses up no attempt, unless the next attempt fails, too.
            let seen = self.leases.at_mut(place);
            seen.requests = seen.requests.saturating_add(1);
            seen.stale += 1;
            self.faults.note_unwelcome(1);
        }
    }

    /// Records that a request was refused or failed. Whose fault the failure was is undecided, unless answers
    /// to other URLs have decided that.
    fn url_failed(&mut self, now: Timestamp, place: usize, flight: SeenFlight, read: SeenOutcome) {
        let seen = self.leases.at_mut(place);
        let started = flight.started;
        self.faults.note_unwelcome(1 + u32::from(read.stated));
        let own =
            self.faults.answered_since(seen.failed.map(|(start, _)| start).into_iter().chain([started]));
        seen.failed = Some((started, now));
        let clean = seen.requests == 1;
        if read.blame == Blame::Refusal && clean {
            self.faults.crowd.note_refused(seen.url);
        }
        let trouble = self.faults.fail_of_url(now, seen.url);
        let failures = 1 + std::mem::take(&mut seen.stale);
        if trouble.confirmed && !self.faults.door.open {
            seen.innocent = !read.is_final;
            seen.attempts.add_perhaps(u16::from(read.is_final) * failures);
            return;
        }
        seen.attempts.add_perhaps(failures);
        if own || self.faults.door.is_old_news(started) {
            // The failure belongs to a case that is over, and counts against the URL or the host as that case
            // was decided.
            return;
        }
        seen.open += failures;
        let of_host = matches!(read.blame, Blame::Refusal | Blame::Host) && trouble.others;
        if flight.probe && clean && of_host && !self.faults.door.open {
            seen.innocent = !read.is_final;
            let open = std::mem::take(&mut seen.open);
            seen.attempts.most = seen.attempts.most.saturating_sub(open);
            if read.is_final {
                // The URL may end with these failures, even if the host was at fault.
                seen.attempts.add_perhaps(open);
            }
            self.faults.confirm(&mut self.leases);
        }
    }
}
