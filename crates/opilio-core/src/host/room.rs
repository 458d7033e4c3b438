//! The places of a host's leases: ready, waiting, in flight, parsed.

use std::cmp::Reverse;

use super::message::Start;
use crate::order::Order;
use crate::outcome::Reason;
use crate::record::{Attempts, Lease, LeaseId};
use crate::time::Timestamp;

/// A lease, and what this host has seen of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ticket {
    pub(super) lease: Lease,
    /// Requests made for it, and how many of them are excused.
    pub(super) attempts: Attempts,
    /// Its last fault of its own, or of the host while it was at it.
    pub(super) fault: Option<Reason>,
    /// The case in which it failed last, and how often it did in that case without being excused.
    pub(super) case: Option<(u32, u16)>,
    /// Refusals that it has paid for.
    pub(super) refusals: u16,
    /// The start that failed last.
    pub(super) failed_seq: Option<u32>,
    /// It ends so unless the open case is found to be the host's: it waits for that.
    pub(super) pending: Option<Reason>,
    /// It was refused as forbidden, and others beside it: perhaps a wall.
    pub(super) walled: bool,
    /// Kept-alive connections that died under it: free, unless its next attempt fails as well.
    pub(super) stale: u16,
    /// A start of it was never reported, so that the request may have been carried out.
    pub(super) resent: bool,
    /// Times that something of ours failed.
    pub(super) ours: u8,
}

impl Ticket {
    pub(super) fn new(lease: Lease) -> Self {
        let attempts = lease.record.attempts;
        Self {
            lease,
            attempts,
            fault: None,
            case: None,
            refusals: 0,
            failed_seq: None,
            pending: None,
            walled: false,
            stale: 0,
            resent: false,
            ours: 0,
        }
    }

    pub(super) fn id(&self) -> LeaseId {
        self.lease.id
    }

    /// The higher goes first: what has not paid twice already, priority, then a low place in the
    /// crawl's order, then age.
    fn rank(&self, order: Order) -> (bool, i8, Reverse<u16>, Reverse<u64>) {
        let record = &self.lease.record;
        let first = self.attempts.used() < BEHIND_FROM;
        (first, record.priority.0, Reverse(order.place(record)), Reverse(self.lease.id.0))
    }

    /// How likely it is to fail as a probe: what failed before may fail again.
    fn risk(&self) -> (bool, bool, u16) {
        (self.case.is_some(), !self.is_clean(), self.attempts.requests)
    }

    /// Whether a connection that dies under it did not die of age.
    pub(super) fn has_failed(&self) -> bool {
        self.stale > 0 || self.failed_seq.is_some()
    }

    /// Whether nothing is known against it.
    pub(super) fn is_clean(&self) -> bool {
        self.attempts.requests == 0 && self.fault.is_none() && !self.walled && self.stale == 0
    }

    /// Whether it waits to end for a refusal.
    fn is_refused_for_good(&self) -> bool {
        self.pending.is_some() && !self.walled && self.fault.is_none()
    }

    /// Whether it failed in this case.
    pub(super) fn failed_in(&self, case: u32) -> bool {
        self.case.is_some_and(|(failed, _)| failed == case)
    }

    /// Counts one request that failed on its own account, unless this case is found to be the host's.
    pub(super) fn charge(&mut self, case: u32, seq: u32) {
        self.attempts.requests = self.attempts.requests.saturating_add(1);
        // The connections that died before were not too old, then.
        let stale = std::mem::take(&mut self.stale);
        self.attempts.excused = self.attempts.excused.saturating_sub(stale);
        let before = self.case.filter(|(failed, _)| *failed == case).map_or(0, |(_, charged)| charged);
        self.case = Some((case, before.saturating_add(1).saturating_add(stale)));
        self.failed_seq = Some(seq);
    }

    /// A limiter explains the refusals: none of them counts.
    fn forgive_refusals(&mut self) {
        let refusals = std::mem::take(&mut self.refusals);
        self.attempts.excused = self.attempts.excused.saturating_add(refusals).min(self.attempts.requests);
        self.case = self.case.filter(|_| refusals == 0);
    }

    /// Counts one request that found its kept-alive connection dead.
    pub(super) fn note_stale(&mut self) {
        self.attempts.requests = self.attempts.requests.saturating_add(1);
        self.attempts.excused = self.attempts.excused.saturating_add(1);
        self.stale = self.stale.saturating_add(1);
    }

    /// The case is the host's: what failed in it does not count.
    pub(super) fn excuse(&mut self, case: u32) {
        if let Some((failed, charged)) = &mut self.case
            && *failed == case
        {
            self.attempts.excused = self.attempts.excused.saturating_add(std::mem::take(charged));
            self.refusals = 0;
            self.pending = None;
            if std::mem::take(&mut self.walled) {
                self.fault = None;
            }
        }
    }

