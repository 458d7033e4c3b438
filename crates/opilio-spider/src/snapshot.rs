//! The state of a running crawl at one moment, for people.

use std::time::Duration;

use opilio_core::host::HostState;
use opilio_core::{Host, Timestamp};
use serde::Serialize;

/// The state of a crawl at one moment, by its parts.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The answers of the actors.
    pub parts: Vec<PartSnapshot>,
    /// Actors that did not answer within 100 ms, since they are busy or gone.
    pub missing: Vec<String>,
}

/// Where one actor stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartSnapshot {
    /// The supervisor.
    Supervisor {
        /// `running`, `draining` or `closing`.
        phase: &'static str,
        /// Whether fewer fetches than usual are started, since memory is near its limit.
        slowed: bool,
    },
    /// The scheduler, with its store.
    Scheduler {
        /// URLs that became the crawl's.
        admitted: u64,
        /// URLs that have not ended.
        left: u64,
        /// URLs that are leased to hosts.
        leased: u64,
        /// Hosts that are live or being started.
        live: usize,
        /// Hosts with work that are not live.
        ready: usize,
        /// Batches of rows that the exporter has no room for.
        rows_waiting: usize,
        /// Orders that wait for hosts to come alive.
        standing_orders: usize,
    },
    /// The exporter.
    Exporter {
        /// The number of the last batch of rows that came.
        batch: u64,
        /// Batches that the sinks have taken and that are not safe from a kill yet.
        unsafe_batches: usize,
        /// Each sink, with its position after what it has taken: bytes of a file.
        sinks: Vec<(String, u64)>,
    },
    /// One shard, with the hosts that are live there.
    Shard {
        /// Its number.
        shard: usize,
        /// How many hosts are live.
        live: usize,
        /// Passive hosts that the store has not taken over yet.
        leaving: usize,
        /// The first hundred of the live hosts, by name.
        hosts: Vec<HostStatus>,
    },
    /// The fetcher pool of a shard.
    Pool {
        /// The number of the shard.
        shard: usize,
        /// Slots that the shard has now.
        slots: u32,
        /// Slots that are granted.
        granted: u32,
    },
    /// The spider runner of a shard.
    Runner {
        /// The number of the shard.
        shard: usize,
        /// Pages that are fetched and not yet given to the scheduler.
        pages_waiting: u32,
    },
}

/// One live host.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HostStatus {
    /// The host.
    #[serde(serialize_with = "name")]
    pub host: Host,
    /// Leases that may start as soon as the gate allows.
    pub ready: usize,
    /// Leases whose retry is not due yet.
    pub waiting: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// Pages that are not settled yet.
    pub parsed: usize,
    /// For how long it is still held, if it is.
    pub held_for: Option<Duration>,
    /// The reason of the last hold.
    pub hold_reason: Option<String>,
    /// Refusals and failures in a row.
    pub strikes: u32,
    /// When it wakes if no message comes before, and why.
    pub wakes_in: Option<(Duration, String)>,
}

impl HostStatus {
    /// The status of a host at this time.
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
