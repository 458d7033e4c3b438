//! Keeps the leases of a host, each in one place: ready, waiting, in flight, or parsed (handed on to the
//! spider and not settled by the store yet).

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::asleep::lease_form;
use super::message::Start;
use crate::order::Order;
use crate::outcome::Reason;
use crate::record::{Attempts, Lease, LeaseId};
use crate::time::Timestamp;

/// A lease that this host holds, with all that happened to the lease at this host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Pending {
    #[serde(with = "lease_form")]
    pub(super) lease: Lease,
    /// The number of requests made for the lease, and how many of these are excused, so that they do not use
    /// up an attempt.
    pub(super) attempts: Attempts,
    /// The reason for the lease's last failure, which is reported if the lease ends with it. Refusals do not
    /// set it.
    pub(super) fault: Option<Reason>,
    /// The number of the case to which the last failures belong, and how many of these failures count against
    /// the URL so far.
    pub(super) case: Option<(u32, u16)>,
    /// The number of refusals that used up an attempt.
    pub(super) refusals: u16,
    /// The number of the lease's last start that failed.
    pub(super) failed_seq: Option<u32>,
    /// Set if the lease has no attempt left: the lease fails with this reason, unless the open case shows
    /// that the host was at fault.
    pub(super) undecided: Option<Reason>,
    /// Whether the last answer was a 401 or 403 in a run of such answers, which may come from a firewall.
    pub(super) walled: bool,
    /// The number of kept-alive connections that broke while they carried a request of this lease. These
    /// requests count against the URL only if its next attempt fails as well.
    pub(super) stale: u16,
    /// Whether an earlier start was never reported, so that the server may have carried out the request.
    pub(super) resent: bool,
    /// The number of failures on the crawler's side, such as those of a proxy.
    pub(super) ours: u8,
}

impl Pending {
    pub(super) fn new(lease: Lease) -> Self {
        let attempts = lease.record.attempts;
        Self {
            lease,
            attempts,
            fault: None,
            case: None,
            refusals: 0,
            failed_seq: None,
            undecided: None,
            walled: false,
            stale: 0,
            resent: false,
            ours: 0,
        }
    }

    pub(super) fn id(&self) -> LeaseId {
        self.lease.id
    }

    /// Returns the lease's rank; the lease with the highest rank starts first. URLs with fewer than two
    /// failures that count against them rank before all others; then priority decides, then the place in the
    /// crawl's order, then age.
    fn rank(&self, order: Order) -> (bool, i8, Reverse<u16>, Reverse<u64>) {
        let record = &self.lease.record;
        let first = self.attempts.used() < BEHIND_FROM;
        (first, record.priority.0, Reverse(order.place(record)), Reverse(self.lease.id.0))
    }

    /// Returns a sort key for choosing a probe: the smaller it is, the less likely the lease is to fail. A
    /// URL that failed may fail again.
    fn risk(&self) -> (bool, bool, u16) {
        (self.case.is_some(), !self.is_clean(), self.attempts.requests)
    }

    /// Whether the lease has failed before, or a kept-alive connection broke under it. If another connection
    /// breaks, it is unlikely that the connection was just idle for too long.
    pub(super) fn has_failed(&self) -> bool {
        self.stale > 0 || self.failed_seq.is_some()
    }

    /// Whether no request for the lease has failed so far.
    pub(super) fn is_clean(&self) -> bool {
        self.attempts.requests == 0 && self.fault.is_none() && !self.walled && self.stale == 0
    }

    /// Whether the lease has no attempt left because of refusals alone, and waits for the end of the open
    /// case: unless the host was at fault, the lease fails then.
    fn is_refused_for_good(&self) -> bool {
        self.undecided.is_some() && !self.walled && self.fault.is_none()
    }

    /// Whether the lease's last failure belongs to the case with this number.
    pub(super) fn failed_in(&self, case: u32) -> bool {
        self.case.is_some_and(|(failed, _)| failed == case)
    }

