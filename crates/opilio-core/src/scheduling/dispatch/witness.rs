//! An observer that keeps its own record of dispatch and reports each broken invariant.
//!
//! The witness sees the inputs and outputs of dispatch. From these alone it derives which hosts are ready,
//! started and live, and which host is next in the turn. From dispatch itself it reads only the counts of
//! hosts, to compare them with its own.

use std::collections::HashMap;

use super::{Dispatch, DispatchInput, DispatchLimits, StoreCounts, Waking, Want, WantAnswer};
use crate::intake::IntakeLevel;
use crate::name::Host;
use crate::scheduling::invariants::SchedulingInvariant::{S2, S3, S5};
use crate::scheduling::invariants::{SchedulingViolation, ensure};

/// Checks that hosts get leases within the page limit of the crawl (invariant S2) and in turn (S5), and that each
/// host is in exactly one state: ready, being started, or live (S3).
///
/// Call [`hear`](Self::hear) before each `handle` of dispatch, and each other function after dispatch's
/// function of the same name.
#[derive(Clone, Debug)]
pub struct DispatchWitness {
    limits: DispatchLimits,
    ready: Vec<Host>,
    live: HashMap<Host, SeenHost>,
    /// The live hosts that wait to be served, in order of arrival.
    turn: Vec<Host>,
    pauses: bool,
    stopped: bool,
}

/// The state of a live host, as derived from inputs and outputs.
#[derive(Clone, Copy, Debug)]
struct SeenHost {
    room: Option<u64>,
    starting: bool,
    /// Whether the host has not had its first turn for a slot.
    is_new: bool,
}

impl DispatchWitness {
    /// Creates a witness for a dispatch with these limits.
    #[must_use]
    pub fn new(limits: DispatchLimits) -> Self {
        let (ready, turn, live) = (Vec::new(), Vec::new(), HashMap::new());
        Self { limits, ready, live, turn, pauses: false, stopped: false }
    }

    /// Records an input.
    pub fn hear(&mut self, input: &DispatchInput) {
        match input {
            DispatchInput::Want { host, leases } => {
                let starting = !self.live.contains_key(host);
                self.ready.retain(|other| other != host);
                let is_new = self.live.get(host).is_some_and(|seen| seen.is_new);
                self.live.insert(host.clone(), SeenHost { room: Some(u64::from(*leases)), starting, is_new });
                self.queue(host);
            }
            DispatchInput::Begun(host) => {
                if let Some(seen) = self.live.get_mut(host) {
                    seen.is_new = false;
                }
            }
            DispatchInput::Passivated(host) => {
                if self.live.remove(host).is_some() {
                    self.turn.retain(|other| other != host);
                }
            }
            DispatchInput::Ready { hosts, .. } => {
                for host in hosts {
                    if self.live.contains_key(host) {
                        self.queue(host);
                    } else if !self.ready.contains(host) {
                        self.ready.push(host.clone());
                    }
                }
            }
            DispatchInput::Intake(level) => self.pauses = *level == IntakeLevel::Paused,
            DispatchInput::Stop => self.stopped = true,
        }
    }

