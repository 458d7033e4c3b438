//! The right to be one of those in flight, as a value that cannot get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::Recipient;

use crate::message::SlotsBack;

/// One slot of a pool. It travels from the pool to a host and with its fetch, and comes back when it
/// is dropped: by a fetch that ended or panicked, by a host that did not need it or died.
pub(crate) struct Slot {
    back: Arc<AtomicU32>,
    /// Slots that doubtful hosts hold, this one included, if its host is one.
    doubtful: Option<Arc<AtomicU32>>,
    pool: Recipient<SlotsBack>,
}

impl Slot {
    /// `doubtful` counts those of doubtful hosts, for a host that is one.
    pub(crate) fn new(
        back: Arc<AtomicU32>,
        pool: Recipient<SlotsBack>,
        doubtful: Option<Arc<AtomicU32>>,
    ) -> Self {
        if let Some(out) = &doubtful {
            out.fetch_add(1, Ordering::AcqRel);
        }
        Self { back, doubtful, pool }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.back.fetch_add(1, Ordering::AcqRel);
        if let Some(out) = &self.doubtful {
            out.fetch_sub(1, Ordering::AcqRel);
        }
        // A full mailbox loses only the hint: the pool looks at the counter at every message.
        let _ = self.pool.try_send(SlotsBack);
    }
}
