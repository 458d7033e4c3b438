//! What the desk hands out, as dispatch decides: leases to hosts, errands, and ends that are decided.

use std::collections::{HashMap, HashSet};

use opilio_core::scheduling::{Answer, DispatchInput, StoreCounts, Waking};
use opilio_core::{Host, Lease, Timestamp};
use opilio_frontier::{Decided, FrontierError, FrontierStats, Settlement};

use super::{Desk, deliver};
use crate::message::{Assign, Call, FromStore, Work};

impl Desk {
    /// Hands out what hosts have room for.
    pub(super) async fn lease(&mut self) -> Result<(), FrontierError> {
        let now = self.clock.now();
        let asked = self.dispatch.room();
        let hosts = self.frontier.hosts_ready(now, asked)?;
        self.dispatch.handle(DispatchInput::Ready { hosts, asked });
        let work = self.work(now)?;
        let decided = self.decided()?;
        let assign = Assign { work, calls: self.calls()?, kept: std::mem::take(&mut self.kept), decided };
        if !assign.is_empty() {
            let _ = deliver(&self.scheduler, FromStore::Leased(assign)).await;
        }
        Ok(())
    }

    /// Whether another turn is due at once.
    pub(super) fn has_more(&self) -> bool {
        self.dispatch.has_more() || self.more_decided
    }

    /// Visits, with what their hosts remember. A host that comes alive for one asks for leases itself.
    fn calls(&mut self) -> Result<Vec<Call>, FrontierError> {
        let mut calls = Vec::new();
        for visit in std::mem::take(&mut self.visits) {
            let memory = match self.dispatch.errand(&visit.host) {
                Waking::Starts => self.frontier.host_memo(&visit.host)?,
                Waking::No => None,
            };
            calls.push(Call { visit, memory });
        }
        Ok(calls)
    }

    /// Redirected URLs that are to end as the known ones did that they led to.
    fn decided(&mut self) -> Result<Vec<Decided>, FrontierError> {
        let room = DECIDED_MAX.saturating_sub(self.decided.len());
        let mut decided = Vec::new();
        self.more_decided = false;
        if room > 0 && !self.dispatch.is_stopped() {
            self.more_decided = self.frontier.decided(room, &mut decided)?;
            self.decided.extend(decided.iter().map(|one| one.lease.id));
        }
        Ok(decided)
    }

    /// Leases for live hosts that have room, and for hosts that come alive with them.
    fn work(&mut self, now: Timestamp) -> Result<Vec<Work>, FrontierError> {
        let wants = self.dispatch.lease(counts(&self.frontier.stats(), self.sitemaps()));
        if wants.is_empty() {
            return Ok(Vec::new());
        }
        let mut leases = Vec::new();
        self.frontier.lease(&wants, now, &mut leases)?;
        let filtered = self.keep_in_scope(&mut leases)?;
        leases.iter().for_each(|lease| self.known.learn(&lease.record));
        let mut work = group(leases);
        let served: HashMap<Host, usize> =
            work.iter().enumerate().map(|(at, work)| (work.host.clone(), at)).collect();
        for want in wants {
            let at = served.get(&want.host).copied();
            let answer = match at {
                Some(_) => Answer::Leases,
                None if filtered.contains(&want.host) => Answer::Filtered,
                None => Answer::Nothing,
            };
            if let (Waking::Starts, Some(at)) = (self.dispatch.answer(want, answer), at) {
                work[at].memory = self.frontier.host_memo(&work[at].host)?;
            }
        }
        Ok(work)
    }

    /// Ends what earlier runs queued and this one's scope keeps out; tells of which hosts there was some.
    fn keep_in_scope(&mut self, leases: &mut Vec<Lease>) -> Result<HashSet<Host>, FrontierError> {
        let mut hosts = HashSet::new();
        let Some(queued) = &self.queued else { return Ok(hosts) };
        let mut settlements = Vec::new();
        leases.retain(|Lease { id, record }| {
            let refused = queued.settings.scope.refuses_queued(record, queued.hosts);
            if let Some(why) = refused {
                tracing::debug!(url = %record.url, %why, "out of the scope that the crawl has now");
                settlements.push(Settlement::filtered(*id, why));
                if !hosts.contains(&record.host) {
                    hosts.insert(record.host.clone());
                }
            }
            refused.is_none()
        });
        if !settlements.is_empty() {
            self.commit(settlements, &[])?;
        }
        Ok(hosts)
    }
}

/// What dispatch goes by. The store counts sitemaps as pages.
pub(super) fn counts(stats: &FrontierStats, sitemaps: u64) -> StoreCounts {
    StoreCounts { pages: stats.pages.saturating_sub(sitemaps), out: stats.out }
}

fn group(leases: Vec<Lease>) -> Vec<Work> {
    let mut by_host: Vec<Work> = Vec::new();
    for lease in leases {
        match by_host.last_mut() {
            Some(work) if work.host == lease.record.host => work.leases.push(lease),
            _ => {
                by_host.push(Work { host: lease.record.host.clone(), leases: vec![lease], memory: None });
            }
        }
    }
    by_host
}

/// Redirected URLs that are out to end without a request.
const DECIDED_MAX: usize = 256;
