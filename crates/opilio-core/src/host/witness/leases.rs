//! Keeps track of a host's leases from outside the host: the place of each lease (by invariant G4 it has exactly
//! one), and how many attempts each lease has used up.

use super::expect;
use crate::host::invariants::{Invariant, Violation};
use crate::host::message::{Delivery, Start};
use crate::name::Scheme;
use crate::outcome::Reason;
use crate::record::{Lease, LeaseId};
use crate::time::Timestamp;

/// One lease, as far as its state is visible from outside the host.
#[derive(Clone, Debug)]
pub(super) struct SeenLease {
    pub(super) id: LeaseId,
    pub(super) url: u128,
    scheme: Scheme,
    pub(super) place: SeenPlace,
    /// Whether a request for the lease was started since the host got the lease.
    started: bool,
    /// The number of kept-alive connections that broke while they carried a request of this lease, since its
    /// last failure of another kind.
    pub(super) stale: u16,
    /// The number of requests for the lease that the server may have seen.
    pub(super) requests: u16,
    pub(super) attempts: AttemptRange,
    /// The number of failures that count against the lease if they turn out to be its own fault. This is
    /// undecided until a later start of the host is answered.
    pub(super) open: u16,
    /// The time of the lease's latest failed start, and the time of that failure.
    pub(super) failed: Option<(Timestamp, Timestamp)>,
    /// Whether the last outcome was the host's fault and the request is repeatable, so that the lease must
    /// not end.
    pub(super) innocent: bool,
    /// Whether the lease may end as a failure after its last outcome.
    pub(super) may_end: bool,
    /// Whether the store has settled the lease; only its request is still in flight.
    settled: bool,
}

/// The least and the greatest number of attempts that a lease may have used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AttemptRange {
    pub(super) least: u16,
    pub(super) most: u16,
}

impl AttemptRange {
    /// Adds failures that may use up attempts.
    pub(super) fn add_perhaps(&mut self, failures: u16) {
        self.most = self.most.saturating_add(failures);
    }

    /// Records that failures which `add_perhaps` has added before do use up attempts.
    pub(super) fn add_surely(&mut self, failures: u16) {
        self.least = (self.least + failures).min(self.most);
    }

    /// Records that failures which `add_perhaps` has added before do not use up attempts.
    pub(super) fn excuse(&mut self, failures: u16) {
        self.most = self.most.saturating_sub(failures);
        self.least = self.least.min(self.most);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SeenPlace {
    /// The lease is ready or waiting; from outside, these two places look the same.
    Idle,
    InFlight(SeenFlight),
    Parsed,
}

/// A request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenFlight {
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) probe: bool,
}

impl SeenLease {
    fn new(lease: &Lease) -> Self {
        let attempts = lease.record.attempts;
        Self {
            id: lease.id,
            url: lease.record.fingerprint.0,
            scheme: lease.record.scheme,
            place: SeenPlace::Idle,
            started: false,
            stale: 0,
            requests: attempts.requests,
            attempts: AttemptRange { least: attempts.used(), most: attempts.used() },
            open: 0,
            failed: None,
            innocent: false,
            may_end: false,
            settled: false,
        }
    }

    /// Returns the lease's request in flight, if there is one.
    pub(super) fn flight(&self) -> Option<SeenFlight> {
        match self.place {
            SeenPlace::InFlight(flight) => Some(flight),
            SeenPlace::Idle | SeenPlace::Parsed => None,
        }
    }

    /// Whether this lease, if it was not tried yet, could be the probe instead of the lease `probe`. An
    /// errand needs no robots.txt, so an untried errand could replace any probe.
    fn could_replace(&self, probe: &Self) -> bool {
        let untried = self.place == SeenPlace::Idle && self.requests == 0 && !self.started;
        let may_start = self.scheme == probe.scheme && !probe.id.is_errand();
        untried && (may_start || self.id.is_errand())
    }

    /// Checks at a start that the lease has used up no more attempts than failures may count against it
    /// (invariant G7), and no fewer than failures surely count against it (invariant G10).
    fn expect_attempt(&self, start: &Start) -> Result<(), Violation> {
        let AttemptRange { least, most } = self.attempts;
        let used = used_before(start);
        expect(used <= most, Invariant::G7, || {
            format!("{:?} starts attempt {}, it used up {most} at most", self.id, start.attempt)
        })?;
        expect(used >= least, Invariant::G10, || {
            format!("{:?} starts attempt {}, it used up {least} at least", self.id, start.attempt)
        })
    }
}

fn used_before(start: &Start) -> u16 {
    start.attempt.saturating_sub(1)
}

/// The leases that have not ended yet.
#[derive(Clone, Debug, Default)]
pub(super) struct SeenLeases(Vec<SeenLease>);

impl SeenLeases {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, SeenLease> {
        self.0.iter_mut()
    }

    /// Iterates over the requests in flight.
    pub(super) fn flights(&self) -> impl Iterator<Item = SeenFlight> {
        self.0.iter().filter_map(SeenLease::flight)
    }

    /// Returns the number of idle leases and the number of parsed leases.
    pub(super) fn idle_and_parsed(&self) -> (usize, usize) {
        let count = |wanted| self.0.iter().filter(|seen| seen.place == wanted).count();
        (count(SeenPlace::Idle), count(SeenPlace::Parsed))
    }

    pub(super) fn assigned(&mut self, leases: &[Lease]) {
        for lease in leases {
            if self.0.iter().all(|seen| seen.id != lease.id) {
                self.0.push(SeenLease::new(lease));
            }
        }
    }