    /// Counts a failed request against the URL, unless this case turns out to be the host's fault.
    pub(super) fn charge(&mut self, case: u32, seq: u32) {
        self.attempts.requests = self.attempts.requests.saturating_add(1);
        // The connections that broke before were not just idle for too long, so their requests count, too.
        let stale = std::mem::take(&mut self.stale);
        self.attempts.excused = self.attempts.excused.saturating_sub(stale);
        let before = self.case.filter(|(failed, _)| *failed == case).map_or(0, |(_, charged)| charged);
        self.case = Some((case, before.saturating_add(1).saturating_add(stale)));
        self.failed_seq = Some(seq);
    }

    /// Excuses all refusals of this lease, since they came from a rate limiter of the server.
    fn forgive_refusals(&mut self) {
        let refusals = std::mem::take(&mut self.refusals);
        self.attempts.excused = self.attempts.excused.saturating_add(refusals).min(self.attempts.requests);
        self.case = self.case.filter(|_| refusals == 0);
    }

    /// Counts one request whose kept-alive connection broke. The request is excused for now.
    pub(super) fn note_stale(&mut self) {
        self.attempts.requests = self.attempts.requests.saturating_add(1);
        self.attempts.excused = self.attempts.excused.saturating_add(1);
        self.stale = self.stale.saturating_add(1);
    }

    /// Excuses the failures that belong to this case, since the host was at fault.
    pub(super) fn excuse(&mut self, case: u32) {
        if let Some((failed, charged)) = &mut self.case
            && *failed == case
        {
            self.attempts.excused = self.attempts.excused.saturating_add(std::mem::take(charged));
            self.refusals = 0;
            self.undecided = None;
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

/// A lease whose request is in flight.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InFlight {
    pub(super) pending: Pending,
    /// The number of the request's start.
    pub(super) seq: u32,
    pub(super) started: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) probe: bool,
    /// Whether the store has settled the lease since this request was started. The lease counts as in flight
    /// until the request's report comes. The host learns from that report, but nothing else is done for the lease.
    pub(super) settled: bool,
}

/// All leases of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LeaseTable {
    /// The leases that may start as soon as the gate allows, sorted by rank, the best last.
    ready: Vec<Pending>,
    /// The leases whose next attempt is not due yet, sorted by due time, the earliest last.
    waiting: Vec<(Timestamp, Pending)>,
    /// The leases whose request is in flight, sorted by start, and so by deadline.
    #[serde(skip)]
    in_flight: Vec<InFlight>,
    parsed: Vec<LeaseId>,
}

impl LeaseTable {
    pub(super) fn ready(&self) -> &[Pending] {
        &self.ready
    }

    pub(super) fn waiting(&self) -> &[(Timestamp, Pending)] {
        &self.waiting
    }

    pub(super) fn in_flight(&self) -> &[InFlight] {
        &self.in_flight
    }

    pub(super) fn parsed(&self) -> &[LeaseId] {
        &self.parsed
    }

    /// Returns the number of leases that are not handed on yet.
    pub(super) fn open(&self) -> usize {
        self.ready.len() + self.waiting.len() + self.in_flight.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open() == 0 && self.parsed.is_empty()
    }

    pub(super) fn holds(&self, id: LeaseId) -> bool {
        self.ready.iter().any(|pending| pending.id() == id)
            || self.waiting.iter().any(|(_, pending)| pending.id() == id)
            || self.in_flight.iter().any(|flying| flying.pending.id() == id)
            || self.parsed.contains(&id)
    }

    pub(super) fn admit(&mut self, pending: Pending, order: Order) {
        let rank = pending.rank(order);
        let place = self.ready.partition_point(|other| other.rank(order) < rank);
        grow(&mut self.ready);
        self.ready.insert(place, pending);
    }

    pub(super) fn wait(&mut self, due: Timestamp, pending: Pending) {
        let place = self.waiting.partition_point(|(other, _)| *other > due);
        grow(&mut self.waiting);
        self.waiting.insert(place, (due, pending));
    }

