//! A host at one moment, for people and for the witness.

use std::time::Duration;

use super::message::{HoldReason, ParkReason};
use crate::time::Timestamp;

/// A host at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HostSnapshot {
    /// Leases that may start as soon as the gate allows.
    pub ready: usize,
    /// Leases whose retry is not due yet.
    pub waiting: usize,
    /// Attempts and rules fetches under way.
    pub in_flight: usize,
    /// How many may be: the limit, or less for a while after a hold at full speed.
    pub in_flight_cap: usize,
    /// Leases handed on and not settled yet.
    pub parsed: usize,
    /// The latest hold: until when, and why. It may be over.
    pub hold: Option<(Timestamp, HoldReason)>,
    /// Whether starts may pass once the hold is over; if not, one probe goes first or is out.
    pub door_open: bool,
    /// Put aside: until when, and why.
    pub parked: Option<(Timestamp, ParkReason)>,
    /// Closings in a row.
    pub strikes: u32,
    /// The distance of two starts as of now; zero is unlimited.
    pub spacing: Duration,
    /// When the next start will be possible, unless something has to be heard first.
    pub next_start: Option<Timestamp>,
    /// Whether a slot was asked for and is not there yet.
    pub slot_asked: bool,
    /// What was learnt from refusals, in starts per second.
    pub learnt_per_second: Option<f64>,
    /// What is left of an announced quota.
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