    pub(super) fn start(&self, deadline: Timestamp, probe: bool) -> Start {
        Start {
            lease: self.lease.clone(),
            attempt: self.attempts.used().saturating_add(1),
            deadline,
            probe,
            resent: self.resent,
            failed_before: self.has_failed(),
        }
    }
}

/// An attempt under way.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flight {
    pub(super) ticket: Ticket,
    /// The number of its start.
    pub(super) seq: u32,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) probe: bool,
    /// It was settled meanwhile: it still counts as in flight, but nobody waits for it.
    pub(super) settled: bool,
}

/// All leases of a host.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Room {
    /// By rank, the best last.
    ready: Vec<Ticket>,
    /// By due time, the earliest last.
    waiting: Vec<(Timestamp, Ticket)>,
    /// In the order of their starts, hence of their deadlines.
    flights: Vec<Flight>,
    parsed: Vec<LeaseId>,
}

impl Room {
    pub(super) fn ready(&self) -> &[Ticket] {
        &self.ready
    }

    pub(super) fn waiting(&self) -> &[(Timestamp, Ticket)] {
        &self.waiting
    }

    pub(super) fn flights(&self) -> &[Flight] {
        &self.flights
    }

    pub(super) fn parsed(&self) -> &[LeaseId] {
        &self.parsed
    }

    /// Leases that are not handed on yet.
    pub(super) fn open(&self) -> usize {
        self.ready.len() + self.waiting.len() + self.flights.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open() == 0 && self.parsed.is_empty()
    }

    pub(super) fn holds(&self, id: LeaseId) -> bool {
        self.ready.iter().any(|ticket| ticket.id() == id)
            || self.waiting.iter().any(|(_, ticket)| ticket.id() == id)
            || self.flights.iter().any(|flight| flight.ticket.id() == id)
            || self.parsed.contains(&id)
    }

    pub(super) fn admit(&mut self, ticket: Ticket, order: Order) {
        let rank = ticket.rank(order);
        let place = self.ready.partition_point(|other| other.rank(order) < rank);
        self.ready.insert(place, ticket);
    }

    pub(super) fn wait(&mut self, due: Timestamp, ticket: Ticket) {
        let place = self.waiting.partition_point(|(other, _)| *other > due);
        self.waiting.insert(place, (due, ticket));
    }

