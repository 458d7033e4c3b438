//! A slot, the right to start one fetch, as a value that cannot get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::Recipient;
use opilio_core::scheduling::Standing;

use super::SlotsBack;

/// One slot of a pool. It goes from the pool to a host, and on with a fetch. It comes back when it is dropped: by a fetch
/// that ended or panicked, or by a host that did not need it or died.
pub(crate) struct Slot {
    back: Arc<AtomicU32>,
    /// If its host is doubtful: the count of slots that doubtful hosts hold, this one included.
    doubtful: Option<Arc<AtomicU32>>,
    pool: Recipient<SlotsBack>,
}

/// Counts the slots that have come back since the last call, and those that doubtful hosts hold.
#[derive(Default)]
pub(crate) struct Returned {
    back: Arc<AtomicU32>,
    /// Slots that doubtful hosts hold.
    doubtful: Arc<AtomicU32>,
}

impl Returned {
    /// Makes a slot for a host. It comes back here.
    pub(crate) fn slot(&self, standing: Standing, pool: Recipient<SlotsBack>) -> Slot {
        let doubtful = (standing == Standing::Doubtful).then(|| self.doubtful.clone());
        if let Some(out) = &doubtful {
            out.fetch_add(1, Ordering::AcqRel);
        }
        Slot { back: self.back.clone(), doubtful, pool }
    }

    /// How many have come back since the last call.
    pub(crate) fn take(&self) -> u32 {
        self.back.swap(0, Ordering::AcqRel)
    }

    /// How many slots doubtful hosts hold.
    pub(crate) fn doubtful_out(&self) -> u32 {
        self.doubtful.load(Ordering::Acquire)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.back.fetch_add(1, Ordering::AcqRel);
        if let Some(out) = &self.doubtful {
            out.fetch_sub(1, Ordering::AcqRel);
        }
        // A full mailbox refuses only this hint: the pool reads the counter at every message.
        let _ = self.pool.try_send(SlotsBack);
    }
}
