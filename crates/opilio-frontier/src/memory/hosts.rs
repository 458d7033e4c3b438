//! The hosts that the store knows, their queues of records, and the order in which the store returns hosts.

use std::collections::HashMap;

use opilio_core::{Host, Record};

use super::packed::Packed;
use super::queue::{Band, Queue, Rank};
use crate::caps::{Caps, Room, Spent};
use crate::turn::{HostLines, HostTurn, LinePart};
use opilio_core::Order;

/// The number of a host: its index among all hosts, in the order in which the store first saw them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct HostId(u32);

/// All hosts, and the order in which `hosts_ready` returns those that have due records.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    ids: HashMap<Host, HostId>,
    all: Vec<KnownHost>,
    lines: HostLines<HostId>,
    /// The host of the last look-up. Most look-ups are for the same host as the one before, because links come in
    /// runs of one host.
    last: Option<HostId>,
    order: Order,
    /// The caps of each host. `None` when no host has a cap.
    caps: Option<Caps>,
}

#[derive(Debug)]
struct KnownHost {
    host: Host,
    queue: Queue,
    turn: HostTurn,
    /// The number of leases of the host that are not settled.
    out: u32,
    spent: Spent,
    /// The depth of the host's next record, if that record has to wait until smaller depths are finished.
    waits_at: Option<u16>,
}

impl Hosts {
    pub(super) fn new(order: Order, caps: Caps) -> Self {
        Self { order, caps: (!caps.are_none()).then_some(caps), ..Self::default() }
    }

    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn caps(&self) -> Option<&Caps> {
        self.caps.as_ref()
    }

    /// Returns how many more leases the caps of a host allow.
    pub(super) fn room(&self, host: HostId) -> Room {
        let known = self.known(host);
        let of = |caps: &Caps| caps.of(&known.host).room(known.spent, u64::from(known.out));
        self.caps.as_ref().map_or(Room::Open(u64::MAX), of)
    }

    pub(super) fn spent(&mut self, host: HostId) -> &mut Spent {
        &mut self.known_mut(host).spent
    }

    /// Adds one to the number of a host's unsettled leases.
    pub(super) fn lease_out(&mut self, host: HostId) {
        self.known_mut(host).out += 1;
    }

    /// Subtracts one from the number of a host's unsettled leases.
    pub(super) fn lease_over(&mut self, host: HostId) {
        let known = self.known_mut(host);
        known.out = known.out.saturating_sub(1);
    }

    /// Returns the depth of the host's next record, if that record has to wait for records of smaller depths.
    pub(super) fn waits_at(&self, host: HostId) -> Option<u16> {
        self.known(host).waits_at
    }

    pub(super) fn set_waiting(&mut self, host: HostId, at: Option<u16>) {
        self.known_mut(host).waits_at = at;
    }

    /// Records that a host no longer waits for records of smaller depths, and adds it to the line of ready hosts if
    /// it has due records.
    pub(super) fn wait_no_more(&mut self, host: HostId) {
        self.known_mut(host).waits_at = None;
        if self.has_work(host) {
            self.join_line(host);
        }
    }

    /// Returns the band (priority and place in the order) of a host's next record.
    pub(super) fn next_band(&self, host: HostId) -> Option<Band> {
        self.known(host).queue.next_band()
    }

    pub(super) fn has_work(&self, host: HostId) -> bool {
        !self.known(host).queue.is_empty()
    }

    pub(super) fn name(&self, host: HostId) -> &Host {
        &self.known(host).host
    }

    /// Returns the number of a host. A host that the store does not know yet gets a number.
    pub(super) fn id_of(&mut self, host: &Host) -> HostId {
        if let Some(last) = self.last
            && self.known(last).host == *host
        {
            return last;
        }
        let id = self.find(host).unwrap_or_else(|| self.add(host));
        self.last = Some(id);
        id
    }

    fn add(&mut self, host: &Host) -> HostId {
        let id = HostId(u32::try_from(self.all.len()).expect("memory ends before four billion hosts"));
        self.ids.insert(host.clone(), id);
        let (queue, spent) = (Queue::default(), Spent::default());
        self.all.push(KnownHost {
            host: host.clone(),
            queue,
            turn: HostTurn::NONE,
            out: 0,
            spent,
            waits_at: None,
        });
        id
    }

    pub(super) fn find(&self, host: &Host) -> Option<HostId> {
        self.ids.get(host).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Queues a record that is younger than all other records of its host.
    pub(super) fn push(&mut self, host: HostId, age: u64, record: &Record) {
        let order = self.order;
        self.known_mut(host).queue.push(age, record, order);
        self.join_line(host);
    }

    /// Queues a record at the place that it had before it was leased.
    pub(super) fn put_back(&mut self, host: HostId, rank: Rank, packed: Packed) {
        self.known_mut(host).queue.put_back(rank, packed);
        self.join_line(host);
    }

    /// Removes and returns the record of a host that is leased next.
    pub(super) fn pop(&mut self, host: HostId) -> Option<(Rank, Record)> {
        let order = self.order;
        let KnownHost { host, queue, .. } = self.known_mut(host);
        queue.pop(host, order)
    }

    /// Records that the caller got fewer leases of the host than wanted. From now on the store returns the host before
    /// others when it has due records.
    pub(super) fn short(&mut self, host: HostId) {
        self.known_mut(host).turn.short();
    }

    /// Records that the caller leases no more records of the host, so that it waits in line as other hosts do.
    pub(super) fn stop_leasing(&mut self, host: HostId) {
        self.known_mut(host).turn.stop();
        if self.has_work(host) {
            self.join_line(host);
        }
    }

    /// Removes the hosts whose last lease came back short from those that wait, and at most `n` others, and returns
    /// them. From now on the caller leases their records.
    pub(super) fn ready(&mut self, n: usize) -> Vec<Host> {
        let mut ready = Vec::with_capacity(n.min(self.all.len()));
        let mut others = n;
        while let Some((id, waited)) = self.lines.next(others > 0) {
            if !self.known_mut(id).turn.called(waited) {
                continue;
            }
            // While the host waited, its records may have been leased, or its caps may have been reached.
            let has_room = !matches!(self.room(id), Room::Open(0) | Room::Closed(_));
            let is_ready = has_room && self.has_work(id) && self.waits_at(id).is_none();
            let known = self.known_mut(id);
            known.turn.tell(is_ready);
            if is_ready {
                others -= usize::from(waited == LinePart::InLine);
                ready.push(known.host.clone());
            }
        }
        ready
    }

    /// Adds a host that has due records to those that wait for `hosts_ready` to return them, unless it waits already
    /// or the caller is leasing its records.
    pub(super) fn join_line(&mut self, id: HostId) {
        let known = &mut self.all[id.0 as usize];
        if known.waits_at.is_none() {
            self.lines.join(id, &mut known.turn);
        }
    }

    fn known(&self, id: HostId) -> &KnownHost {
        &self.all[id.0 as usize]
    }

    fn known_mut(&mut self, id: HostId) -> &mut KnownHost {
        &mut self.all[id.0 as usize]
    }
}
