//! Keeps a host's own requests to the rest of the crawler that are not answered yet: for a slot (the right to
//! start one fetch), and for leases.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A host's requests for a slot and for leases; at most one of each is outstanding.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Demand {
    pub(super) slot: SlotRequest,
    pub(super) credit: CreditRequest,
    /// The time before which the host does not ask for a slot again: after a refusal, or because slots are short.
    pub(super) slot_retry_at: Timestamp,
    /// True if the host waits until `slot_retry_at` because slots are short. Then it waits only while one of its
    /// requests is in flight.
    pub(super) yields: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum SlotRequest {
    None,
    /// The host has asked for a slot.
    Asked,
    /// The host has asked for a slot while requests of it were in flight.
    AskedForMore,
    Granted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum CreditRequest {
    /// The host may ask for leases.
    Idle,
    /// The host has asked for leases, and has no answer yet.
    Asked,
    /// The last answer contained no leases. The host asks again only after something has changed; for
    /// instance, the store has settled a lease.
    Empty,
}

impl Demand {
    pub(super) const NONE: Self = Self {
        slot: SlotRequest::None,
        credit: CreditRequest::Idle,
        slot_retry_at: Timestamp::EPOCH,
        yields: false,
    };

    /// Whether the host may ask for a slot now: no slot is requested or granted, and no wait after a refused
    /// slot is left.
    pub(super) fn may_ask_slot(&self, now: Timestamp, in_flight: usize) -> bool {
        self.slot == SlotRequest::None && now >= self.slot_due(in_flight)
    }

    /// Returns the time from which on the host may ask for a slot, with this many requests in flight.
    pub(super) fn slot_due(&self, in_flight: usize) -> Timestamp {
        if self.yields && in_flight == 0 { Timestamp::EPOCH } else { self.slot_retry_at }
    }

    /// Records that a slot was granted, and whether slots are short.
    pub(super) fn granted(&mut self, now: Timestamp, is_short: bool) {
        self.slot = SlotRequest::Granted;
        if self.yields || self.slot_retry_at <= now {
            self.yields = is_short;
            self.slot_retry_at = if is_short { now + YIELD } else { Timestamp::EPOCH };
        }
    }

    /// Records that the host asks for a slot, with this many requests in flight.
    pub(super) fn ask_slot(&mut self, in_flight: usize) {
        self.slot = if in_flight == 0 { SlotRequest::Asked } else { SlotRequest::AskedForMore };
    }

    /// Whether the host has asked for a slot and has no answer yet.
    pub(super) fn waits_for_slot(&self) -> bool {
        matches!(self.slot, SlotRequest::Asked | SlotRequest::AskedForMore)
    }

    /// Ends the time for which the host leaves slots to others, since a request of it has ended: its slot may be free.
    pub(super) fn end_yield(&mut self) {
        if std::mem::take(&mut self.yields) {
            self.slot_retry_at = Timestamp::EPOCH;
        }
    }

    /// Forgets the outstanding request for a slot, if there is one. A slot that was already granted is kept.
    pub(super) fn drop_slot(&mut self) {
        if self.waits_for_slot() {
            self.slot = SlotRequest::None;
        }
    }

    /// Forbids requests for a slot before the time `until`.
    pub(super) fn deny_slot(&mut self, until: Timestamp) {
        self.slot_retry_at = if self.yields { until } else { self.slot_retry_at.max(until) };
        self.yields = false;
    }

    /// Sets the wait before the next request for a slot, after a slot was refused: a hundredth of the
    /// backoff's minimum.
    pub(super) fn pause_slot(&mut self, now: Timestamp, backoff_min: Duration) {
        self.deny_slot(now + (backoff_min / SLOT_RETRY_PART).max(SLOT_RETRY_MIN));
    }

    /// Records the answer to the request for leases; `any` tells whether the answer contained leases.
    pub(super) fn leased(&mut self, any: bool) {
        self.credit = if any { CreditRequest::Idle } else { CreditRequest::Empty };
    }

    /// Allows a new request for leases, since something has changed and there may be leases again.
    pub(super) fn retry_credit(&mut self) {
        if self.credit == CreditRequest::Empty {
            self.credit = CreditRequest::Idle;
        }
    }

    /// Forgets the outstanding requests, since the host's actor was restarted.
    pub(super) fn forget(&mut self) {
        (self.slot, self.credit) = (SlotRequest::None, CreditRequest::Idle);
    }
}

/// How long a host with a request in flight asks for no further slot when slots are short. Its next request can then
/// use the connection of the one in flight, and the slot serves another host meanwhile. Most servers answer within this
/// time; when one does not, its host asks for a further slot, so that it uses its budget.
pub(super) const YIELD: Duration = Duration::from_millis(200);
/// After a refused slot, the host waits for this part of the backoff's minimum before it asks again: a
/// hundredth, 10 ms by default.
const SLOT_RETRY_PART: u32 = 100;
const SLOT_RETRY_MIN: Duration = Duration::from_millis(1);
