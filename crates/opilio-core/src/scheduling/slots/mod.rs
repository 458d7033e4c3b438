//! Decides which host is granted a slot. A slot is the right to one fetch, and the number of slots is the
//! most fetches that the whole crawl may have in flight.
//!
//! Each shard has a share of the slots. If hosts of a shard wait for slots, the shard asks the other shards,
//! which give it their unused slots. A shard that needs its own share again asks for it, and gets it when the
//! borrowed slots come back. So no slot is ever created or lost. The hosts of a shard wait in one queue
//! ([`Standing`]).

mod queue;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::VecDeque;
use std::time::Duration;

use super::invariants::SchedulingInvariant::S7;
use super::invariants::{SchedulingViolation, ensure};
use super::sabotage::{Planted, SchedulingBug as Bug};
use crate::intake::IntakeLevel;
use crate::time::Timestamp;
pub use queue::Standing;
use queue::{SlotQueue, doubtful_max};
pub use witness::SlotsWitness;

/// The inputs of a shard's slots; `T` is the type that identifies a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotsInput<T> {
    /// A host could start a fetch now and asks for a slot.
    Ask {
        /// The host's standing.
        standing: Standing,
        /// The host.
        host: T,
    },
    /// A host was granted a slot and could not use it now. The slot comes back in a separate `Back`.
    Refused {
        /// The host's standing.
        standing: Standing,
        /// The host.
        host: T,
    },
    /// This many slots have come back from hosts.
    Back(u32),
    /// Another shard gave this many slots.
    More(u32),
    /// Another shard asks for slots, since some of its hosts are waiting.
    Lend {
        /// The other shard's number.
        to: usize,
    },
    /// The intake level that applies from now on.
    Intake(IntakeLevel),
    /// The time that [`wake_at`](Slots::wake_at) returned has come.
    Tick,
}

/// The outputs of a shard's slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotsOutput<T> {
    /// Grant a slot to a host.
    Grant {
        /// The host's standing.
        standing: Standing,
        /// The host.
        host: T,
        /// True if slots are short: other hosts wait, and each free slot is needed for one of them.
        is_short: bool,
    },
    /// Give slots to another shard.
    Give {
        /// The other shard's number.
        to: usize,
        /// The number of slots.
        slots: u32,
    },
    /// Ask the other shards for slots.
    AskOthers,
}

/// The state of the rest of the shard, as far as the slots need it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Surroundings {
    /// Whether the results of fetches are not accepted at the moment, so that no fetch may start.
    pub is_clogged: bool,
    /// How many slots doubtful hosts hold at the moment.
    pub doubtful_out: u32,
}

/// The slots of one shard.
///
/// Its functions are called as those of a host's state: [`handle`](Self::handle) once for an input, then
/// [`poll`](Self::poll) until it returns `None`; then the caller sets a timer for [`wake_at`](Self::wake_at).
#[derive(Debug)]
pub struct Slots<T> {
    free: u32,
    /// The number of slots that belong to the shard. The next field counts the slots that it has now; those
    /// beyond its share are borrowed.
    share: u32,
    owned: u32,
    /// The shard that asked for slots and gets them as soon as they are free, with the number of slots that
    /// it still gets.
    debt: Option<(usize, u32)>,
    /// Slots that the next outputs give to other shards: the number of the shard, and the number of slots.
    gifts: VecDeque<(usize, u32)>,
    waiting: SlotQueue<T>,
    /// The intake level, which says what part of the slots the memory limit allows to be used.
    level: IntakeLevel,
    /// Whether a host could not use its slot. No more slots are then granted until the next input.
    refused: bool,
    /// The time at which to try again to serve the waiting hosts.
    look_at: Option<Timestamp>,
    planted: Planted,
}

impl<T: PartialEq> Slots<T> {
    /// Creates the slots of a shard with this share of the crawl's slots. Of the hosts that wait, at most
    /// `connected_max` count as connected: so many idle connections must stay open at least.
    #[must_use]
    pub fn new(share: u32, connected_max: usize) -> Self {
        Self {
            free: share,
            share,
            owned: share,
            debt: None,
            gifts: VecDeque::new(),
            waiting: SlotQueue::new(connected_max),
            level: IntakeLevel::Full,
            refused: false,
            look_at: None,
            planted: Planted::default(),
        }
    }

