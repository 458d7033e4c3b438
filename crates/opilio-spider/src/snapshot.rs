//! The state of a running crawl at one moment, to be shown to people.

use std::time::Duration;

use opilio_core::host::HostState;
use opilio_core::{Host, Timestamp};
use serde::Serialize;

/// The state of a crawl at one moment: the states of its actors.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The states of those actors that answered.
    pub parts: Vec<PartSnapshot>,
    /// The names of the actors that did not answer within 100 ms, because they are busy or have ended.
    pub missing: Vec<String>,
}

/// The state of one actor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartSnapshot {
    /// The supervisor, which starts and ends the crawl.
    Supervisor {
        /// The phase of the crawl: `running`, `draining` (no new requests are started) or `closing` (the outputs are
        /// being finished).
        phase: &'static str,
        /// Whether fewer fetches than usual are started, because memory is near its limit.
        slowed: bool,
    },
    /// The scheduler, which owns the store and leases URLs to hosts.
    Scheduler {
        /// The number of URLs that were admitted to the crawl.
        admitted: u64,
        /// The number of URLs that have not ended.
        left: u64,
        /// The number of URLs that are leased to hosts: they are being fetched, or will be fetched soon.
        leased: u64,
        /// The number of hosts that are live or are being started. A live host has an actor.
        live: usize,
        /// The number of hosts that have URLs to fetch and are not live.
        ready: usize,
        /// The number of batches of rows that wait until the exporter has room for them.
        rows_waiting: usize,
        /// The number of orders to hosts that wait until these hosts are live.
        standing_orders: usize,
    },
    /// The exporter, which owns the outputs.
    Exporter {
        /// The sequence number of the latest batch of rows that has arrived.
        batch: u64,
        /// The number of batches that the outputs have taken, but that would be lost if the process were killed now.
        unsafe_batches: usize,
        /// The name of each output, and its position after all rows that it has taken: in bytes, if the
        /// output is a file.
        sinks: Vec<(String, u64)>,
    },
    /// A shard, with the hosts that are live on it.
    Shard {
        /// The number of the shard.
        shard: usize,
        /// The number of live hosts.
        live: usize,
        /// How many of the live hosts sleep: they only wait for a time to come, and have no actor.
        asleep: usize,
        /// The number of hosts whose actors have stopped and whose saved state the store has not taken yet.
        leaving: usize,
        /// The first hundred live hosts, sorted by name.
        hosts: Vec<HostStatus>,
    },
    /// The fetcher pool of a shard.
    Pool {
        /// The number of the shard.
        shard: usize,
        /// The number of slots (permissions to start one request each) that the shard may use now.
        slots: u32,
        /// The number of slots that are in use.
        granted: u32,
    },
    /// The spider runner of a shard.
    Runner {
        /// The number of the shard.
        shard: usize,
        /// The number of pages that were fetched and whose results have not gone to the scheduler.
        pages_waiting: u32,
    },
}

/// The state of one live host.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HostStatus {
    /// The name and port of the host.
    #[serde(serialize_with = "name")]
    pub host: Host,
    /// The number of leases that may start as soon as the host may get another request.
    pub ready: usize,
    /// The number of leases whose retry is not due yet.
    pub waiting: usize,
    /// The number of requests in flight.
    pub in_flight: usize,
    /// The number of pages that are parsed and whose results the store has not taken.
    pub parsed: usize,
    /// The time for which the host gets no requests; `None` if it may get a request now.
    pub held_for: Option<Duration>,
    /// The reason of the host's latest wait.
    pub hold_reason: Option<String>,
    /// The number of refusals and failures in a row.
    pub strikes: u32,
    /// The time until the host's timer fires, if no message comes before, and the reason of the timer.
    pub wakes_in: Option<(Duration, String)>,
}

impl HostStatus {
    /// Returns the state of a host at the time `now`.
    #[must_use]
    pub fn of(host: &Host, state: &HostState, now: Timestamp) -> Self {
        let shown = state.snapshot();
        Self {
            host: host.clone(),
            ready: shown.ready,
            waiting: shown.waiting,
            in_flight: shown.in_flight,
            parsed: shown.parsed,
            held_for: shown.hold.and_then(|(until, _)| (until > now).then(|| until.since(now))),
            hold_reason: shown.hold.map(|(_, reason)| format!("{reason:?}")),
            strikes: shown.strikes,
            wakes_in: state.wake_at().map(|(at, why)| (at.since(now), format!("{why:?}"))),
        }
    }
}

fn name<S: serde::Serializer>(host: &Host, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(host.as_str())
}
