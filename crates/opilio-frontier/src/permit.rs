//! The right to send a request to a host now. With it, only one worker at a time sends requests to a host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opilio_core::Timestamp;

/// Tells whether a request to a host may still be written.
///
/// A store issues a permit for each host. The code that writes a request checks the permit as the last step
/// before the bytes leave, on its own thread and without a call to the store. So if a worker of a shared store
/// is suspended for longer than its leases last, it sends nothing when it runs again.
#[derive(Clone, Debug, Default)]
pub struct Permit(Option<Arc<Fence>>);

impl Permit {
    /// A permit that is always valid: an embedded store has only one worker.
    pub const ALWAYS: Self = Self(None);

    /// Returns a permit that is valid until the fence ends.
    #[must_use]
    pub fn behind(fence: Arc<Fence>) -> Self {
        Self(Some(fence))
    }

    /// Returns whether a request may be written at this instant.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.0.as_ref().is_none_or(|fence| fence.stands(now))
    }
}

/// The instant until which a worker owns its leases of a shared store. The store moves this instant.
#[derive(Debug)]
pub struct Fence {
    until_micros: AtomicU64,
}

impl Fence {
    /// Creates a fence that is valid before this instant, but not at it.
    #[must_use]
    pub fn until(end: Timestamp) -> Self {
        Self { until_micros: AtomicU64::new(end.as_micros()) }
    }

    /// Moves the end: to a later instant when the ownership is renewed, to the epoch when it is lost.
    pub fn move_to(&self, end: Timestamp) {
        self.until_micros.store(end.as_micros(), Ordering::Release);
    }

    /// Returns whether the worker still owns its leases at this instant.
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
