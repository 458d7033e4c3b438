//! Checks the times between the starts of a host, as visible from outside: the starts keep the spacing (invariant
//! G1), and the starts for robots.txt count, too (invariant G8).

use std::time::Duration;

use super::expect;
use crate::host::budget::Spacing;
use crate::host::invariants::{Invariant, Violation};
use crate::record::LeaseId;
use crate::time::Timestamp;

/// The times of the host's starts.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenStarts {
    /// The spacing of the user's rate.
    spacing: Spacing,
    /// The check of the starts of requests for URLs alone.
    urls: Pacer,
    /// The check of all starts: of requests for URLs and for robots.txt.
    all: Pacer,
    last: Option<Timestamp>,
    /// The last time when the host opened or was restarted. The next start may wait for one spacing from this
    /// time.
    resumed_at: Option<Timestamp>,
}

impl SeenStarts {
    pub(super) fn new(spacing: Spacing) -> Self {
        Self { spacing, urls: Pacer::default(), all: Pacer::default(), last: None, resumed_at: None }
    }

    /// Records the start of a URL's request. Checks the invariant G1: these starts keep the spacing of the rate.
    pub(super) fn url(&mut self, now: Timestamp, id: LeaseId) -> Result<(), Violation> {
        let paced = self.urls.start(now, self.spacing);
        expect(paced, Invariant::G1, || format!("{id:?} starts early at {now:?}"))
    }

    /// Records any start. Checks the invariants G8 (the starts for robots.txt count, too) and G1 (each start keeps
    /// the crawl delay).
    pub(super) fn any(&mut self, now: Timestamp, crawl_delay: Duration) -> Result<(), Violation> {
        let paced = self.all.start(now, self.spacing);
        expect(paced, Invariant::G8, || format!("with robots.txt, a start is early at {now:?}"))?;
        let early = self.last.is_some_and(|last| now < last + crawl_delay);
        expect(!early, Invariant::G1, || format!("a start at {now:?} within the crawl delay"))?;
        self.last = Some(now);
        Ok(())
    }

    /// Records that the actor of the host was restarted, perhaps just after a start that was not recorded.
    pub(super) fn restarted(&mut self, now: Timestamp) {
        self.urls.assume_start(now, self.spacing);
        self.all.assume_start(now, self.spacing);
        self.resumed_at = Some(now);
    }

    /// Records that the host is open again: the next start comes one spacing later.
    pub(super) fn opened(&mut self, now: Timestamp) {
        self.resumed_at = Some(now);
    }

    /// Returns the latest time at which the budget must afford the next start.
    pub(super) fn due(&self, delay: Duration) -> Timestamp {
        let since = self.last.max(self.resumed_at);
        since.map_or(Timestamp::EPOCH, |since| since + delay)
    }
}

/// Checks from the start times alone that no start came too early, without a look at the host's own budget.
///
/// Start `j` is too early before `max_i (s_i + (j − i) · spacing) − τ`, over all earlier starts `i`. Here `s_i`
/// is the time of start `i`, and τ is the slack of the spacing. Only the maximum is kept, as one number.
#[derive(Clone, Copy, Debug, Default)]
struct Pacer {
    due_nanos: u64,
}

impl Pacer {
    fn start(&mut self, now: Timestamp, spacing: Spacing) -> bool {
        let now = now.as_micros().saturating_mul(1_000);
        let early = spacing.nanos > 0 && now.saturating_add(spacing.slack_nanos) < self.due_nanos;
        self.due_nanos = self.due_nanos.max(now).saturating_add(spacing.nanos);
        !early
    }

    fn assume_start(&mut self, now: Timestamp, spacing: Spacing) {
        let now = now.as_micros().saturating_mul(1_000);
        self.due_nanos = self.due_nanos.max(now.saturating_add(spacing.nanos));
    }
}
