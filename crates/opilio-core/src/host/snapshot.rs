//! A host's state at one moment, for people, and for the observer that checks invariants in tests.

use std::time::Duration;

use super::demand::SlotRequest;
use super::hold::Door;
use super::message::{HoldReason, ParkReason};
use super::state::HostState;
use crate::time::Timestamp;

/// A host's state at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// The number of leases that may start as soon as the gate allows.
    pub ready: usize,
    /// The number of leases whose retry is not due yet.
    pub waiting: usize,
    /// The number of requests in flight: attempts at leases, and fetches of robots.txt.
    pub in_flight: usize,
    /// The most requests that may be in flight: the limit of the policy, or less for a while after a hold if
    /// the spacing is very short.
    pub in_flight_cap: usize,
    /// The number of leases that were handed on to the spider and are not settled by the store yet.
    pub parsed: usize,
    /// The end of the latest hold, which may be over, and its reason.
    pub hold: Option<(Timestamp, HoldReason)>,
    /// Whether all starts are allowed once the hold is over; if not, a probe has to be answered first.
    pub door_open: bool,
    /// The end of the park and its reason, if the host is parked.
    pub parked: Option<(Timestamp, ParkReason)>,
    /// The strikes: closings in a row, halved by each success.
    pub strikes: u32,
    /// The time that must lie between two starts at present; zero if the pace is not limited.
    pub spacing: Duration,
    /// The time when the next start will be possible; `None` if it depends on an event, such as the report of
    /// a request in flight.
    pub next_start: Option<Timestamp>,
    /// Whether a slot was asked for and not granted yet.
    pub slot_asked: bool,
    /// The pace learnt from refusals, in starts per second.
    pub learnt_per_second: Option<f64>,
    /// How many requests are left of an announced quota.
    pub quota_left: Option<u32>,
}

/// The numbers that one host adds to the counts of the whole crawl.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostLoad {
    /// Whether the host is held.
    pub is_held: bool,
    /// The number of requests in flight.
    pub in_flight: u32,
    /// The number of requests in flight, plus the number of leases that were handed on to the spider and are
    /// not settled by the store yet.
    pub under_way: u32,
}

impl HostState {
    /// Returns a copy of the host's counts and times at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HostSnapshot {
        HostSnapshot {
            ready: self.leases.ready().len(),
            waiting: self.leases.waiting().len(),
            in_flight: self.in_flight(),
            in_flight_cap: self.in_flight_cap(),
            parsed: self.leases.parsed().len(),
            hold: (self.hold.until() > Timestamp::EPOCH).then(|| (self.hold.until(), self.hold.until_reason)),
            door_open: self.hold.door == Door::Open,
            parked: self.parked.map(|park| (park.until, park.reason)),
            strikes: u32::from(self.hold.strikes),
            spacing: self.pacing.spacing().duration(),
            next_start: self.start_due().map(|(at, _)| at),
            slot_asked: self.demand.slot != SlotRequest::None,
            learnt_per_second: self.pacing.ceiling(&self.terms.policy),
            quota_left: self.pacing.quota.is_known().then(|| self.pacing.quota.left()),
        }
    }

    /// Returns the numbers that the host adds to the counts of the whole crawl at this moment.
    #[must_use]
    pub fn load(&self, now: Timestamp) -> HostLoad {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let in_flight = self.in_flight();
        let under_way = in_flight + self.leases.parsed().len();
        HostLoad { is_held: self.hold.is_held(now), in_flight: count(in_flight), under_way: count(under_way) }
    }
}
