//! A slot: the right to start one fetch. It is a value that returns to its pool when it is dropped, so no slot can
//! get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::Recipient;
use opilio_core::scheduling::Standing;

use super::SlotsBack;

/// One slot of a pool. The pool gives the slot to a host, and the host sends it along with a fetch. The slot returns
/// to the pool when it is dropped: when the fetch ends or panics, or when the host does not need the slot or panics.
pub(crate) struct Slot {
    back: Arc<AtomicU32>,
    /// Set if the host of the slot is doubtful: the number of slots that doubtful hosts hold, this slot included.
    doubtful: Option<Arc<AtomicU32>>,
    pool: Recipient<SlotsBack>,
}

/// Counts the slots that have come back since the last call of `take`, and the slots that doubtful hosts hold.
#[derive(Default)]
pub(crate) struct Returned {
    back: Arc<AtomicU32>,
    /// The number of slots that doubtful hosts hold now.
    doubtful: Arc<AtomicU32>,
}

impl Returned {
    /// Makes a slot for a host. When the slot is dropped, it counts here as returned.
    pub(crate) fn slot(&self, standing: Standing, pool: Recipient<SlotsBack>) -> Slot {
        let doubtful = (standing == Standing::Doubtful).then(|| self.doubtful.clone());
        if let Some(out) = &doubtful {
            out.fetch_add(1, Ordering::AcqRel);
        }
        Slot { back: self.back.clone(), doubtful, pool }
    }

    /// Returns how many slots have come back since the last call, and sets this count to 0.
    pub(crate) fn take(&self) -> u32 {
        self.back.swap(0, Ordering::AcqRel)
    }

    /// Returns how many slots doubtful hosts hold.
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
        // A full mailbox refuses only this message. The slot is not lost, because the pool reads the counter at
        // every message.
        let _ = self.pool.try_send(SlotsBack);
    }
}
