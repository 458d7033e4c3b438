//! The permit to send a request to a host now. Because of permits, only one worker at a time sends requests to a
//! host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opilio_core::Timestamp;

/// Tells whether a request to a host may still be sent.
///
/// A store issues a permit for each host. The code that writes a request to the connection checks the permit
/// immediately before the write, on its own thread and without a call of the store. So if a worker that shares a
/// store with other workers is suspended until its leases have expired, it sends nothing when it runs again.
#[derive(Clone, Debug, Default)]
pub struct Permit(Option<Arc<Fence>>);

impl Permit {
    /// A permit that is always valid, for an embedded store, which has only one worker.
    pub const ALWAYS: Self = Self(None);

    /// Returns a permit that is valid until the end of the fence.
    #[must_use]
    pub fn behind(fence: Arc<Fence>) -> Self {
        Self(Some(fence))
    }

    /// Returns whether a request may be sent at this time.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.0.as_ref().is_none_or(|fence| fence.stands(now))
    }
}

/// The time until which a worker owns its leases of a shared store. The store changes this time.
#[derive(Debug)]
pub struct Fence {
    until_micros: AtomicU64,
}

impl Fence {
    /// Creates a fence that ends at this time: at the time itself, the leases are no longer owned.
    #[must_use]
    pub fn until(end: Timestamp) -> Self {
        Self { until_micros: AtomicU64::new(end.as_micros()) }
    }

    /// Sets a new end: a later time when the ownership is renewed, or the epoch (a time long past) when the ownership
    /// is lost.
    pub fn move_to(&self, end: Timestamp) {
        self.until_micros.store(end.as_micros(), Ordering::Release);
    }

    /// Returns whether the worker still owns its leases at this time.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        now.as_micros() < self.until_micros.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_fence_invalidates_every_copy_of_the_permit() {
        let fence = Arc::new(Fence::until(Timestamp::from_secs(10)));
        let permit = Permit::behind(fence.clone());
        assert!(permit.is_valid(Timestamp::from_secs(9)));
        assert!(!permit.is_valid(Timestamp::from_secs(10)));

        let copy = permit.clone();
        fence.move_to(Timestamp::EPOCH);
        assert!(!copy.is_valid(Timestamp::from_secs(1)));
    }

    #[test]
    fn an_embedded_store_never_loses_a_host() {
        assert!(Permit::ALWAYS.is_valid(Timestamp::NEVER));
    }
}
