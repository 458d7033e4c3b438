//! The saved states of hosts (memos) that the store is to keep, and the passive hosts that wait for a
//! confirmation.

use std::collections::HashMap;

use bytes::Bytes;

use super::Stamp;
use crate::name::Host;

/// The memos that the store does not have yet, and the passive hosts that are not yet told that their memo is
/// kept.
#[derive(Debug, Default)]
pub(super) struct Memos {
    waiting: HashMap<Host, Bytes>,
    /// Passive hosts that are not told yet, in three lists: those whose memo is not yet passed to the store
    /// (`leaving`), is being stored (`with_store`), or is stored (`kept`).
    leaving: Vec<(Host, Stamp)>,
    with_store: Vec<(Host, Stamp)>,
    kept: Vec<(Host, Stamp)>,
}

impl Memos {
    pub(super) fn remember(&mut self, host: Host, memo: Bytes) {
        self.waiting.insert(host, memo);
    }

    pub(super) fn passivated(&mut self, host: Host, memo: Bytes, stamp: Stamp, too_early: bool) {
        self.waiting.insert(host.clone(), memo);
        let list = if too_early { &mut self.kept } else { &mut self.leaving };
        list.push((host, stamp));
    }

    pub(super) fn take(&mut self) -> Vec<(Host, Bytes)> {
        self.with_store.append(&mut self.leaving);
        self.waiting.drain().collect()
    }

    pub(super) fn kept(&mut self) {
        self.kept.append(&mut self.with_store);
    }

    pub(super) fn confirmed(&mut self) -> Vec<(Host, Stamp)> {
        std::mem::take(&mut self.kept)
    }

    /// Whether `waiting` has a memo of every host in `leaving`. Part of the invariant S4: no host is told that its
    /// memo is kept before the store has kept it.
    pub(super) fn are_told_after(&self) -> bool {
        self.leaving.iter().all(|(host, _)| self.waiting.contains_key(host))
    }
}
