//! Decides who is granted a slot: the right to be one of the fetches of the whole crawl that are in flight.
//!
//! Each shard has a share of the slots. A shard whose hosts wait asks the others, which give their unused
//! slots. A shard that needs its own share again asks in turn, and gets it as the borrowed slots come back.
//! So no slot is ever made or lost. Hosts wait in one line ([`Standing`]).

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

/// The inputs of a shard's slots; `T` identifies who waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SlotsInput<T> {
    /// A host could start a fetch now.
    Ask {
        /// The host's standing.
        standing: Standing,
        /// The host.
        host: T,
    },
    /// A host could not accept its granted slot now. The slot comes back by itself.
    Refused {
        /// The host's standing.
        standing: Standing,
        /// The host.
        host: T,
    },
    /// This many slots have come back.
    Back(u32),
    /// Another shard gave this many slots.
    More(u32),
    /// Another shard has hosts that wait.
    Lend {
        /// Its number.
        to: usize,
    },
    /// The intake level from now on.
    Intake(IntakeLevel),
    /// The time of [`wake_at`](Slots::wake_at) has come.
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
    },
    /// Give slots to another shard.
    Give {
        /// Its number.
        to: usize,
        /// The number of slots.
        slots: u32,
    },
    /// Ask the other shards for slots.
    AskOthers,
}

/// The state around the slots at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Surroundings {
    /// The results of fetches are not accepted at the moment, so nothing is to start.
    pub is_clogged: bool,
    /// Slots held by doubtful hosts.
    pub doubtful_out: u32,
}

/// The slots of one shard.
///
/// The contract is that of a host's state: one [`handle`](Self::handle), then [`poll`](Self::poll) until `None`, then a
/// timer for [`wake_at`](Self::wake_at).
#[derive(Debug)]
pub struct Slots<T> {
    free: u32,
    /// The shard's own share, and the slots that it has now; the excess is borrowed.
    share: u32,
    owned: u32,
    /// The shard to which borrowed slots are owed, and how many.
    debt: Option<(usize, u32)>,
    /// Slots on their way to other shards.
    gifts: VecDeque<(usize, u32)>,
    waiting: SlotQueue<T>,
    /// How many of the slots the memory limit allows.
    level: IntakeLevel,
    /// A host could not accept a slot, so nothing more is granted in this round.
    refused: bool,
    /// When to look again at hosts that could not be served.
    look_at: Option<Timestamp>,
    planted: Planted,
}

impl<T> Slots<T> {
    /// A shard with this share of the crawl's slots.
    #[must_use]
    pub fn new(share: u32) -> Self {
        Self {
            free: share,
            share,
            owned: share,
            debt: None,
            gifts: VecDeque::new(),
            waiting: SlotQueue::default(),
            level: IntakeLevel::Full,
            refused: false,
            look_at: None,
            planted: Planted::default(),
        }
    }

    /// Takes in one input.
    pub fn handle(&mut self, input: SlotsInput<T>) {
        self.refused = matches!(input, SlotsInput::Refused { .. });
        match input {
            SlotsInput::Ask { standing, host } | SlotsInput::Refused { standing, host } => {
                self.waiting.push(standing, host);
            }
            // Owed slots are given back before any is granted.
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
                // A shard that asks for its own share gets it as soon as the borrowed slots come back.
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

    /// The next output, or `None` if there is none at this instant.
    pub fn poll(&mut self, now: Timestamp, around: Surroundings) -> Option<SlotsOutput<T>> {
        if let Some((to, slots)) = self.gifts.pop_front() {
            return Some(SlotsOutput::Give { to, slots });
        }
        if self.free > 0 && !around.is_clogged && !self.refused {
            let usable = self.level.of(self.owned);
            if self.out() >= usable {
                // Memory allows no more; a returned slot or another level leads here again.
                return None;
            }
            let max = if self.planted.has(Bug::DoubtfulTakeAll) { usable } else { doubtful_max(usable) };
            if let Some((standing, host)) = self.waiting.pop(max, around.doubtful_out) {
                self.free -= 1;
                return Some(SlotsOutput::Grant { standing, host });
            }
        }
        if self.waiting.is_empty() || self.look_at.is_some() || self.level == IntakeLevel::Paused {
            return None;
        }
        self.look_at = Some(now + if around.is_clogged { CLOGGED } else { STARVED });
        (!around.is_clogged).then_some(SlotsOutput::AskOthers)
    }

    /// When to call again if no input comes before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Timestamp> {
        self.look_at
    }

    /// Slots that the shard has now.
    #[must_use]
    pub fn owned(&self) -> u32 {
        self.owned
    }

    /// Granted slots.
    #[must_use]
    pub fn out(&self) -> u32 {
        self.owned.saturating_sub(self.free)
    }

    /// Checks the invariants that are visible from inside.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), SchedulingViolation> {
        let owed = self.debt.map_or(0, |(_, owed)| owed);
        ensure(self.free <= self.owned, S7, || format!("{} of {} are free", self.free, self.owned))?;
        ensure(owed <= self.owned, S7, || format!("{owed} of {} are owed", self.owned))
    }

    /// Gives owed slots back, as far as slots are free.
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

    /// Plants a bug.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}

/// After this time a shard without slots asks the others again.
const STARVED: Duration = Duration::from_millis(20);
/// After this time it checks again whether results are accepted.
const CLOGGED: Duration = Duration::from_millis(1);