    /// Moves the waiting leases that are due to the ready leases.
    pub(super) fn wake(&mut self, now: Timestamp, order: Order) {
        while self.waiting.last().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, pending)) = self.waiting.pop() {
                self.admit(pending, order);
            }
        }
    }

    /// Returns the index of the best ready lease that `may_start` allows.
    pub(super) fn best(&self, may_start: impl Fn(&Pending) -> bool) -> Option<usize> {
        self.ready.iter().rposition(may_start)
    }

    /// Returns the index of the ready lease that makes the best probe: the lease that failed least, and among
    /// equals the lease with the best rank. `may_start` selects the leases to choose from.
    pub(super) fn safest(&self, may_start: impl Fn(&Pending) -> bool) -> Option<usize> {
        let places = self.ready.iter().enumerate().rev();
        places
            .filter(|(_, pending)| may_start(pending))
            .min_by_key(|(_, pending)| pending.risk())
            .map(|(place, _)| place)
    }

    /// Iterates over the leases that are not in flight: the ready ones, best first, then the waiting ones,
    /// earliest first.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Pending> {
        self.ready.iter().rev().chain(self.waiting.iter().rev().map(|(_, pending)| pending))
    }

    /// Whether there are leases that wait for the end of a case, and no leases besides these.
    pub(super) fn only_undecided(&self) -> bool {
        self.has_undecided()
            && self.ready.is_empty()
            && self.in_flight.is_empty()
            && self.waiting.iter().all(|(_, pending)| pending.undecided.is_some())
    }

    /// Whether at least one lease waits for the end of a case.
    pub(super) fn has_undecided(&self) -> bool {
        // Leases that wait for the end of a case are due after all others, so they come first in `waiting`.
        self.waiting.first().is_some_and(|(_, pending)| pending.undecided.is_some())
    }

    /// Removes and returns the leases that wait for the end of a case and that `wanted` selects.
    pub(super) fn take_undecided(&mut self, wanted: impl Fn(&Pending) -> bool) -> Vec<Pending> {
        let taken =
            self.waiting.extract_if(.., |(_, pending)| pending.undecided.is_some() && wanted(pending));
        taken.map(|(_, pending)| pending).collect()
    }

    /// Excuses the refusals of all leases so far, since they came from a rate limiter of the server.
    pub(super) fn forgive_refusals(&mut self, order: Order) {
        let waiting = self.waiting.iter_mut().map(|(_, pending)| pending);
        let in_flight = self.in_flight.iter_mut().map(|flying| &mut flying.pending);
        self.ready.iter_mut().chain(waiting).chain(in_flight).for_each(Pending::forgive_refusals);
        let freed: Vec<_> =
            self.waiting.extract_if(.., |(_, pending)| pending.is_refused_for_good()).collect();
        for (_, mut pending) in freed {
            pending.undecided = None;
            self.admit(pending, order);
        }
        self.ready.sort_by_key(|pending| pending.rank(order));
    }

    /// Assigns to this case the failures of all URLs that were answered with 401 or 403 in a row, even before
    /// the case was opened.
    pub(super) fn summon_walled(&mut self, number: u32) {
        let walled = self.waiting.iter_mut().filter(|(_, pending)| pending.walled);
        walled.filter_map(|(_, pending)| pending.case.as_mut()).for_each(|(case, _)| *case = number);
    }

    /// Excuses the failures of a case, since the host was at fault. Leases that wait because of this case
    /// become ready: they need no wait of their own, since the host is held.
    pub(super) fn excuse(&mut self, case: u32, order: Order) {
        let idle = self.ready.iter_mut();
        idle.chain(self.in_flight.iter_mut().map(|flying| &mut flying.pending))
            .for_each(|pending| pending.excuse(case));
        let freed: Vec<_> = self.waiting.extract_if(.., |(_, pending)| pending.failed_in(case)).collect();
        for (_, mut pending) in freed {
            pending.excuse(case);
            self.admit(pending, order);
        }
        // An excused URL regains its old rank.
        self.ready.sort_by_key(|pending| pending.rank(order));
    }

    pub(super) fn take_ready(&mut self, place: usize) -> Pending {
        self.ready.remove(place)
    }

    pub(super) fn put_in_flight(&mut self, flying: InFlight) {
        grow(&mut self.in_flight);
        self.in_flight.push(flying);
    }

    /// Removes the lease with this id from the leases in flight and returns it, if it is there.
    pub(super) fn land(&mut self, id: LeaseId) -> Option<InFlight> {
        let place = self.in_flight.iter().position(|flying| flying.pending.id() == id)?;
        Some(self.in_flight.remove(place))
    }

    /// Removes and returns the oldest lease in flight, if the deadline of its request has passed.
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<InFlight> {
        self.in_flight.first().filter(|flying| flying.deadline <= now)?;
        Some(self.in_flight.remove(0))
    }

    pub(super) fn hand_on(&mut self, id: LeaseId) {
        self.parsed.push(id);
    }

    /// Removes and returns the lease with this id, if it is ready or waiting.
    pub(super) fn take_idle(&mut self, id: LeaseId) -> Option<Pending> {
        if let Some(place) = self.ready.iter().position(|pending| pending.id() == id) {
            return Some(self.ready.remove(place));
        }
        let place = self.waiting.iter().position(|(_, pending)| pending.id() == id)?;
        Some(self.waiting.remove(place).1)
    }

    /// Removes and returns any lease that is ready or waiting. If the lease was waiting, its due time is
    /// returned, too.
    pub(super) fn take_any_idle(&mut self) -> Option<(Option<Timestamp>, Pending)> {
        if let Some(pending) = self.ready.pop() {
            return Some((None, pending));
        }
        self.waiting.pop().map(|(due, pending)| (Some(due), pending))
    }

    /// Removes and returns all leases that are not handed on, except those that the store has settled.
    pub(super) fn abandon(&mut self) -> Vec<Lease> {
        let ready = self.ready.drain(..);
        let waiting = self.waiting.drain(..).map(|(_, pending)| pending);
        let in_flight =
            self.in_flight.drain(..).filter(|flying| !flying.settled).map(|flying| flying.pending);
        ready.chain(waiting).chain(in_flight).map(|pending| pending.lease).collect()
    }

    /// Removes a settled lease from its place. A lease in flight stays until its report comes, since its
    /// request still runs.
    pub(super) fn settle(&mut self, id: LeaseId) {
        if let Some(place) = self.parsed.iter().position(|other| *other == id) {
            self.parsed.swap_remove(place);
        } else if let Some(flying) = self.in_flight.iter_mut().find(|flying| flying.pending.id() == id) {
            flying.settled = true;
        } else {
            self.take_idle(id);
        }
    }

    /// Frees memory that an idle host does not need.
    pub(super) fn shrink(&mut self) {
        *self = Self {
            ready: shrunk(std::mem::take(&mut self.ready)),
            waiting: shrunk(std::mem::take(&mut self.waiting)),
            in_flight: shrunk(std::mem::take(&mut self.in_flight)),
            parsed: shrunk(std::mem::take(&mut self.parsed)),
        };
    }

    /// Returns a lease that is in two places, if there is one: this would be a bug.
    pub(super) fn duplicate(&self) -> Option<LeaseId> {
        let mut ids: Vec<LeaseId> = self
            .ready
            .iter()
            .map(Pending::id)
            .chain(self.waiting.iter().map(|(_, pending)| pending.id()))
            .chain(self.in_flight.iter().map(|flying| flying.pending.id()))
            .chain(self.parsed.iter().copied())
            .collect();
        ids.sort_unstable();
        ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

/// A URL with at least this many failures that count against it starts after all other URLs.
const BEHIND_FROM: u16 = 2;

/// Makes room for exactly one more element in a short list: most hosts of a large crawl hold one lease, and a
/// `Vec` would begin with room for four.
fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() && list.len() < FEW {
        list.reserve_exact(1);
    }
}

const FEW: usize = 4;

fn shrunk<T>(mut list: Vec<T>) -> Vec<T> {
    if list.is_empty() {
        list = Vec::new();
    }
    list
}
