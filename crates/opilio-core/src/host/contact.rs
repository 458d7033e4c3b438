//! Whether a host can be reached at all, for the reasons and the events that people read.

use super::message::HostEvent;
use crate::outcome::{Outcome, Reason};

/// What a host's answers have shown in this run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    /// Whether the host has answered.
    pub(super) answered: bool,
    /// Why its rules could not be fetched the last time, while it has never answered.
    pub(super) unmet: Option<Reason>,
    /// 401 and 403 in a row, up to the number that is worth an event.
    forbidden: u8,
}

impl Contact {
    pub(super) fn restored(answered: bool, unmet: Option<Reason>) -> Self {
        Self { answered, unmet, forbidden: 0 }
    }

    /// The reason given for URLs that were never tried: why the host could not be reached, if it never answered.
    pub(super) fn closed_reason(&self) -> Reason {
        self.unmet.filter(|_| !self.answered).unwrap_or(Reason::HostClosed)
    }

    /// Takes in whether an outcome was an answer.
    pub(super) fn note(&mut self, outcome: Outcome) {
        self.answered |= !matches!(outcome, Outcome::Failed(_));
    }

    /// Counts 401 and 403 in a row; returns the event that they are worth, once.
    pub(super) fn count_forbidden(&mut self, outcome: Outcome, worth_telling: u8) -> Option<HostEvent> {
        if self.forbidden >= worth_telling {
            return None;
        }
        let forbidden = matches!(outcome, Outcome::Answered(401 | 403));
        self.forbidden = if forbidden { self.forbidden + 1 } else { 0 };
        (self.forbidden == worth_telling).then_some(HostEvent::Forbidden { in_a_row: worth_telling.into() })
    }
}
