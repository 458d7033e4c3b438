//! The future events in the simulation of one host, in the order of time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use opilio_core::{Attempts, Timestamp};

use super::server::Reaction;

/// An event that happens to a host or to one of its requests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    Wake,
    Grant,
    Arrive { lease: u64, attempt: u16 },
    ArriveRules { scheme: u8 },
    Settle { url: u32 },
    Assign { url: u32, attempts: Attempts },
    Feed,
}

/// An answer that the server has sent and that has not arrived at the crawler yet.
pub(super) enum Letter {
    Report { lease: u64, attempt: u16, fate: Reaction },
    Rules { scheme: u8, fate: Reaction },
}

/// The event or the answer that comes next.
pub(super) enum NextHappening {
    Event(Event),
    Letter(Letter),
}

/// The current time, and all future events and answers.
pub(super) struct Timeline {
    pub(super) now: Timestamp,
    events: BinaryHeap<Reverse<(Timestamp, u32, Event)>>,
    letters: BTreeMap<(Timestamp, u32), Letter>,
    /// The number of events and answers planned so far. If several are planned for the same time, the one that was
    /// planned first comes first.
    order: u32,
    /// The time at which the earliest timer in `events` fires, or `None` if no timer is set.
    wake: Option<Timestamp>,
}

impl Timeline {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { now, events: BinaryHeap::new(), letters: BTreeMap::new(), order: 0, wake: None }
    }

    pub(super) fn plan(&mut self, at: Timestamp, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    pub(super) fn send(&mut self, at: Timestamp, letter: Letter) {
        self.order += 1;
        self.letters.insert((at, self.order), letter);
    }

    /// Sets a timer, unless a timer is set that fires earlier.
    pub(super) fn set_timer(&mut self, at: Timestamp) {
        if self.wake.is_none_or(|wake| at < wake) {
            self.wake = Some(at);
            self.plan(at, Event::Wake);
        }
    }

    /// Removes all answers to requests for slots (rights to start a fetch), because the actor that asked for the
    /// slots has stopped.
    pub(super) fn drop_grants(&mut self) {
        self.events.retain(|Reverse((.., event))| *event != Event::Grant);
    }

    /// Advances the time to the next event or answer, and returns it. If both have the same time, the answer comes
    /// first.
    pub(super) fn advance(&mut self) -> Option<NextHappening> {
        let event = self.events.peek().map(|Reverse((at, ..))| *at);
        let letter = self.letters.first_key_value().map(|((at, _), _)| *at);
        let at = event.into_iter().chain(letter).min()?;
        self.now = self.now.max(at);
        if letter == Some(at) {
            return self.letters.pop_first().map(|(_, letter)| NextHappening::Letter(letter));
        }
        let Reverse((_, _, event)) = self.events.pop()?;
        if event == Event::Wake && self.wake == Some(at) {
            self.wake = None;
        }
        Some(NextHappening::Event(event))
    }
}
