//! How the witness takes in reports: of URLs, and of the requests that the host makes as a witness.

use super::Witness;
use super::leases::{SeenFlight, SeenLease};
use crate::outcome::{Blame, Fault, Outcome};
use crate::record::LeaseId;
use crate::time::Timestamp;
use crate::verdict::{Proposal, Verdict};

/// An outcome, and what the witness reads from it.
#[derive(Clone, Copy)]
struct SeenOutcome {
    blame: Blame,
    /// The spider gets the answer.
    wanted: bool,
    /// 401 or 403, which may come from a firewall.
    forbidden: bool,
    /// The host answered, whatever the answer says about the URL.
    answered: bool,
    /// A kept-alive connection died, and the request may be repeated.
    stale: bool,
    /// Another request would change nothing, or must not be sent.
    is_final: bool,
    /// The proposal is to try again.
    again: bool,
    /// The server stated a wait or a quota, which is no chance.
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

    /// The same for this lease: one connection may die of age, but not two under one URL.
    fn under(self, seen: &SeenLease) -> Self {
        let broken = self.stale && (seen.stale > 0 || seen.failed.is_some());
        Self { blame: if broken { Blame::Url } else { self.blame }, ..self }
    }
}

impl Witness {
    /// Records the end of an attempt; a report after the deadline changes nothing.
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
                // By its own fault, or as part of a run of 401 and 403. A connection that dies under it now is
                // no longer free.
                seen.failed = Some((flight.started, now));
            }
            self.faults.answered(&mut self.leases, flight.started, !read.forbidden);
            return;
        }
        self.url_failed(now, place, flight, read);
    }

    /// The crawler failed, or the connection died of its age.
    fn url_undone(&mut self, place: usize, read: SeenOutcome) {
        // The server may have broken it on purpose; then it belongs to the trouble.
        self.faults.note_others();
        if read.stale {
            // It is free of charge, unless the next attempt fails, too.
            let seen = self.leases.at_mut(place);
            seen.requests = seen.requests.saturating_add(1);
            seen.stale += 1;
            self.faults.note_unwelcome(1);
        }
    }

    /// The request was refused, or failed. The fault is open, unless others have decided it.
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
            // It may have been charged, or a case that is over had shown the host to be at fault.
            return;
        }
        seen.open += failures;
        let of_host = matches!(read.blame, Blame::Refusal | Blame::Host) && trouble.others;
        if flight.probe && clean && of_host && !self.faults.door.open {
            seen.innocent = !read.is_final;
            let open = std::mem::take(&mut seen.open);
            seen.attempts.most = seen.attempts.most.saturating_sub(open);
            if read.is_final {
                // It ends with them, even if the host was at fault.
                seen.attempts.add_perhaps(open);
            }
            self.faults.confirm(&mut self.leases);
        }
    }
}
