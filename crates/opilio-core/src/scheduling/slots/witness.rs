//! An observer that keeps its own record of one shard's slots and reports each broken invariant.

use super::queue::doubtful_max;
use super::{Slots, SlotsInput, SlotsOutput, Standing, Surroundings};
use crate::intake::IntakeLevel;
use crate::scheduling::invariants::SchedulingInvariant::{S7, S8};
use crate::scheduling::invariants::{SchedulingViolation, ensure};

/// Checks to which hosts slots are granted: no slot is created or lost (invariant S7), and slots are granted in order
/// of arrival, but never all to doubtful hosts (invariant S8). `T` is the type that identifies a host.
///
/// Call [`hear`](Self::hear) before each `handle`, [`see`](Self::see) for each output, and
/// [`rest`](Self::rest) after `poll` has returned `None`.
#[derive(Clone, Debug)]
pub struct SlotsWitness<T> {
    owned: u32,
    out: u32,
    level: IntakeLevel,
    /// The hosts that wait for a slot, in order of arrival.
    waiting: Vec<(Standing, T)>,
    /// Whether a host could not use its slot, so that no slot is granted until the next input.
    refused: bool,
}

impl<T: Clone + PartialEq + std::fmt::Debug> SlotsWitness<T> {
    /// Creates a witness for a shard with this share of the slots.
    #[must_use]
    pub fn new(share: u32) -> Self {
        Self { owned: share, out: 0, level: IntakeLevel::Full, waiting: Vec::new(), refused: false }
    }

    /// Records an input.
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

    /// Checks an output.
    ///
    /// # Errors
    /// When an invariant is broken.
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

    /// Checks the end of a round: no host is waiting that could be served, and the numbers of slots add up.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn rest(&self, slots: &Slots<T>, around: Surroundings) -> Result<(), SchedulingViolation> {
        let (theirs, ours) = ((slots.owned(), slots.out()), (self.owned, self.out));
        ensure(theirs == ours, S7, || format!("{theirs:?} slots are owned and granted, not {ours:?}"))?;
        let next = self.next(around).filter(|_| !self.refused);
        ensure(next.is_none(), S8, || format!("{:?} waits in vain", next.map(|at| &self.waiting[at])))?;
        slots.check()
    }

    /// Returns the index in `waiting` of the next host to serve: the first host that may get a slot.
    fn next(&self, around: Surroundings) -> Option<usize> {
        let usable = self.level.of(self.owned);
        if around.is_clogged || self.out >= usable || self.out >= self.owned {
            return None;
        }
        let doubtful_may = around.doubtful_out < doubtful_max(usable);
        self.waiting.iter().position(|(standing, _)| doubtful_may || *standing == Standing::Proven)
    }
}
