//! Performs the decisions of [`Dispatch`](opilio_core::scheduling::Dispatch): sends the shards leases, errands, and
//! those URLs that end without a request.

use std::collections::{HashMap, HashSet};

use opilio_core::scheduling::{DispatchInput, Waking, WantAnswer};
use opilio_core::{Host, Lease, LeaseId, Timestamp};
use opilio_frontier::{Decided, FrontierError, Settlement};

use super::{Effect, Scheduler};
use crate::message::{Assign, AssignedErrand, Work};

/// The redirected URLs that were sent to shards because their redirect target was known already. Such a URL ends
/// with the same result as its target, and the shard reports that end.
#[derive(Default)]
pub(super) struct Decisions {
    out: HashSet<LeaseId>,
    /// Whether the store may hold more redirected URLs of this kind.
    more: bool,
}

impl Decisions {
    /// Records that a lease has a result. If the lease is one of these redirected URLs, it is no longer counted.
    pub(super) fn end(&mut self, lease: LeaseId) {
        self.out.remove(&lease);
    }

    pub(super) fn has_more(&self) -> bool {
        self.more
    }
}

impl Scheduler {
    /// Sends the shards the leases, the errands and the orders for their hosts.
    pub(super) fn lease(&mut self, now: Timestamp) -> Result<(), FrontierError> {
        let asked = self.dispatch.room();
        let hosts = self.frontier.hosts_ready(now, asked)?;
        self.dispatch.handle(DispatchInput::Ready { hosts, asked });
        let work = self.work(now)?;
        let decided = self.decided()?;
        let (errands, kept) = (self.errands()?, self.ledger.confirmed());
        let orders = std::mem::take(&mut self.outgoing.orders);
        let mut by_shard: Vec<Assign> = (0..self.tally.shards()).map(|_| Assign::default()).collect();
        for work in work {
            by_shard[self.shard_of(&work.host)].work.push(work);
        }
        for errand in errands {
            by_shard[self.shard_of(&errand.errand.host)].errands.push(errand);
        }
        for order in orders {
            by_shard[self.shard_of(&order.host)].orders.push(order);
        }
        for (host, stamp) in kept {
            by_shard[self.shard_of(&host)].kept.push((host, stamp));
        }
        for one in decided {
            by_shard[self.shard_of(&one.lease.record.host)].decided.push(one);
        }
        for (shard, assign) in by_shard.into_iter().enumerate() {
            if !assign.is_empty() {
                self.effects.push(Effect::Assign { shard, assign });
            }
        }
        Ok(())
    }

    /// Takes the errands that wait to be sent. If the host of an errand becomes live for that errand, the host's
    /// saved state (memo) is added. Such a host then asks for leases itself.
    fn errands(&mut self) -> Result<Vec<AssignedErrand>, FrontierError> {
        let mut assigned = Vec::new();
        for errand in std::mem::take(&mut self.outgoing.errands) {
            let memo = match self.dispatch.errand(&errand.host) {
                Waking::Starts => {
                    self.outgoing.wake(&errand.host);
                    self.frontier.host_memo(&errand.host)?
                }
                Waking::No => None,
            };
            assigned.push(AssignedErrand { errand, memo });
        }
        Ok(assigned)
    }

    /// Takes redirected URLs whose redirect target was known already from the store. Each ends with the same result
    /// as its target.
    fn decided(&mut self) -> Result<Vec<Decided>, FrontierError> {
        let room = DECIDED_MAX.saturating_sub(self.decisions.out.len());
        let mut decided = Vec::new();
        self.decisions.more = false;
        if room > 0 && !self.dispatch.is_stopped() {
            self.decisions.more = self.frontier.decided(room, &mut decided)?;
            self.decisions.out.extend(decided.iter().map(|one| one.lease.id));
        }
        Ok(decided)
    }

    /// Leases URLs to live hosts that have room for more leases, and to hosts that become live with these leases.
    fn work(&mut self, now: Timestamp) -> Result<Vec<Work>, FrontierError> {
        let wants = self.dispatch.lease(self.tally.store_counts(&self.frontier.stats()));
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let mut leases = Vec::new();
        self.frontier.lease(&wants, now, &mut leases)?;
        let filtered = self.keep_in_scope(now, &mut leases)?;
        leases.iter().for_each(|lease| self.known.learn(&lease.record));
        let mut work = group(leases);
        let served: HashMap<Host, usize> =
            work.iter().enumerate().map(|(at, work)| (work.host.clone(), at)).collect();
        for want in wants {
            let at = served.get(&want.host).copied();
            let answer = match at {
                Some(_) => WantAnswer::Leases,
                None if filtered.contains(&want.host) => WantAnswer::Filtered,
                None => WantAnswer::Nothing,
            };
            let host = want.host.clone();
            let waking = self.dispatch.answer(want, answer);
            match at {
                Some(at) if waking == Waking::Starts => {
                    self.outgoing.wake(&host);
                    work[at].memo = self.frontier.host_memo(&host)?;
                }
                // There was nothing for it to start with.
                None if !self.dispatch.is_live(&host) => self.frontier.stop_leasing(&host)?,
                Some(_) | None => {}
            }
        }
        Ok(work)
    }

    /// Ends those leases whose URLs were queued by an earlier run and are not in the scope of this run. Returns the
    /// hosts of the ended leases.
    fn keep_in_scope(
        &mut self,
        now: Timestamp,
        leases: &mut Vec<Lease>,
    ) -> Result<HashSet<Host>, FrontierError> {
        let mut hosts = HashSet::new();
        let Some(queued) = &self.queued else { return Ok(hosts) };
        let mut settlements = Vec::new();
        leases.retain(|Lease { id, record }| {
            let refused = queued.settings.scope.refuses_queued(record, queued.hosts);
            if let Some(why) = refused {
                tracing::debug!(url = %record.url, %why, "a URL that an earlier run queued is outside the scope of this run");
                settlements.push(Settlement::filtered(*id, why));
                if !hosts.contains(&record.host) {
                    hosts.insert(record.host.clone());
                }
            }
            refused.is_none()
        });
        if !settlements.is_empty() {
            self.commit(now, settlements, &[])?;
        }
        Ok(hosts)
    }
}

/// Groups leases by host. The leases of each host have to be adjacent in `leases`.
fn group(leases: Vec<Lease>) -> Vec<Work> {
    let mut by_host: Vec<Work> = Vec::new();
    for lease in leases {
        match by_host.last_mut() {
            Some(work) if work.host == lease.record.host => work.leases.push(lease),
            _ => {
                by_host.push(Work { host: lease.record.host.clone(), leases: vec![lease], memo: None });
            }
        }
    }
    by_host
}

/// The most redirected URLs with a known target that are at the shards at the same time. They end without a
/// request.
const DECIDED_MAX: usize = 256;
