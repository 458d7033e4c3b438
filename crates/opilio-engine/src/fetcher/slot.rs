//! The right to be one of those in flight, as a value that cannot get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use actix::Recipient;

use crate::message::SlotsBack;

/// One slot of a pool. It travels from the pool to a host and with its fetch, and comes back when it
/// is dropped: by a fetch that ended or panicked, by a host that did not need it or died.
pub(crate) struct Slot {
    back: Arc<AtomicU32>,
    pool: Recipient<SlotsBack>,
}

impl Slot {
    pub(crate) fn new(back: Arc<AtomicU32>, pool: Recipient<SlotsBack>) -> Self {
        Self { back, pool }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.back.fetch_add(1, Ordering::AcqRel);
        // A full mailbox loses only the hint: the pool looks at the counter at every message.
        let _ = self.pool.try_send(SlotsBack);
    }
}
