//! Hosts in the order in which they came. A host that leaves its place costs no search.

use std::collections::VecDeque;

use crate::name::Host;

/// The number of a place in a line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ticket(u64);

/// Hosts in a line. A place counts for as long as its host bears its ticket; others are passed over, and
/// removed when they are many.
#[derive(Debug, Default)]
pub(super) struct Line {
    places: VecDeque<(Ticket, Host)>,
    next: u64,
}

impl Line {
    pub(super) fn push(&mut self, host: Host) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.places.push_back((ticket, host));
        ticket
    }

    pub(super) fn pop(&mut self) -> Option<(Ticket, Host)> {
        self.places.pop_front()
    }

    /// Takes all places out; those that stay are [kept](Self::keep) in their order.
    pub(super) fn take(&mut self) -> Vec<(Ticket, Host)> {
        std::mem::take(&mut self.places).into()
    }

    pub(super) fn keep(&mut self, ticket: Ticket, host: Host) {
        self.places.push_back((ticket, host));
    }

    /// Removes places that do not count once they are more than half of all; `valid` is how many count at most.
    pub(super) fn tidy(&mut self, valid: usize, counts: impl Fn(Ticket, &Host) -> bool) {
        if self.places.len() > 2 * valid + FEW {
            self.places.retain(|(ticket, host)| counts(*ticket, host));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Ticket, &Host)> {
        self.places.iter().map(|(ticket, host)| (*ticket, host))
    }

    pub(super) fn holds(&self, ticket: Ticket, host: &Host) -> bool {
        self.places.iter().any(|(other, whose)| *other == ticket && whose == host)
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.places.iter().is_sorted_by(|(one, _), (next, _)| one < next)
    }
}

/// So few places are not worth a look.
const FEW: usize = 64;