    /// Updates the state by one input.
    pub fn handle(&mut self, input: SlotsInput<T>) {
        self.refused = matches!(input, SlotsInput::Refused { .. });
        match input {
            SlotsInput::Ask { standing, host } | SlotsInput::Refused { standing, host } => {
                self.waiting.push(standing, host);
            }
            // Slots that another shard has asked for are given away before any slot is granted.
            SlotsInput::Back(slots) => {
                self.free += slots;
                self.pay();
            }
            SlotsInput::More(slots) => {
                self.free += slots;
                self.owned += slots;
                self.pay();
            }
            SlotsInput::Lend { to } if self.waiting.is_empty() => self.give(to, self.free),
            SlotsInput::Lend { to } => {
                // The asking shard also gets the borrowed slots that are still in use, as soon as they come
                // back.
                let borrowed = self.owned.saturating_sub(self.share);
                if borrowed > 0 {
                    self.debt = Some((to, borrowed));
                    self.pay();
                }
            }
            SlotsInput::Intake(level) => self.level = level,
            SlotsInput::Tick => self.look_at = None,
        }
        if !self.planted.is_sabotaged() {
            debug_assert_eq!(self.check(), Ok(()));
        }
    }

    /// Returns the next output, or `None` if nothing is to be done now.
    pub fn poll(&mut self, now: Timestamp, around: Surroundings) -> Option<SlotsOutput<T>> {
        if let Some((to, slots)) = self.gifts.pop_front() {
            return Some(SlotsOutput::Give { to, slots });
        }
        if self.free > 0 && !around.is_clogged && !self.refused {
            let usable = self.level.of(self.owned);
            if self.out() >= usable {
                // The memory limit allows no more slots to be used, until a slot comes back or the intake level
                // changes.
                return None;
            }
            let max = if self.planted.has(Bug::DoubtfulTakeAll) { usable } else { doubtful_max(usable) };
            if let Some((standing, host)) = self.waiting.pop(max, around.doubtful_out) {
                self.free -= 1;
                let left = self.free.min(usable - self.out()) as usize;
                let is_short = !self.waiting.is_empty() && self.waiting.len() >= left;
                return Some(SlotsOutput::Grant { standing, host, is_short });
            }
        }
        if self.waiting.is_empty() || self.look_at.is_some() || self.level == IntakeLevel::Paused {
            return None;
        }
        self.look_at = Some(now + if around.is_clogged { CLOGGED } else { STARVED });
        (!around.is_clogged).then_some(SlotsOutput::AskOthers)
    }

    /// Returns the time at which to pass a `Tick`, if no other input comes before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.look_at
    }

    /// Returns how many slots the shard has now, including the slots granted to hosts.
    #[must_use]
    pub fn owned(&self) -> u32 {
        self.owned
    }

    /// Returns how many slots are granted to hosts.
    #[must_use]
    pub fn out(&self) -> u32 {
        self.owned.saturating_sub(self.free)
    }

    /// Checks the invariants that the state alone can show.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), SchedulingViolation> {
        let owed = self.debt.map_or(0, |(_, owed)| owed);
        ensure(self.free <= self.owned, S7, || format!("{} of {} are free", self.free, self.owned))?;
        ensure(owed <= self.owned, S7, || format!("{owed} of {} are owed", self.owned))
    }

    /// Gives the free slots to the shard that still gets some.
    fn pay(&mut self) {
        if let Some((to, owed)) = self.debt.take() {
            let paid = owed.min(self.free);
            self.give(to, paid);
            self.debt = (paid < owed).then(|| (to, owed - paid));
        }
    }

    fn give(&mut self, to: usize, slots: u32) {
        if slots > 0 {
            self.free -= slots - u32::from(self.planted.has(Bug::KeepGivenSlot));
            self.owned -= slots;
            self.gifts.push_back((to, slots));
        }
    }

    /// Plants a bug, which the witness must find.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}

/// How long a shard without free slots waits before it asks the other shards again.
const STARVED: Duration = Duration::from_millis(20);
/// How long a shard waits before it checks again whether the results of fetches are accepted.
const CLOGGED: Duration = Duration::from_millis(1);
