//! A host's state at one moment, for people and for the tests' witness.

use std::time::Duration;

use super::message::{HoldReason, ParkReason};
use crate::time::Timestamp;

/// A host's state at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// Leases that may start as soon as the gate allows.
    pub ready: usize,
    /// Leases whose retry is not due yet.
    pub waiting: usize,
    /// Attempts and rules fetches in flight.
    pub in_flight: usize,
    /// The highest number in flight: the limit, or less for a while after a hold at full speed.
    pub in_flight_cap: usize,
    /// Leases handed on and not settled yet.
    pub parsed: usize,
    /// The latest hold: until when, and why. It may be over.
    pub hold: Option<(Timestamp, HoldReason)>,
    /// Whether starts may pass once the hold is over; if not, a probe goes first or is in flight.
    pub door_open: bool,
    /// The park: until when, and why.
    pub parked: Option<(Timestamp, ParkReason)>,
    /// Closings in a row.
    pub strikes: u32,
    /// The current distance between starts; zero is unlimited.
    pub spacing: Duration,
    /// When the next start will be possible, unless it depends on something else than time.
    pub next_start: Option<Timestamp>,
    /// Whether a slot was asked for and not granted yet.
    pub slot_asked: bool,
    /// The pace learnt from refusals, in starts per second.
    pub learnt_per_second: Option<f64>,
    /// Requests left of an announced quota.
    pub quota_left: Option<u32>,
}

/// What a host adds to the counts of a crawl.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HostLoad {
    /// It is closed.
    pub is_held: bool,
    /// Requests in flight.
    pub in_flight: u32,
    /// Those, and leases that were handed on and are not settled.
    pub under_way: u32,
}