    /// Records the start of a lease's request. Checks the place of the lease (invariant G4), the attempts that it
    /// has used up (G7, G10), and, if the request is a probe, that the lease may be the probe (G9).
    pub(super) fn started(&mut self, now: Timestamp, start: &Start) -> Result<(), Violation> {
        let place = self.place_of(start.lease.id)?;
        self.expect_probe(place, start.probe)?;
        let seen = &mut self.0[place];
        expect(seen.place == SeenPlace::Idle, Invariant::G4, || {
            format!("{:?} starts from {:?}", seen.id, seen.place)
        })?;
        seen.expect_attempt(start)?;
        seen.attempts.most = used_before(start);
        seen.started = true;
        let flight = SeenFlight { started: now, deadline: start.deadline, probe: start.probe };
        seen.place = SeenPlace::InFlight(flight);
        Ok(())
    }

    /// Checks the invariant G9: a URL that failed in this closing must not be the probe while another URL could be.
    fn expect_probe(&self, place: usize, probe: bool) -> Result<(), Violation> {
        let seen = &self.0[place];
        let suspect = probe && seen.open > 0;
        expect(!suspect || !self.0.iter().any(|other| other.could_replace(seen)), Invariant::G9, || {
            format!("{:?} is the probe, though it failed and others have not", seen.id)
        })
    }

    /// Records that a lease is handed on, with how its URL ended. Checks the place of the lease (invariant G4) and
    /// the number of its requests (G10). Checks of a failed URL that its host was not at fault (G7), and that it had
    /// no attempts left (G11).
    pub(super) fn delivered(
        &mut self,
        id: LeaseId,
        delivery: Delivery,
        attempts: u16,
        parked: bool,
    ) -> Result<(), Violation> {
        let place = self.place_of(id)?;
        let seen = &mut self.0[place];
        expect(seen.place == SeenPlace::Idle, Invariant::G4, || {
            format!("{id:?} ends from {:?}", seen.place)
        })?;
        let requests = seen.requests;
        expect(attempts == requests, Invariant::G10, || {
            format!("{id:?} ends after {attempts} requests, the server saw {requests}")
        })?;
        let failed = matches!(delivery, Delivery::Failure(reason) if reason != Reason::Robots);
        expect(!(failed && seen.innocent) || parked, Invariant::G7, || {
            format!("{id:?} is given up for what its host did")
        })?;
        expect(!failed || seen.may_end || parked, Invariant::G11, || {
            format!("{id:?} is given up, though it had attempts left")
        })?;
        seen.place = SeenPlace::Parsed;
        Ok(())
    }

    /// Removes a lease that goes back to the store.
    pub(super) fn returned(&mut self, id: LeaseId) -> Result<(), Violation> {
        let place = self.place_of(id)?;
        self.0.swap_remove(place);
        Ok(())
    }

    /// Removes leases that the store has settled. A lease in flight stays until its report comes.
    pub(super) fn settled(&mut self, leases: &[LeaseId]) {
        self.0.retain_mut(|seen| {
            let over = leases.contains(&seen.id);
            seen.settled |= over;
            !over || seen.flight().is_some()
        });
    }

    /// Removes settled leases whose request has ended.
    pub(super) fn forget_settled(&mut self) {
        self.0.retain(|seen| !seen.settled || seen.flight().is_some());
    }

    /// Ends the request in flight for a lease; returns the lease's index and the request.
    pub(super) fn land(&mut self, id: LeaseId) -> Option<(usize, SeenFlight)> {
        let place = self.0.iter().position(|seen| seen.id == id)?;
        let flight = self.0[place].flight()?;
        self.0[place].place = SeenPlace::Idle;
        Some((place, flight))
    }

    /// Returns the lease at the index that `land` has returned.
    pub(super) fn at_mut(&mut self, place: usize) -> &mut SeenLease {
        &mut self.0[place]
    }

    /// Ends the requests whose deadline has passed. Their leases may end, since a lease whose requests are
    /// lost too often ends as a failure of the crawler.
    pub(super) fn expire(&mut self, now: Timestamp) {
        for seen in &mut self.0 {
            if seen.flight().is_some_and(|flight| flight.deadline <= now) {
                seen.place = SeenPlace::Idle;
                seen.innocent = false;
                seen.may_end = true;
            }
        }
    }

    /// Allows the idle leases of an origin to end, even if their URLs are not at fault, since the origin's
    /// robots.txt can never be fetched.
    pub(super) fn may_end_origin(&mut self, scheme: Scheme) {
        let waits = |seen: &&mut SeenLease| seen.scheme == scheme && seen.place == SeenPlace::Idle;
        self.0.iter_mut().filter(waits).for_each(|seen| {
            seen.innocent = false;
            seen.may_end = true;
        });
    }

    /// Excuses the refusals that came from a rate limiter of the server. From outside it is not visible which
    /// failures were such refusals, so the least number of used attempts becomes zero.
    pub(super) fn excuse_refusals(&mut self) {
        self.0.iter_mut().for_each(|seen| (seen.attempts.least, seen.open) = (0, 0));
    }

    /// Sets the number of undecided failures of each lease to 0. These failures are not excused.
    pub(super) fn begin_new_row(&mut self) {
        self.0.iter_mut().for_each(|seen| seen.open = 0);
    }

    fn place_of(&self, id: LeaseId) -> Result<usize, Violation> {
        let place = self.0.iter().position(|seen| seen.id == id);
        place.ok_or_else(|| Violation {
            invariant: Invariant::G4,
            text: format!("{id:?} was not assigned, or has ended"),
        })
    }
}
