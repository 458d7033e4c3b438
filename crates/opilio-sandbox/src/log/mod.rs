//! The log of a simulated host. It records each request that arrived, how many requests were in flight then, and
//! the host's answer.
//!
//! This file records arrivals; the functions in the file `statements` evaluate the log.

mod statements;

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use statements::{Closing, Statements};

use crate::config::Fault;

/// A request's number on its host, from 0, in the order of arrival.
pub type ArrivalId = u64;

/// One request as the host received it. All times count from the sandbox's start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arrival {
    /// The number of the request on its host.
    pub id: ArrivalId,
    /// The time at which the head of the request had arrived completely.
    #[serde(rename = "at_us", serialize_with = "micros")]
    pub at: Duration,
    /// The time at which the head of the answer was sent.
    #[serde(rename = "sent_us", serialize_with = "micros")]
    pub sent: Duration,
    /// The time at which the request ended; `None` while it is in flight.
    #[serde(rename = "left_us", serialize_with = "micros_or_null")]
    pub left: Option<Duration>,
    /// The end of the wait that a refusal of this request stated; `None` if no wait was stated.
    #[serde(rename = "closed_until_us", serialize_with = "micros_or_null")]
    pub closed_until: Option<Duration>,
    /// The requested path, with the query.
    #[serde(serialize_with = "text")]
    pub path: Arc<str>,
    /// The method in upper case; `OTHER` for a method that the shop does not know.
    pub method: &'static str,
    /// The number of requests in flight at the arrival, including this one.
    pub in_flight: u32,
    /// The status of the answer; 0 if no answer was sent.
    pub status: u16,
    /// The fault that the sandbox caused on purpose at this request, if any.
    #[serde(serialize_with = "debug_or_null")]
    pub fault: Option<Fault>,
    /// Whether the request was refused because of the limit.
    pub refused: bool,
    /// Whether the request was answered by 403 because the client is banned.
    pub banned: bool,
    /// Whether the host's quota was used up when the request arrived, even if it was answered in full.
    pub on_spent_quota: bool,
    /// Whether the client closed the connection before it had received the whole answer.
    pub abandoned: bool,
}

impl Arrival {
    /// Returns whether the answer was complete, with a 2xx status.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && !self.fault.is_some_and(|fault| fault.breaks_answer())
    }
}

/// Counts of all arrivals, including those that the log does not record in detail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The number of requests that arrived.
    pub arrivals: u64,
    /// The number of complete answers with a 2xx status.
    pub served: u64,
    /// The number of requests that were refused because of the limit.
    pub refused: u64,
    /// The number of requests that were answered by 403 because the client is banned.
    pub banned: u64,
    /// The number of requests to which a fault happened, including slowness.
    pub faulted: u64,
    /// The number of requests that arrived while the quota was used up.
    pub on_spent_quota: u64,
    /// The number of requests whose client closed the connection before the end of the answer.
    pub abandoned: u64,
    /// The largest number of requests in flight at the same time.
    pub max_in_flight: u32,
}

/// The arrivals at a host, in order. Tests check with them whether the client was polite.
///
/// Methods that look at single arrivals cover only the recorded arrivals ([`HostConfig::log_max`]); [`Log::unkept`]
/// returns how many are missing.
///
/// [`HostConfig::log_max`]: crate::HostConfig::log_max
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Log {
    counts: Counts,
    entries: Vec<Arrival>,
}

impl Log {
    /// Makes a log of these arrivals, for instance of arrivals chosen from another log.
    pub fn from_entries(mut entries: Vec<Arrival>) -> Self {
        entries.sort_by_key(|arrival| arrival.at);
        let mut counts = Counts::default();
        for arrival in &entries {
            counts.add(arrival);
        }
        Self { counts, entries }
    }

    /// Returns the recorded arrivals, in the order of their times.
    pub fn entries(&self) -> &[Arrival] {
        &self.entries
    }

    /// Returns the counts of all arrivals.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the number of arrivals that were counted but not recorded.
    pub fn unkept(&self) -> u64 {
        self.counts.arrivals - self.entries.len() as u64
    }

    /// Returns a log of the arrivals for which `wanted` returns true.
    pub fn only(&self, wanted: impl Fn(&Arrival) -> bool) -> Self {
        Self::from_entries(self.entries.iter().filter(|a| wanted(a)).cloned().collect())
    }

    /// Returns the counts, the most used facts and the arrivals as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "statements": self.statements(), "arrivals": self.entries })
    }

    /// Returns whether the next arrival is recorded in detail, and not only counted.
    pub(crate) fn keeps(&self, kept_max: usize) -> bool {
        self.entries.len() < kept_max
    }

    pub(crate) fn record(&mut self, arrival: Arrival) {
        self.counts.add(&arrival);
        self.entries.push(arrival);
    }

    /// Counts an arrival without recording its details.
    pub(crate) fn count(&mut self, seen: &ArrivalFacts) {
        self.counts.add_seen(seen);
    }

    pub(crate) fn left(&mut self, now: Duration, id: ArrivalId, abandoned: bool) {
        self.counts.abandoned += u64::from(abandoned);
        if let Some(arrival) = self.entry(id) {
            arrival.left = Some(now);
            arrival.abandoned = abandoned;
        }
    }

    pub(crate) fn sent(&mut self, now: Duration, id: ArrivalId) {
        if let Some(arrival) = self.entry(id) {
            arrival.sent = now;
        }
    }

    /// Returns a recorded arrival. Only the first arrivals are recorded (later ones are counted), so the id is the
    /// index.
    fn entry(&mut self, id: ArrivalId) -> Option<&mut Arrival> {
        let index = usize::try_from(id).ok()?;
        self.entries.get_mut(index)
    }
}

/// The facts about an arrival that are needed to count it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrivalFacts {
    pub(crate) success: bool,
    pub(crate) refused: bool,
    pub(crate) banned: bool,
    pub(crate) faulted: bool,
    pub(crate) on_spent_quota: bool,
    pub(crate) in_flight: u32,
}

impl Counts {
    fn add(&mut self, arrival: &Arrival) {
        self.add_seen(&ArrivalFacts {
            success: arrival.is_success(),
            refused: arrival.refused,
            banned: arrival.banned,
            faulted: arrival.fault.is_some(),
            on_spent_quota: arrival.on_spent_quota,
            in_flight: arrival.in_flight,
        });
        self.abandoned += u64::from(arrival.abandoned);
    }

    fn add_seen(&mut self, seen: &ArrivalFacts) {
        self.arrivals += 1;
        self.served += u64::from(seen.success);
        self.refused += u64::from(seen.refused);
        self.banned += u64::from(seen.banned);
        self.faulted += u64::from(seen.faulted);
        self.on_spent_quota += u64::from(seen.on_spent_quota);
        self.max_in_flight = self.max_in_flight.max(seen.in_flight);
    }
}

fn micros<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

fn micros_or_null<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => micros(time, serializer),
        None => serializer.serialize_none(),
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn debug_or_null<S: Serializer>(fault: &Option<Fault>, serializer: S) -> Result<S::Ok, S::Error> {
    match fault {
        Some(fault) => serializer.collect_str(&format_args!("{fault:?}")),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
