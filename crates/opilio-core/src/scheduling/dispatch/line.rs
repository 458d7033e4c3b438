//! A queue of hosts in order of arrival. If a host leaves the queue early, its place is not searched for: the
//! place stays in the queue and just becomes invalid.

use std::collections::VecDeque;

use crate::name::Host;

/// The number of a place in a queue of hosts. Later places have greater numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TurnNumber(u64);

/// A queue of hosts. A place is valid as long as the owner of the queue has recorded the place's number for
/// its host. Invalid places are skipped, and are removed once there are many.
#[derive(Debug, Default)]
pub(super) struct HostLine {
    places: VecDeque<(TurnNumber, Host)>,
    next: u64,
}

impl HostLine {
    pub(super) fn push(&mut self, host: Host) -> TurnNumber {
        let number = TurnNumber(self.next);
        self.next += 1;
        self.places.push_back((number, host));
        number
    }

    pub(super) fn pop(&mut self) -> Option<(TurnNumber, Host)> {
        self.places.pop_front()
    }

    /// Removes and returns all places. The caller puts the places that stay [back](Self::keep), in the same
    /// order.
    pub(super) fn take(&mut self) -> Vec<(TurnNumber, Host)> {
        std::mem::take(&mut self.places).into()
    }

    pub(super) fn keep(&mut self, number: TurnNumber, host: Host) {
        self.places.push_back((number, host));
    }

    /// Removes the invalid places if they are more than half of all. `valid` is an upper limit of the number
    /// of valid places, and `counts` tells whether a place is valid.
    pub(super) fn tidy(&mut self, valid: usize, counts: impl Fn(TurnNumber, &Host) -> bool) {
        if self.places.len() > 2 * valid + FEW {
            self.places.retain(|(number, host)| counts(*number, host));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TurnNumber, &Host)> {
        self.places.iter().map(|(number, host)| (*number, host))
    }

    pub(super) fn holds(&self, number: TurnNumber, host: &Host) -> bool {
        self.places.iter().any(|(other, whose)| *other == number && whose == host)
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.places.iter().is_sorted_by(|(one, _), (next, _)| one < next)
    }
}

/// How many places, beyond twice the number of valid places, the queue may have before invalid places are
/// removed.
const FEW: usize = 64;