    /// Checks an errand for a host.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn errand(&mut self, host: &Host, waking: Waking) -> Result<(), SchedulingViolation> {
        let starts = self.live.get(host).is_none_or(|seen| seen.starting);
        self.ready.retain(|other| other != host);
        self.live.entry(host.clone()).or_insert(SeenHost { room: None, starting: false, is_new: false });
        ensure(starts == (waking == Waking::Starts), S3, || format!("{host} for an errand: {waking:?}"))
    }

    /// Checks the wants of a turn.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn lease(
        &mut self,
        counts: StoreCounts,
        wants: &[Want],
        dispatch: &Dispatch,
    ) -> Result<(), SchedulingViolation> {
        let wanted: u64 = wants.iter().map(|want| want.n as u64).sum();
        let max = self.limits.pages_max.unwrap_or(u64::MAX);
        let allowed = max.saturating_sub(counts.pages).saturating_sub(counts.out);
        ensure(wanted <= allowed, S2, || format!("{wanted} wanted where {allowed} may be"))?;
        if self.stopped || self.pauses {
            return ensure(wants.is_empty(), S2, || format!("{wanted} wanted after a stop"));
        }
        self.start_hosts(dispatch)?;
        self.turn.retain(|host| self.live.get(host).is_some_and(|seen| seen.room.is_some()));
        let has_room = |host: &&Host| self.live.get(*host).is_some_and(|seen| seen.room > Some(0));
        let due: Vec<Host> = self.turn.iter().filter(has_room).cloned().collect();
        for (at, Want { host, n }) in wants.iter().enumerate() {
            let next = due.get(at);
            ensure(next == Some(host), S5, || format!("{host} is served, and {next:?} is next"))?;
            let room = self.live.get_mut(host).and_then(|seen| seen.room.take());
            ensure(room >= Some(*n as u64) && *n > 0, S2, || {
                format!("{n} for {host}, with room for {room:?}")
            })?;
            self.turn.retain(|other| other != host);
        }
        let all = wants.len() == due.len() || wanted == allowed;
        ensure(all, S5, || format!("{} of {} hosts are served", wants.len(), due.len()))
    }

    /// Checks the answer to a want.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn answer(
        &mut self,
        want: &Want,
        answer: WantAnswer,
        waking: Waking,
    ) -> Result<(), SchedulingViolation> {
        let Want { host, n } = want;
        let Some(seen) = self.live.get_mut(host) else {
            return ensure(false, S3, || format!("{host} is answered, and not live"));
        };
        let starts = seen.starting && answer == WantAnswer::Leases;
        match answer {
            WantAnswer::Leases => seen.starting = false,
            WantAnswer::Nothing if seen.starting => {
                self.live.remove(host);
            }
            WantAnswer::Nothing => seen.room = Some(*n as u64),
            WantAnswer::Filtered => {
                seen.room = Some(*n as u64);
                self.queue(host);
            }
        }
        ensure(starts == (waking == Waking::Starts), S3, || format!("{host} got {answer:?}: {waking:?}"))
    }

    /// Compares the counts of live and ready hosts with dispatch's own.
    ///
    /// # Errors
    /// When an invariant is broken.
    pub fn rest(&self, dispatch: &Dispatch) -> Result<(), SchedulingViolation> {
        let (theirs, ours) = ((dispatch.live(), dispatch.ready()), (self.live.len(), self.ready.len()));
        ensure(theirs == ours, S3, || format!("{theirs:?} hosts are live and ready, not {ours:?}"))?;
        dispatch.check()
    }

    /// Records that ready hosts were started, oldest first. Their number is derived from dispatch's count of
    /// live hosts.
    fn start_hosts(&mut self, dispatch: &Dispatch) -> Result<(), SchedulingViolation> {
        let started = dispatch.live().saturating_sub(self.live.len());
        let (has, max) = (self.ready.len(), self.limits.hosts_max as usize);
        ensure(started <= has, S3, || format!("{started} of {has} ready hosts are started"))?;
        let live = dispatch.live();
        ensure(started == 0 || live <= max, S3, || format!("{live} hosts are live, of {max}"))?;
        for host in self.ready.drain(..started).collect::<Vec<_>>() {
            let seen = SeenHost { room: Some(u64::MAX), starting: true, is_new: true };
            self.live.insert(host.clone(), seen);
            self.queue(&host);
        }
        let new = self.live.values().filter(|seen| seen.is_new).count();
        let new_max = self.limits.newcomers_max as usize;
        ensure(new <= new_max, S3, || format!("{new} newcomers, of {new_max}"))?;
        Ok(())
    }

    fn queue(&mut self, host: &Host) {
        if !self.turn.contains(host) {
            self.turn.push(host.clone());
        }
    }
}
