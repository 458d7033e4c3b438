//! The live hosts of a shard that sleep. Such a host only waits for a time to come. It has no actor, and its state and
//! its rules are bytes, so that it takes a tenth of the memory of a host that is awake.

use std::collections::{BTreeSet, HashMap};

use opilio_core::host::HostState;
use opilio_core::{Host, Timestamp};
use opilio_spider::rules::RulesTable;

use crate::host::{HostErrands, HostParts, HostProgress};
use crate::settings::Settings;

/// The hosts that sleep, and the times at which they wake.
#[derive(Default)]
pub(super) struct SleepingHosts {
    hosts: HashMap<Host, SleepingHost>,
    /// For each host, the time at which it wakes.
    times: BTreeSet<(Timestamp, Host)>,
}

struct SleepingHost {
    until: Timestamp,
    /// The state of the host, followed by its rules.
    bytes: Box<[u8]>,
    state_bytes: u32,
    /// The parts that are empty for nearly all hosts that sleep.
    rest: Option<Box<Rest>>,
}

struct Rest {
    errands: HostErrands,
    progress: Option<Box<HostProgress>>,
}

impl SleepingHosts {
    /// Adds a host that sleeps until a time. Its prepared requests are dropped: they are read again when they are needed.
    pub(super) fn insert(&mut self, host: Host, until: Timestamp, parts: &HostParts) {
        let mut bytes = parts.state.borrow().to_bytes();
        let state_bytes = u32::try_from(bytes.len()).expect("a host holds less than 4 GiB of leases");
        bytes.extend(parts.rules.borrow().to_bytes());
        let rest = Rest { errands: parts.errands.take(), progress: parts.progress.take() };
        let is_empty = rest.errands.is_unused() && rest.progress.is_none();
        let rest = (!is_empty).then(|| Box::new(rest));
        self.times.insert((until, host.clone()));
        self.hosts.insert(host, SleepingHost { until, bytes: bytes.into(), state_bytes, rest });
    }

    /// Removes a host, if it sleeps, and returns its parts.
    pub(super) fn wake(&mut self, settings: &Settings, host: &Host) -> Option<HostParts> {
        let (host, asleep) = self.hosts.remove_entry(host)?;
        let rules = &asleep.bytes[asleep.state_bytes as usize..];
        let rules = RulesTable::from_bytes(rules, &host, settings.user_agent.clone());
        let parts = HostParts::new(asleep.state(settings, &host), rules);
        // A host sleeps only after a step in which it waited for no slot.
        parts.begun.set(true);
        if let Some(rest) = asleep.rest {
            parts.errands.replace(rest.errands);
            parts.progress.set(rest.progress);
        }
        self.times.remove(&(asleep.until, host));
        Some(parts)
    }

    /// Returns the state of a host that sleeps.
    pub(super) fn state(&self, settings: &Settings, host: &Host) -> Option<HostState> {
        self.hosts.get(host).map(|asleep| asleep.state(settings, host))
    }

    /// Returns a host whose time has come.
    pub(super) fn due(&self, now: Timestamp) -> Option<Host> {
        self.times.first().filter(|(at, _)| *at <= now).map(|(_, host)| host.clone())
    }

    /// Returns the time at which the first host wakes.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.times.first().map(|(at, _)| *at)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Host> {
        self.times.iter().map(|(_, host)| host)
    }

    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }
}

impl SleepingHost {
    fn state(&self, settings: &Settings, host: &Host) -> HostState {
        let policy = settings.hosts.of(host).policy.clone();
        let limits = settings.limits_of(&policy);
        HostState::from_bytes(&self.bytes[..self.state_bytes as usize], policy, limits)
    }
}
