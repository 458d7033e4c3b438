//! The memory for the bodies of answers: a fixed budget that the fetches of all shards share.
//!
//! One half of the budget is for small shares: each body reserves a small share before its first byte is read. The
//! other half is for the few large bodies: a body that needs more than its small share waits until it gets *all* the
//! memory that it may still need. So a body that holds memory of the second half can always finish, and no body
//! waits for a body that is itself waiting. Bodies of any size cannot cause a deadlock.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A memory budget for bodies. Cloning is cheap; clones share the budget.
#[derive(Clone, Debug)]
pub struct BodyBudget {
    starts: Arc<Semaphore>,
    large: Arc<Semaphore>,
    large_units: u32,
}

/// The memory that one body has reserved. Dropping the permit returns the memory to the budget.
#[derive(Debug)]
pub struct BodyPermit {
    start: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl Default for BodyBudget {
    /// Returns a budget of 128 MiB.
    fn default() -> Self {
        Self::new(128 << 20)
    }
}

impl BodyBudget {
    /// The share of memory that each body reserves before its first byte is read: 256 KiB.
    pub const START_BYTES: usize = 256 << 10;

    /// Returns the budget of a crawl: 128 MiB, or a quarter of the crawl's memory limit if that is less.
    #[must_use]
    pub fn of_crawl(memory_limit: Option<u64>) -> Self {
        let quarter = memory_limit.map_or(u64::MAX, |bytes| bytes / 4);
        Self::new(usize::try_from(quarter).unwrap_or(usize::MAX).min(CRAWL_BYTES))
    }

    /// Returns a budget of this many bytes, but of at least as many as one body needs.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let half = units(bytes / 2).max(units(Self::START_BYTES)).min(u32::MAX >> 3);
        // tokio's semaphore allows far more permits than this number on every platform.
        let permits = half as usize;
        Self {
            starts: Arc::new(Semaphore::new(permits)),
            large: Arc::new(Semaphore::new(permits)),
            large_units: half,
        }
    }

    /// Reserves the small first share if it is available now, else returns `None`.
    #[must_use]
    pub fn try_reserve(&self) -> Option<BodyPermit> {
        let start = self.starts.clone().try_acquire_many_owned(units(Self::START_BYTES)).ok()?;
        Some(BodyPermit { start: Some(start), large: None })
    }

    /// Waits until the small first share is available, and reserves it.
    pub async fn reserve(&self) -> BodyPermit {
        // The semaphore is never closed. If it were closed, the permit would just be empty.
        let start = self.starts.clone().acquire_many_owned(units(Self::START_BYTES)).await.ok();
        BodyPermit { start, large: None }
    }

    /// Waits until this body may take `bytes` in total. If `bytes` is more than half of the budget, the body gets
    /// that half.
    pub async fn grow(&self, permit: &mut BodyPermit, bytes: usize) {
        if permit.large.is_some() || bytes <= Self::START_BYTES {
            return;
        }
        let more = units(bytes - Self::START_BYTES).min(self.large_units);
        permit.large = self.large.clone().acquire_many_owned(more).await.ok();
    }
}

impl BodyPermit {
    /// Returns a permit that holds no memory, for answers without a body.
    pub(crate) fn none() -> Self {
        Self { start: None, large: None }
    }

    /// Returns how many bytes of memory this permit holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let held = |permit: &Option<OwnedSemaphorePermit>| {
            permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
        };
        (held(&self.start) + held(&self.large)) * UNIT_BYTES
    }

    /// Returns to the budget the memory that this permit holds beyond `bytes`.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let needed = units(bytes) as usize;
        let held = self.start.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        keep(&mut self.start, needed);
        keep(&mut self.large, needed.saturating_sub(held));
    }
}

/// Reduces a permit of the semaphore to at most `needed` units.
fn keep(permit: &mut Option<OwnedSemaphorePermit>, needed: usize) {
    if let Some(held) = permit {
        let spare = held.num_permits().saturating_sub(needed);
        drop(held.split(spare));
    }
}

/// The bytes that one permit of the semaphore stands for: 1 KiB, since the semaphore counts in `u32`.
const UNIT_BYTES: usize = 1 << 10;

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// The budget for bodies of a crawl without a memory limit: 128 MiB.
const CRAWL_BYTES: usize = 128 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use futures_util::FutureExt;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn a_body_holds_what_it_needs_and_no_more() {
        let budget = BodyBudget::new(4 * MIB);
        let mut permit = budget.reserve().await;
        assert_eq!(permit.bytes(), BodyBudget::START_BYTES);
        permit.shrink(20_000);
        assert_eq!(permit.bytes(), 20 << 10);
        let mut large = budget.reserve().await;
        budget.grow(&mut large, MIB).await;
        assert_eq!(large.bytes(), MIB);
        large.shrink(600 << 10);
        assert_eq!(large.bytes(), 600 << 10);
        drop((permit, large));
        assert_eq!(budget.starts.available_permits() * UNIT_BYTES, 2 * MIB);
        assert_eq!(budget.large.available_permits() * UNIT_BYTES, 2 * MIB);
    }

    #[tokio::test]
    async fn starts_wait_when_their_half_is_used_up() {
        let budget = BodyBudget::new(MIB);
        let (first, second) = (budget.reserve().await, budget.reserve().await);
        assert!(budget.try_reserve().is_none());
        drop(first);
        assert!(budget.try_reserve().is_some());
        drop(second);
    }

    #[tokio::test]
    async fn large_bodies_take_turns_and_never_wait_for_each_other() {
        let budget = BodyBudget::new(4 * MIB);
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(budget.reserve().await);
        }
        // All small first shares are taken, and every body turns out to be large: the bodies finish one after the
        // other.
        for mut permit in permits {
            budget.grow(&mut permit, 64 * MIB).now_or_never().unwrap();
            assert!(permit.bytes() >= 2 * MIB);
        }
    }
}