    /// Moves the retries that are due to the ready ones.
    pub(super) fn wake(&mut self, now: Timestamp, order: Order) {
        while self.waiting.last().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, ticket)) = self.waiting.pop() {
                self.admit(ticket, order);
            }
        }
    }

    /// The place of the best ready lease among those that `may_start`.
    pub(super) fn best(&self, may_start: impl Fn(&Ticket) -> bool) -> Option<usize> {
        self.ready.iter().rposition(may_start)
    }

    /// The place of the ready lease that makes the best probe: it failed least, and is first in order.
    pub(super) fn safest(&self, may_start: impl Fn(&Ticket) -> bool) -> Option<usize> {
        let places = self.ready.iter().enumerate().rev();
        places
            .filter(|(_, ticket)| may_start(ticket))
            .min_by_key(|(_, ticket)| ticket.risk())
            .map(|(place, _)| place)
    }

    /// The leases that are not in flight: the next one to start first, then those that wait.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Ticket> {
        self.ready.iter().rev().chain(self.waiting.iter().rev().map(|(_, ticket)| ticket))
    }

    /// Whether there are leases, and all of them wait for the end of a case.
    pub(super) fn only_pending(&self) -> bool {
        self.has_pending()
            && self.ready.is_empty()
            && self.flights.is_empty()
            && self.waiting.iter().all(|(_, ticket)| ticket.pending.is_some())
    }

    /// Whether a lease waits for the end of a case, and for nothing else.
    pub(super) fn has_pending(&self) -> bool {
        // They are due last of all.
        self.waiting.first().is_some_and(|(_, ticket)| ticket.pending.is_some())
    }

    /// Takes the leases that wait for the end of a case and are such as `wanted`.
    pub(super) fn take_pending(&mut self, wanted: impl Fn(&Ticket) -> bool) -> Vec<Ticket> {
        let taken = self.waiting.extract_if(.., |(_, ticket)| ticket.pending.is_some() && wanted(ticket));
        taken.map(|(_, ticket)| ticket).collect()
    }

    /// A limiter explains the refusals so far: nobody pays for them.
    pub(super) fn forgive_refusals(&mut self, order: Order) {
        let waiting = self.waiting.iter_mut().map(|(_, ticket)| ticket);
        let flights = self.flights.iter_mut().map(|flight| &mut flight.ticket);
        self.ready.iter_mut().chain(waiting).chain(flights).for_each(Ticket::forgive_refusals);
        let freed: Vec<_> = self.waiting.extract_if(.., |(_, ticket)| ticket.is_refused_for_good()).collect();
        for (_, mut ticket) in freed {
            ticket.pending = None;
            self.admit(ticket, order);
        }
        self.ready.sort_by_key(|ticket| ticket.rank(order));
    }

    /// Those that were forbidden in a row belong to this case, whenever that was.
    pub(super) fn summon_walled(&mut self, number: u32) {
        let walled = self.waiting.iter_mut().filter(|(_, ticket)| ticket.walled);
        walled.filter_map(|(_, ticket)| ticket.case.as_mut()).for_each(|(case, _)| *case = number);
    }

    /// A case is the host's: excuses what failed in it. What waited is ready again, since the host's
    /// hold is the wait.
    pub(super) fn excuse(&mut self, case: u32, order: Order) {
        let idle = self.ready.iter_mut();
        idle.chain(self.flights.iter_mut().map(|flight| &mut flight.ticket))
            .for_each(|ticket| ticket.excuse(case));
        let freed: Vec<_> = self.waiting.extract_if(.., |(_, ticket)| ticket.failed_in(case)).collect();
        for (_, mut ticket) in freed {
            ticket.excuse(case);
            self.admit(ticket, order);
        }
        // Who is excused has its old rank again.
        self.ready.sort_by_key(|ticket| ticket.rank(order));
    }

    pub(super) fn take_ready(&mut self, place: usize) -> Ticket {
        self.ready.remove(place)
    }

    pub(super) fn fly(&mut self, flight: Flight) {
        self.flights.push(flight);
    }

    /// Ends an attempt, if it is under way.
    pub(super) fn land(&mut self, id: LeaseId) -> Option<Flight> {
        let place = self.flights.iter().position(|flight| flight.ticket.id() == id)?;
        Some(self.flights.remove(place))
    }

    /// The oldest attempt, if its deadline has passed.
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<Flight> {
        self.flights.first().filter(|flight| flight.deadline <= now)?;
        Some(self.flights.remove(0))
    }

    pub(super) fn hand_on(&mut self, id: LeaseId) {
        self.parsed.push(id);
    }

    /// Takes a lease that was not started.
    pub(super) fn take_idle(&mut self, id: LeaseId) -> Option<Ticket> {
        if let Some(place) = self.ready.iter().position(|ticket| ticket.id() == id) {
            return Some(self.ready.remove(place));
        }
        let place = self.waiting.iter().position(|(_, ticket)| ticket.id() == id)?;
        Some(self.waiting.remove(place).1)
    }

    /// Takes any lease that was not started, with the time at which it is due if it waits.
    pub(super) fn take_any_idle(&mut self) -> Option<(Option<Timestamp>, Ticket)> {
        if let Some(ticket) = self.ready.pop() {
            return Some((None, ticket));
        }
        self.waiting.pop().map(|(due, ticket)| (Some(due), ticket))
    }

    /// Forgets a settled lease wherever it is. One in flight stays until it lands, as the request
    /// itself is still under way.
    pub(super) fn settle(&mut self, id: LeaseId) {
        if let Some(place) = self.parsed.iter().position(|other| *other == id) {
            self.parsed.swap_remove(place);
        } else if let Some(flight) = self.flights.iter_mut().find(|flight| flight.ticket.id() == id) {
            flight.settled = true;
        } else {
            self.take_idle(id);
        }
    }

    /// Gives memory back that an idle host does not need.
    pub(super) fn shrink(&mut self) {
        *self = Self {
            ready: shrunk(std::mem::take(&mut self.ready)),
            waiting: shrunk(std::mem::take(&mut self.waiting)),
            flights: shrunk(std::mem::take(&mut self.flights)),
            parsed: shrunk(std::mem::take(&mut self.parsed)),
        };
    }

    /// The first lease that is in two places.
    pub(super) fn duplicate(&self) -> Option<LeaseId> {
        let mut ids: Vec<LeaseId> = self
            .ready
            .iter()
            .map(Ticket::id)
            .chain(self.waiting.iter().map(|(_, ticket)| ticket.id()))
            .chain(self.flights.iter().map(|flight| flight.ticket.id()))
            .chain(self.parsed.iter().copied())
            .collect();
        ids.sort_unstable();
        ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

/// A URL that has paid so many times goes behind those that have not.
const BEHIND_FROM: u16 = 2;

fn shrunk<T>(mut list: Vec<T>) -> Vec<T> {
    if list.is_empty() {
        list = Vec::new();
    }
    list
}
