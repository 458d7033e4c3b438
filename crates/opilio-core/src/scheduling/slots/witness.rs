//! An observer that keeps its own books about the slots of one shard and says when an invariant breaks.

use super::queue::doubtful_max;
use super::{Slots, SlotsInput, SlotsOutput, Standing, Surroundings};
use crate::intake::IntakeLevel;
use crate::scheduling::invariants::SchedulingInvariant::{S7, S8};
use crate::scheduling::invariants::{SchedulingViolation, ensure};

/// Watches who is granted a slot. `T` tells hosts apart.
///
/// [`hear`](Self::hear) before each `handle`, [`see`](Self::see) for each output, [`rest`](Self::rest) when `poll`
/// gave `None`.
#[derive(Clone, Debug)]
pub struct SlotsWitness<T> {
    owned: u32,
    out: u32,
    level: IntakeLevel,
    /// In the order in which they came.
    waiting: Vec<(Standing, T)>,
    /// A host had no room: nothing is granted until something else is heard.
    refused: bool,
}

impl<T: Clone + PartialEq + std::fmt::Debug> SlotsWitness<T> {
    /// A witness of a shard with this share.
    #[must_use]
    pub fn new(share: u32) -> Self {
        Self { owned: share, out: 0, level: IntakeLevel::Full, waiting: Vec::new(), refused: false }
    }

    /// Something goes in.
    pub fn hear(&mut self, input: &SlotsInput<T>) {
        self.refused = matches!(input, SlotsInput::Refused { .. });
        match input {
            SlotsInput::Ask { standing, host } | SlotsInput::Refused { standing, host } => {
                self.waiting.push((*standing, host.clone()));
            }
            SlotsInput::Back(slots) => self.out -= slots,
            SlotsInput::More(slots) => self.owned += slots,
            SlotsInput::Intake(level) => self.level = *level,
            SlotsInput::Lend { .. } | SlotsInput::Tick => {}
        }
    }

    /// Something comes out.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn see(&mut self, output: &SlotsOutput<T>, around: Surroundings) -> Result<(), SchedulingViolation> {
        match output {
            SlotsOutput::Grant { host, .. } => {
                let next = self.next(around).map(|at| self.waiting.remove(at).1);
                ensure(next.as_ref() == Some(host), S8, || format!("{host:?} is granted one, not {next:?}"))?;
                self.out += 1;
                let (out, owned) = (self.out, self.owned);
                ensure(out <= owned, S7, || format!("{out} slots of {owned} are granted"))
            }
            SlotsOutput::Give { slots, .. } => {
                let (free, slots) = (self.owned.saturating_sub(self.out), *slots);
                ensure(slots <= free, S7, || format!("{slots} slots of {free} are given"))?;
                self.owned -= slots;
                Ok(())
            }
            SlotsOutput::AskOthers => Ok(()),
        }
    }

    /// Nothing more is to be done: no host waits that could be served, and the slots are where they should be.
    ///
    /// # Errors
    /// The invariant that does not hold.
    pub fn rest(&self, slots: &Slots<T>, around: Surroundings) -> Result<(), SchedulingViolation> {
        let (theirs, ours) = ((slots.owned(), slots.out()), (self.owned, self.out));
        ensure(theirs == ours, S7, || format!("{theirs:?} slots are owned and granted, not {ours:?}"))?;
        let next = self.next(around).filter(|_| !self.refused);
        ensure(next.is_none(), S8, || format!("{:?} waits in vain", next.map(|at| &self.waiting[at])))?;
        slots.check()
    }

    /// Who is to be served now: who came first of those that may hold one more.
    fn next(&self, around: Surroundings) -> Option<usize> {
        let usable = self.level.of(self.owned);
        if around.is_clogged || self.out >= usable || self.out >= self.owned {
            return None;
        }
        let doubtful_may = around.doubtful_out < doubtful_max(usable);
        self.waiting.iter().position(|(standing, _)| doubtful_may || *standing == Standing::Proven)
    }
}
