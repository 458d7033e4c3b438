//! Records whether a host can be reached at all, to state the right reason when its URLs end, and to report
//! events.

use serde::{Deserialize, Serialize};

use super::message::HostEvent;
use crate::outcome::{Outcome, Reason};

/// The facts that a host's answers have shown so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Contact {
    /// Whether the host has answered.
    pub(super) answered: bool,
    /// The reason why the host's robots.txt could not be fetched the last time. Used only if the host has
    /// never answered.
    pub(super) unmet: Option<Reason>,
    /// The number of 401 and 403 answers in a row, up to the number at which an event is reported.
    forbidden: u8,
}

impl Contact {
    pub(super) fn restored(answered: bool, unmet: Option<Reason>) -> Self {
        Self { answered, unmet, forbidden: 0 }
    }

    /// Returns the reason with which URLs end that were never requested. If the host never answered, it is
    /// the reason why the host could not be reached; otherwise it is `HostClosed`.
    pub(super) fn closed_reason(&self) -> Reason {
        self.unmet.filter(|_| !self.answered).unwrap_or(Reason::HostClosed)
    }

    /// Records whether an outcome was an answer.
    pub(super) fn note(&mut self, outcome: Outcome) {
        self.answered |= !matches!(outcome, Outcome::Failed(_));
    }

    /// Counts 401 and 403 answers in a row. Returns an event when there are `worth_telling` of them for the
    /// first time.
    pub(super) fn count_forbidden(&mut self, outcome: Outcome, worth_telling: u8) -> Option<HostEvent> {
        if self.forbidden >= worth_telling {
            return None;
        }
        let forbidden = matches!(outcome, Outcome::Answered(401 | 403));
        self.forbidden = if forbidden { self.forbidden + 1 } else { 0 };
        (self.forbidden == worth_telling).then_some(HostEvent::Forbidden { in_a_row: worth_telling.into() })
    }
}
