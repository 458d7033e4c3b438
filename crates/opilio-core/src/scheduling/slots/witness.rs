//! An observer that keeps its own record of one shard's slots and reports each broken invariant.

use super::queue::{CONNECTED_IN_A_ROW, doubtful_max};
use super::{Slots, SlotsInput, SlotsOutput, Standing, Surroundings};
use crate::intake::IntakeLevel;
use crate::scheduling::invariants::SchedulingInvariant::{S7, S8};
use crate::scheduling::invariants::{SchedulingViolation, ensure};

/// Checks to which hosts slots are granted: no slot is created or lost (invariant S7), and slots are granted in order
/// of arrival, to connected hosts first but never to too many of them in a row, and never all to doubtful hosts
/// (invariant S8). `T` is the type that identifies a host.
///
/// Call [`hear`](Self::hear) before each `handle`, [`see`](Self::see) for each output, and
/// [`rest`](Self::rest) after `poll` has returned `None`.
#[derive(Clone, Debug)]
pub struct SlotsWitness<T> {
    owned: u32,
    out: u32,
    level: IntakeLevel,
    /// The most hosts that count as connected.
    connected_max: usize,
    /// The hosts that wait for a slot, in order of arrival.
    waiting: Vec<(Waits, T)>,
    /// How many connected hosts were served since another host was.
    in_a_row: u32,
    /// Whether a host could not use its slot, so that no slot is granted until the next input.
    refused: bool,
}

/// How a host waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Waits {
    As(Standing),
    /// The host came as a connected one, and so many came after it that it does not count as one any more.
    Overtaken,
}

const CONNECTED: Waits = Waits::As(Standing::Connected);
const PROVEN: Waits = Waits::As(Standing::Proven);
const DOUBTFUL: Waits = Waits::As(Standing::Doubtful);

impl<T: Clone + PartialEq + std::fmt::Debug> SlotsWitness<T> {
    /// Creates a witness for a shard with this share of the slots, of whose waiting hosts at most `connected_max` count
    /// as connected.
    #[must_use]
    pub fn new(share: u32, connected_max: usize) -> Self {
        Self {
            owned: share,
            out: 0,
            level: IntakeLevel::Full,
            connected_max,
            waiting: Vec::new(),
            in_a_row: 0,
            refused: false,
        }
    }

    /// Records an input.
    pub fn hear(&mut self, input: &SlotsInput<T>) {
        self.refused = matches!(input, SlotsInput::Refused { .. });
        match input {
            SlotsInput::Ask { standing, host } | SlotsInput::Refused { standing, host } => {
                if *standing == Standing::Connected {
                    self.waiting.retain(|(at, other)| *at != PROVEN || other != host);
                }
                self.waiting.push((Waits::As(*standing), host.clone()));
                let mut connected: Vec<_> =
                    self.waiting.iter_mut().filter(|(at, _)| *at == CONNECTED).collect();
                if connected.len() > self.connected_max {
                    connected[0].0 = Waits::Overtaken;
                }
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
            SlotsOutput::Grant { host, standing, is_short } => {
                let next = self.next(around).map(|at| self.waiting.remove(at).1);
                ensure(next.as_ref() == Some(host), S8, || format!("{host:?} is granted one, not {next:?}"))?;
                self.in_a_row = if *standing == Standing::Connected { self.in_a_row + 1 } else { 0 };
                self.out += 1;
                let (out, owned) = (self.out, self.owned);
                ensure(out <= owned, S7, || format!("{out} slots of {owned} are granted"))?;
                let (left, waiting) = (self.level.of(owned).saturating_sub(out), self.waiting.len());
                let short = waiting > 0 && waiting >= left as usize;
                ensure(*is_short == short, S8, || {
                    format!("slots are short: {short}, {host:?} hears {is_short}")
                })
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

    /// Returns the waiting hosts with this standing.
    #[cfg(test)]
    pub(super) fn waiting(&self, standing: Standing) -> Vec<T> {
        self.waiting
            .iter()
            .filter(|(at, _)| *at == Waits::As(standing))
            .map(|(_, host)| host.clone())
            .collect()
    }

    /// Returns the index in `waiting` of the next host to serve: the first host that may get a slot.
    fn next(&self, around: Surroundings) -> Option<usize> {
        let usable = self.level.of(self.owned);
        if around.is_clogged || self.out >= usable || self.out >= self.owned {
            return None;
        }
        let doubtful_may = around.doubtful_out < doubtful_max(usable);
        let connected = self.waiting.iter().position(|(at, _)| *at == CONNECTED);
        let may = |at| at != CONNECTED && (doubtful_may || at != DOUBTFUL);
        let others = self.waiting.iter().position(|(at, _)| may(*at));
        match self.in_a_row < CONNECTED_IN_A_ROW {
            true => connected.or(others),
            false => others.or(connected),
        }
    }
}
