//! Checks the invariant G5: the host starts its next request as soon as the gate allows.

use std::time::Duration;

use super::{Witness, expect};
use crate::host::invariants::{Invariant, Violation};
use crate::host::snapshot::HostSnapshot;
use crate::time::Timestamp;

/// The times that limit when the host may ask for a slot again.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenSlots {
    /// The longest time after a refused slot until the host asks again.
    pause: Duration,
    refused_until: Timestamp,
    /// The time until which the host asks for no further slot while a request of it is in flight.
    yields_until: Timestamp,
}

impl SeenSlots {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, refused_until: Timestamp::EPOCH, yields_until: Timestamp::EPOCH }
    }

    /// Records that a slot was refused, or that the request for which it was granted could not be sent.
    pub(super) fn refused(&mut self, now: Timestamp) {
        self.denied(now + self.pause);
    }

    /// Records that a slot was granted, and whether slots were short.
    pub(super) fn granted(&mut self, now: Timestamp, is_short: bool) {
        self.yields_until = if is_short { now + YIELD_MAX } else { Timestamp::EPOCH };
    }

    /// Records that a request has ended, so that its slot may be free.
    pub(super) fn ended(&mut self) {
        self.yields_until = Timestamp::EPOCH;
    }

    /// Records that the common budget of the host's group affords no start before this time.
    pub(super) fn denied(&mut self, until: Timestamp) {
        self.refused_until = self.refused_until.max(until);
    }
}

impl Witness {
    /// Checks the invariant G5 (a start that is possible happens at once): if a lease is ready, the host has asked
    /// for a slot, or its timer is set for the earliest possible start.
    pub(super) fn expect_work(&self, now: Timestamp, shown: &HostSnapshot) -> Result<(), Violation> {
        let busy = self.hold.draining
            || self.hold.parked
            || self.probe_out()
            || self.rules.are_awaited()
            || shown.slot_asked
            || shown.ready == 0
            || shown.in_flight >= shown.in_flight_cap
            || shown.quota_left == Some(0);
        if busy {
            return Ok(());
        }
        // The host counts in nanoseconds and rounds up to microseconds, so its start may be one microsecond
        // later.
        let delay = self.rules.crawl_delay().max(shown.spacing);
        let budget = self.starts.due(delay) + Duration::from_micros(1);
        let hold = shown.hold.map_or(Timestamp::EPOCH, |(until, _)| until);
        let yields = if shown.in_flight > 0 { self.slots.yields_until } else { Timestamp::EPOCH };
        let slots = self.slots.refused_until.max(now + self.slots.pause).max(yields);
        let due = budget.max(hold).max(self.rules.rest()).max(slots);
        let next = shown.next_start;
        expect(next.is_some_and(|at| at <= due && at > now), Invariant::G5, || {
            format!("work is ready at {now:?}, a start possible by {due:?}, and the host plans {next:?}")
        })
    }
}

/// How long a host may leave the slots to others while a request of it is in flight and slots are short.
const YIELD_MAX: Duration = Duration::from_millis(200);
