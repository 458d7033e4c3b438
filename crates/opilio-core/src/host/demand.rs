//! What a host has asked for and not received yet: a slot for its next start, and leases.

use std::time::Duration;

use crate::time::Timestamp;

/// A host's requests for a slot and for leases; at most one of each is outstanding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    pub(super) slot: SlotRequest,
    pub(super) credit: CreditRequest,
    /// A refused slot is not asked for again before this.
    pub(super) slot_retry_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SlotRequest {
    None,
    Asked,
    Granted,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CreditRequest {
    /// May be asked for.
    Idle,
    /// Asked for and not answered yet.
    Asked,
    /// Answered with no lease: not asked for again before something has changed.
    Empty,
}

impl Demand {
    pub(super) const NONE: Self =
        Self { slot: SlotRequest::None, credit: CreditRequest::Idle, slot_retry_at: Timestamp::EPOCH };

    /// Whether a slot may be asked for now.
    pub(super) fn may_ask_slot(&self, now: Timestamp) -> bool {
        self.slot == SlotRequest::None && now >= self.slot_retry_at
    }

    /// No slot comes for the outstanding request. One that was granted before stays.
    pub(super) fn drop_slot(&mut self) {
        if self.slot == SlotRequest::Asked {
            self.slot = SlotRequest::None;
        }
    }

    /// Asks for no slot before this time.
    pub(super) fn deny_slot(&mut self, until: Timestamp) {
        self.slot_retry_at = self.slot_retry_at.max(until);
    }

    /// Waits before the next request for a slot, after one was refused: a part of the backoff's minimum.
    pub(super) fn pause_slot(&mut self, now: Timestamp, backoff_min: Duration) {
        self.deny_slot(now + (backoff_min / SLOT_RETRY_PART).max(SLOT_RETRY_MIN));
    }

    /// The request for leases was answered.
    pub(super) fn leased(&mut self, any: bool) {
        self.credit = if any { CreditRequest::Idle } else { CreditRequest::Empty };
    }

    /// Something has changed, so there may be leases again.
    pub(super) fn retry_credit(&mut self) {
        if self.credit == CreditRequest::Empty {
            self.credit = CreditRequest::Idle;
        }
    }

    /// The shell died, and its requests with it.
    pub(super) fn forget(&mut self) {
        (self.slot, self.credit) = (SlotRequest::None, CreditRequest::Idle);
    }
}

/// 10 ms by default.
const SLOT_RETRY_PART: u32 = 100;
const SLOT_RETRY_MIN: Duration = Duration::from_millis(1);
