//! An observer that keeps its own record of a host and reports each broken invariant.
//!
//! The observer sees a host's inputs and outputs, and derives the starts, the holds, the places of leases and
//! the attempts from these alone. From the host itself the observer reads only values that are invisible from
//! outside (the spacing in force, the counts of leases), to compare them with its own record.
//!
//! | invariant, in short | checked in |
//! | --- | --- |
//! | G1: starts keep the spacing; G8: robots.txt spends the budget, too | `starts.rs`: at each start |
//! | G2: the limit of requests in flight | here, `expect_in_flight`: at each start |
//! | G3: nothing starts while the host is held | `hold.rs`, `expect_start`: at each start |
//! | G4: each lease is in one place | `leases.rs`: where a lease starts and ends; here, `compare_places` |
//! | G5: a start that is possible happens at once | `work.rs`, `expect_work`: when the host has no more output |
//! | G6: a hold never becomes shorter | `hold.rs`, `compare`: when the host has no more output |
//! | G7, G10: which failures use up attempts | `leases.rs`, with the counts of `report.rs` and `faults.rs` |
//! | G9: the probe is for a URL that has not failed | `leases.rs`, `expect_probe`: at each probe |
//! | G11: chance ends no URL and lowers no pace | `leases.rs`, `delivered`; `faults.rs`, `expect_paced` |

mod faults;
mod hold;
mod leases;
mod report;
mod rules;
mod starts;
mod work;

use std::time::Duration;

use super::budget::Spacing;
use super::invariants::{Invariant, Violation};
use super::message::{HostEvent, Input, Output, Start};
use super::snapshot::HostSnapshot;
use super::state::HostState;
use crate::policy::HostPolicy;
use crate::record::LeaseId;
use crate::time::Timestamp;
use faults::SeenFaults;
use hold::SeenHold;
use leases::{SeenFlight, SeenLeases};
use rules::SeenRules;
use starts::SeenStarts;
use work::SeenSlots;

/// Watches one host over its whole life, passivations included.
///
/// Call [`Witness::hear`] before each `handle` of the host, [`Witness::see`] for each output, and
/// [`Witness::rest`] when the host's `poll` has returned `None`.
#[derive(Clone, Debug)]
pub struct Witness {
    in_flight_max: usize,
    starts: SeenStarts,
    hold: SeenHold,
    slots: SeenSlots,
    rules: SeenRules,
    leases: SeenLeases,
    /// The requests in flight with which the host repeats an answered request, to learn whose fault failures
    /// were (not to be confused with this observer).
    witnesses: Vec<(LeaseId, SeenFlight)>,
    faults: SeenFaults,
}

impl Witness {
    /// Returns an observer for a host with this policy.
    #[must_use]
    pub fn new(policy: &HostPolicy) -> Self {
        Self {
            in_flight_max: policy.in_flight_max() as usize,
            starts: SeenStarts::new(policy.rate_max().map_or(Spacing::NONE, Spacing::of_rate)),
            hold: SeenHold::new(policy.hold_max()),
            slots: SeenSlots::new(policy.backoff_bounds().min.max(Duration::from_millis(1))),
            rules: SeenRules::new(policy),
            leases: SeenLeases::default(),
            witnesses: Vec::new(),
            faults: SeenFaults::new(),
        }
    }

    /// Returns the number of leases that have not ended yet, wherever they are.
    #[must_use]
    pub fn open_leases(&self) -> usize {
        self.leases.len()
    }

    /// Records that the host returns from passivation. Budget and holds continue, but a drain does not. It is
    /// unknown from now on whose fault the earlier failures were.
    pub fn resumed(&mut self) {
        self.hold.draining = false;
        self.rules.resumed();
        self.faults.resumed(&mut self.leases);
    }

    /// Records an input before the host handles it.
    pub fn hear(&mut self, now: Timestamp, input: &Input) {
        self.expire(now);
        match input {
            Input::Assign(leases) => self.leases.assigned(leases),
            Input::Refused => self.slots.refused(now),
            Input::SlotDenied { until } => self.slots.denied(*until),
            Input::Report { lease, outcome, proposal } => {
                self.slots.ended();
                self.reported(now, *lease, *outcome, proposal);
            }
            Input::Undelivered(lease) => {
                self.slots.refused(now);
                if self.take_witness(*lease).is_none() {
                    self.leases.land(*lease);
                }
            }
            Input::Rules { scheme, answer, hints } => {
                // If another host answered for robots.txt after a redirect, the quota of that host does not
                // apply to this host.
                if let Some(started) = self.rules.start_of(*scheme) {
                    self.hold.note_quota(now, started, hints);
                }
                self.slots.ended();
                self.rules_answered(now, *scheme, *answer);
            }
            Input::Settled(leases) => self.leases.settled(leases),
            Input::Hold { until } => self.hold.ordered(now, *until),
            Input::Drain => self.hold.draining = true,
            Input::Restarted => self.starts.restarted(now),
            Input::Granted { is_short } => self.slots.granted(now, *is_short),
            Input::Disallowed(_) | Input::Tick => {}
        }
        self.leases.forget_settled();
    }

