//! Checks holds, parks and drains as visible from outside: while any of these lasts, the host starts nothing
//! (invariant G3), and a hold never becomes shorter (invariant G6).

use std::time::Duration;

use super::expect;
use crate::host::invariants::{Invariant, Violation};
use crate::host::message::HoldReason;
use crate::host::snapshot::HostSnapshot;
use crate::outcome::{Blame, Outcome};
use crate::time::Timestamp;
use crate::verdict::Hints;

/// The host's hold, park and drain, as far as they are visible from outside.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenHold {
    /// The longest hold of the policy.
    max: Duration,
    /// The latest end of all waits that the server stated, that the user ordered, or that the host announced.
    end: Timestamp,
    /// The end of the hold in the host's last snapshot.
    shown: Timestamp,
    /// True from a closing until the event `Opened`; only a probe may start in that time.
    pub(super) closed: bool,
    pub(super) parked: bool,
    pub(super) draining: bool,
    /// The time of the latest start whose answer announced a quota.
    quota_of: Option<Timestamp>,
}

impl SeenHold {
    pub(super) fn new(max: Duration) -> Self {
        Self {
            max,
            end: Timestamp::EPOCH,
            shown: Timestamp::EPOCH,
            closed: false,
            parked: false,
            draining: false,
            quota_of: None,
        }
    }

    /// Checks the invariant G3 at a start: nothing starts while the host is held, parked or drained. While the
    /// host is closed, one probe may start.
    pub(super) fn expect_start(&self, now: Timestamp, may_probe: bool) -> Result<(), Violation> {
        let end = self.end;
        expect(now >= end, Invariant::G3, || format!("a start at {now:?}, held until {end:?}"))?;
        expect(!self.parked, Invariant::G3, || "a start while parked".to_owned())?;
        expect(!self.draining, Invariant::G3, || "a start while draining".to_owned())?;
        let allowed = !self.closed || may_probe;
        expect(allowed, Invariant::G3, || "a start while only a probe may".to_owned())
    }

    /// Checks the invariant G6: the hold in the host's snapshot lasts as long as it was asked for, and has not
    /// become shorter.
    pub(super) fn compare(&mut self, shown: &HostSnapshot) -> Result<(), Violation> {
        let until = shown.hold.map_or(Timestamp::EPOCH, |(until, _)| until);
        let before = self.shown;
        expect(until >= before, Invariant::G6, || format!("the hold went from {before:?} to {until:?}"))?;
        if shown.parked.is_some() {
            // A parked host starts nothing for at least as long as the longest hold. A wait that the server
            // states during the park changes nothing.
            self.end = self.end.min(until);
        }
        let end = self.end;
        expect(until >= end, Invariant::G6, || format!("held until {until:?}, asked for {end:?}"))?;
        self.shown = until;
        Ok(())
    }

    /// Records an order to hold the host.
    pub(super) fn ordered(&mut self, now: Timestamp, until: Timestamp) {
        self.end = self.end.max(until.min(now + self.max));
    }

    /// Records a hold that the host announces.
    pub(super) fn told(&mut self, until: Timestamp, reason: HoldReason) {
        self.end = self.end.max(until);
        self.closed |= !reason.needs_no_probe();
    }

    /// Records the wait that a refusal states.
    pub(super) fn note_refusal(&mut self, now: Timestamp, outcome: Outcome, hints: &Hints) {
        if let (Blame::Refusal, Some(wait)) = (outcome.blame(), hints.retry_after)
            && !self.parked
        {
            self.end = self.end.max(now + wait.min(self.max));
        }
    }

    /// Records the quota that an answer announces. A spent quota holds the host until the quota's reset, give
    /// or take a second for rounding. An answer counts only if its start is later than the start of every
    /// answer that counted before. For two starts at the same instant, the order is unknown, so the second
    /// answer does not count.
    pub(super) fn note_quota(&mut self, now: Timestamp, started: Timestamp, hints: &Hints) {
        let Some(quota) = hints.quota.filter(|_| self.quota_of.is_none_or(|newest| newest < started)) else {
            return;
        };
        self.quota_of = Some(started);
        if quota.remaining == 0 && !self.parked {
            let wait = quota.reset.min(self.max).saturating_sub(Duration::from_secs(1));
            self.end = self.end.max(now + wait);
        }
    }
}
