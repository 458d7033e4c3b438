//! The arrival log: arrivals, requests in flight, and the host's answers.
//!
//! This file records; `statements` evaluates.

mod statements;

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

pub use statements::{Closing, Statements};

use crate::config::Fault;

/// A request's number on its host, from 0, in the order of arrival.
pub type ArrivalId = u64;

/// One request as the host saw it. Times are since the sandbox's start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arrival {
    /// Its number.
    pub id: ArrivalId,
    /// When its head had arrived.
    #[serde(rename = "at_us", serialize_with = "micros")]
    pub at: Duration,
    /// When the answer's head was sent.
    #[serde(rename = "sent_us", serialize_with = "micros")]
    pub sent: Duration,
    /// When the exchange was over; `None` while it is in flight.
    #[serde(rename = "left_us", serialize_with = "micros_or_null")]
    pub left: Option<Duration>,
    /// The end of the wait that a refusal stated.
    #[serde(rename = "closed_until_us", serialize_with = "micros_or_null")]
    pub closed_until: Option<Duration>,
    /// Path and query.
    #[serde(serialize_with = "text")]
    pub path: Arc<str>,
    /// The method, upper case; `OTHER` for one that the shop does not know.
    pub method: &'static str,
    /// Requests in flight at this moment, this one included.
    pub in_flight: u32,
    /// Status of the answer; 0 if none was sent.
    pub status: u16,
    /// The fault injected on purpose.
    #[serde(serialize_with = "debug_or_null")]
    pub fault: Option<Fault>,
    /// Refused because of the limit.
    pub refused: bool,
    /// Answered by 403 because of the ban.
    pub banned: bool,
    /// The quota was used up at its arrival, whatever the answer was.
    pub on_spent_quota: bool,
    /// The client went away before it had the whole answer.
    pub abandoned: bool,
}

impl Arrival {
    /// Answered by 2xx, complete.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status) && !self.fault.is_some_and(|fault| fault.breaks_answer())
    }
}

/// Counts that hold also for arrivals that the log did not keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests that came.
    pub arrivals: u64,
    /// Answered by 2xx, complete.
    pub served: u64,
    /// Refused because of the limit.
    pub refused: u64,
    /// Answered by 403 because of the ban.
    pub banned: u64,
    /// Hit by a fault, slowness included.
    pub faulted: u64,
    /// Came when the quota was used up.
    pub on_spent_quota: u64,
    /// Clients that went away before the end of the answer.
    pub abandoned: u64,
    /// Largest number of requests in flight at once.
    pub max_in_flight: u32,
}

/// A host's arrivals in order, as evidence of the client's politeness.
///
/// Statements about single arrivals see the kept ones only ([`HostConfig::log_max`]);
/// [`Log::unkept`] says how many are missing.
///
/// [`HostConfig::log_max`]: crate::HostConfig::log_max
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Log {
    counts: Counts,
    entries: Vec<Arrival>,
}

impl Log {
    /// A log of these arrivals, for instance of some that were picked from another log.
    pub fn from_entries(mut entries: Vec<Arrival>) -> Self {
        entries.sort_by_key(|arrival| arrival.at);
        let mut counts = Counts::default();
        for arrival in &entries {
            counts.add(arrival);
        }
        Self { counts, entries }
    }

    /// The kept arrivals, by time.
    pub fn entries(&self) -> &[Arrival] {
        &self.entries
    }

    /// Counts of all arrivals.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Arrivals that were counted but not kept.
    pub fn unkept(&self) -> u64 {
        self.counts.arrivals - self.entries.len() as u64
    }

    /// The part of the log that `wanted` picks.
    pub fn only(&self, wanted: impl Fn(&Arrival) -> bool) -> Self {
        Self::from_entries(self.entries.iter().filter(|a| wanted(a)).cloned().collect())
    }

    /// Counts, statements and arrivals as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "statements": self.statements(), "arrivals": self.entries })
    }

    /// Whether the next arrival is to be recorded, and not only counted.
    pub(crate) fn keeps(&self, kept_max: usize) -> bool {
        self.entries.len() < kept_max
    }

    pub(crate) fn record(&mut self, arrival: Arrival) {
        self.counts.add(&arrival);
        self.entries.push(arrival);
    }

    /// Counts an arrival without keeping its details.
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

    /// Entries are kept from the first on, so that an id is an index.
    fn entry(&mut self, id: ArrivalId) -> Option<&mut Arrival> {
        let index = usize::try_from(id).ok()?;
        self.entries.get_mut(index)
    }
}

/// The facts about an arrival that the counts need.
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
