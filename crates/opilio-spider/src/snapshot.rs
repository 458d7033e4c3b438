//! The state of a running crawl at one moment, to be shown to people.

use std::time::Duration;

use opilio_core::host::HostState;
use opilio_core::{Host, Timestamp};
use serde::Serialize;

/// The state of a crawl at one moment: the states of its actors.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The states that the actors gave.
    pub parts: Vec<PartSnapshot>,
    /// The names of actors that did not answer within 100 ms, because they are busy or have ended.
    pub missing: Vec<String>,
}

/// The state of one actor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartSnapshot {
    /// The supervisor, which starts and ends the crawl.
    Supervisor {
        /// `running`, `draining` or `closing`.
        phase: &'static str,
        /// Whether fewer fetches than usual are started, since memory is near its limit.
        slowed: bool,
    },
    /// The scheduler, which owns the store.
    Scheduler {
        /// URLs that were admitted to the crawl.
        admitted: u64,
        /// URLs that have not ended.
        left: u64,
        /// URLs that are leased to hosts: they are being fetched, or will be soon.
        leased: u64,
        /// Hosts that are live or being started.
        live: usize,
        /// Hosts with work that are not live.
        ready: usize,
        /// Batches of rows that wait until the exporter has room for them.
        rows_waiting: usize,
        /// Orders to hosts that wait until these hosts are live.
        standing_orders: usize,
    },
    /// The exporter, which owns the sinks.
    Exporter {
        /// The number of the latest batch of rows that has arrived.
        batch: u64,
        /// Batches that the sinks have taken, but that a kill could still lose.
        unsafe_batches: usize,
        /// The name of each sink, and its position after all rows that it has taken: in bytes, if it is a file.
        sinks: Vec<(String, u64)>,
    },
    /// One shard, with the hosts that are live there.
    Shard {
        /// The number of the shard.
        shard: usize,
        /// How many hosts are live.
        live: usize,
        /// Passivated hosts whose state the store has not taken over yet.
        leaving: usize,
        /// The first hundred live hosts, sorted by name.
        hosts: Vec<HostStatus>,
    },
    /// The fetcher pool of a shard.
    Pool {
        /// The number of the shard.
        shard: usize,
        /// Slots for requests that the shard may use now.
        slots: u32,
        /// Slots that are in use.
        granted: u32,
    },
    /// The spider runner of a shard.
    Runner {
        /// The number of the shard.
        shard: usize,
        /// Pages that are fetched and whose results have not gone to the scheduler.
        pages_waiting: u32,
    },
}

/// The state of one live host.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HostStatus {
    /// The name of the host.
    #[serde(serialize_with = "name")]
    pub host: Host,
    /// Leases that may start as soon as the host may get another request.
    pub ready: usize,
    /// Leases whose retry is not due yet.
    pub waiting: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// Pages that are parsed and whose results the store has not taken.
    pub parsed: usize,
    /// How long the host still gets no request; `None` if it may get one.
    pub held_for: Option<Duration>,
    /// The reason of the latest such wait.
    pub hold_reason: Option<String>,
    /// How many refusals and failures the host had in a row.
    pub strikes: u32,
    /// When the host acts next if no message comes before, and why.
    pub wakes_in: Option<(Duration, String)>,
}

impl HostStatus {
    /// Returns the state of a host at this time.
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