    /// Checks an output.
    ///
    /// # Errors
    /// Returns the invariant that the output breaks.
    pub fn see(&mut self, now: Timestamp, output: &Output) -> Result<(), Violation> {
        match output {
            Output::Fetch(start) => self.started(now, start),
            Output::FetchRules { scheme, deadline } => {
                let probe = self.hold.closed;
                self.any_start(now, probe)?;
                self.rules.started(*scheme, SeenFlight { started: now, deadline: *deadline, probe });
                self.expect_in_flight()
            }
            Output::Deliver { lease, delivery, attempts } => {
                self.leases.delivered(lease.id, *delivery, *attempts, self.hold.parked)
            }
            Output::Settle { lease, .. } if lease.id.is_witness() => Ok(()),
            Output::Settle { lease, .. } => self.leases.returned(lease.id),
            Output::Event(event) => self.told(now, *event),
            Output::Passivate => {
                let left = self.leases.len();
                expect(left == 0, Invariant::G4, || format!("passivated with {left} leases"))
            }
            Output::Credit(_) | Output::AskSlot | Output::ReturnSlot => Ok(()),
        }
    }

    /// Compares this observer's record with the host's snapshot. To be called when the host has no more
    /// output at this instant.
    ///
    /// # Errors
    /// Returns the broken invariant.
    pub fn rest(&mut self, now: Timestamp, host: &HostState) -> Result<(), Violation> {
        let shown = host.snapshot();
        self.hold.compare(&shown)?;
        self.faults.compare_door(&mut self.leases, now, shown.door_open);
        self.compare_places(&shown)?;
        self.hold.parked = shown.parked.is_some();
        self.expect_work(now, &shown)
    }

    fn started(&mut self, now: Timestamp, start: &Start) -> Result<(), Violation> {
        let id = start.lease.id;
        self.starts.url(now, id)?;
        self.any_start(now, start.probe)?;
        if id.is_witness() {
            let flight = SeenFlight { started: now, deadline: start.deadline, probe: start.probe };
            self.witnesses.push((id, flight));
        } else {
            self.leases.started(now, start)?;
        }
        self.expect_in_flight()
    }

    fn any_start(&mut self, now: Timestamp, probe: bool) -> Result<(), Violation> {
        self.faults.crowd.note_start();
        self.starts.any(now, self.rules.crawl_delay())?;
        self.hold.expect_start(now, probe && !self.probe_out())
    }

    /// Checks the invariant G2: at most as many requests are in flight as the limit allows.
    fn expect_in_flight(&self) -> Result<(), Violation> {
        let (count, max) = (self.flights().count(), self.in_flight_max);
        expect(count <= max, Invariant::G2, || format!("{count} in flight, {max} allowed"))
    }

    /// Iterates over all requests in flight: for leases, for robots.txt, and requests that the host repeats
    /// as a witness.
    fn flights(&self) -> impl Iterator<Item = SeenFlight> {
        let witnesses = self.witnesses.iter().map(|(_, flight)| *flight);
        self.leases.flights().chain(self.rules.flights()).chain(witnesses)
    }

    fn probe_out(&self) -> bool {
        self.flights().any(|flight| flight.probe)
    }

    /// Checks the invariant G4 (each lease is in exactly one place): in each place (ready or waiting, in flight,
    /// parsed) the host counts as many leases as this observer.
    fn compare_places(&self, shown: &HostSnapshot) -> Result<(), Violation> {
        let (idle, parsed) = self.leases.idle_and_parsed();
        let ours = (idle, self.flights().count(), parsed);
        let theirs = (shown.ready + shown.waiting, shown.in_flight, shown.parsed);
        expect(ours == theirs, Invariant::G4, || {
            format!("(idle, in flight, parsed) are {ours:?}, the host counts {theirs:?}")
        })
    }

    fn told(&mut self, now: Timestamp, event: HostEvent) -> Result<(), Violation> {
        match event {
            HostEvent::Held { until, reason, .. } => self.hold.told(until, reason),
            HostEvent::Opened => {
                self.hold.closed = false;
                self.faults.opened();
                self.starts.opened(now);
            }
            HostEvent::Parked { .. } => {
                self.hold.parked = true;
                self.faults.parked(&mut self.leases);
            }
            HostEvent::Paced { .. } => return self.faults.expect_paced(),
            HostEvent::RefusalsExcused => self.leases.excuse_refusals(),
            HostEvent::Forbidden { .. }
            | HostEvent::RulesUnavailable { .. }
            | HostEvent::CrawlDelayClamped { .. } => {}
        }
        Ok(())
    }

    /// Ends the requests whose deadline has passed.
    fn expire(&mut self, now: Timestamp) {
        self.leases.expire(now);
        self.witnesses.retain(|(_, flight)| flight.deadline > now);
        if self.rules.expire(now) {
            self.faults.fail_of_host(&mut self.leases, now, false);
        }
    }

    /// Removes and returns the request in flight with this id, if the host made it as a witness.
    fn take_witness(&mut self, id: LeaseId) -> Option<SeenFlight> {
        let place = self.witnesses.iter().position(|(other, _)| *other == id)?;
        Some(self.witnesses.swap_remove(place).1)
    }
}

fn expect(holds: bool, invariant: Invariant, text: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, text: text() }) }
}
