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
    /// Leases handed on and not settled yet.
    pub parsed: usize,
    /// Closed until then.
    pub hold: Option<(Timestamp, HoldReason)>,
    /// Put aside.
    pub parked: Option<ParkReason>,
    /// Closings in a row.
    pub strikes: u32,
    /// The distance of two starts as of now; zero is unlimited.
    pub spacing: Duration,
    /// What was learnt from refusals, in starts per second.
    pub learnt_per_second: Option<f64>,
}
