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
    /// The time before which the host does not ask for a slot again after a refusal.
    pub(super) slot_retry_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum SlotRequest {
    None,
    Asked,
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
    pub(super) const NONE: Self =
        Self { slot: SlotRequest::None, credit: CreditRequest::Idle, slot_retry_at: Timestamp::EPOCH };

    /// Whether the host may ask for a slot now: no slot is requested or granted, and no wait after a refused
    /// slot is left.
    pub(super) fn may_ask_slot(&self, now: Timestamp) -> bool {
        self.slot == SlotRequest::None && now >= self.slot_retry_at
    }

    /// Forgets the outstanding request for a slot, if there is one. A slot that was already granted is kept.
    pub(super) fn drop_slot(&mut self) {
        if self.slot == SlotRequest::Asked {
            self.slot = SlotRequest::None;
        }
    }

    /// Forbids requests for a slot before the time `until`.
    pub(super) fn deny_slot(&mut self, until: Timestamp) {
        self.slot_retry_at = self.slot_retry_at.max(until);
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

/// After a refused slot, the host waits for this part of the backoff's minimum before it asks again: a
/// hundredth, 10 ms by default.
const SLOT_RETRY_PART: u32 = 100;
const SLOT_RETRY_MIN: Duration = Duration::from_millis(1);
