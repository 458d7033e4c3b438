//! What the desk hands out: which hosts come alive, and how much each of them gets.

use std::collections::{HashMap, HashSet};

use opilio_core::intake::Level;
use opilio_core::{Host, Lease, Timestamp};
use opilio_frontier::{Decided, FrontierError, Settlement, Want};

use super::{Desk, deliver};
use crate::message::{Assign, Call, FromStore, Work};

impl Desk {
    /// Hands out what hosts have room for.
    pub(super) async fn lease(&mut self) -> Result<(), FrontierError> {
        let now = self.clock.now();
        self.judged = false;
        let asked = self.room_for_ready();
        let told = self.frontier.hosts_ready(now, asked)?;
        let all = told.len() < asked;
        for host in told {
            if self.live.contains(&host) {
                self.try_now.push(host);
            } else {
                self.ready.push_back(host);
            }
        }
        let nothing = self.stopped || self.level == Level::Paused;
        let work = if nothing { Vec::new() } else { self.work(now)? };
        // Those that came alive may have had nothing to do: the next ones must not wait for other news.
        let may_wake = !nothing && !self.ready.is_empty() && self.live.len() < self.hosts_max();
        self.more_ready = may_wake || self.judged || (!all && self.room_for_ready() > 0);
        let decided = self.decided()?;
        let assign = Assign { work, calls: self.calls()?, kept: std::mem::take(&mut self.kept), decided };
        if !assign.is_empty() {
            let _ = deliver(&self.scheduler, FromStore::Leased(assign)).await;
        }
        Ok(())
    }

    /// How many hosts to ask the store for: some a turn, since a crawl that is resumed may have millions
    /// and a turn that takes them all hears nothing else, and no more than could all be live next.
    fn room_for_ready(&self) -> usize {
        (self.hosts_max as usize).saturating_sub(self.ready.len()).min(READY_MAX)
    }

    /// Visits, with what their hosts remember. A host that comes alive for one asks for leases itself.
    fn calls(&mut self) -> Result<Vec<Call>, FrontierError> {
        let mut calls = Vec::new();
        for visit in std::mem::take(&mut self.visits) {
            let wakes = self.live.insert(visit.host.clone()) || self.waking.contains(&visit.host);
            let memory = if wakes { self.frontier.host_memo(&visit.host)? } else { None };
            calls.push(Call { visit, memory });
        }
        Ok(calls)
    }

    /// Redirected URLs that are to end as the known ones did that they led to.
    fn decided(&mut self) -> Result<Vec<Decided>, FrontierError> {
        let room = DECIDED_MAX.saturating_sub(self.decided.len());
        let mut decided = Vec::new();
        if room > 0 && !self.stopped {
            self.more_ready |= self.frontier.decided(room, &mut decided)?;
            self.decided.extend(decided.iter().map(|one| one.lease.id));
        }
        Ok(decided)
    }

    /// Leases for live hosts that have room, and for hosts that come alive with them.
    fn work(&mut self, now: Timestamp) -> Result<Vec<Work>, FrontierError> {
        let many_out = self.frontier.stats().out >= OUT_MANY || self.level > Level::Full;
        let first = if many_out { FEW_LEASES } else { FIRST_LEASES };
        let hosts_max = self.hosts_max();
        while self.live.len() < hosts_max {
            let Some(host) = self.ready.pop_front() else { break };
            if self.live.insert(host.clone()) {
                self.wants.insert(host.clone(), first);
                self.waking.insert(host.clone());
                self.try_now.push(host);
            }
        }
        let wants = self.affordable(if many_out { FEW_LEASES } else { u32::MAX });
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
        for Want { host, n } in wants {
            let waking = self.waking.remove(&host);
            match (served.get(&host), waking) {
                (Some(at), true) => work[*at].memory = self.frontier.host_memo(&host)?,
                (Some(_), false) => {}
                // There may be more of it behind what was filtered.
                (None, _) if filtered.contains(&host) => {
                    if waking {
                        self.waking.insert(host.clone());
                    }
                    self.try_now.push(host.clone());
                    self.wants.insert(host, u32::try_from(n).unwrap_or(u32::MAX));
                    self.judged = true;
                }
                // Its actor does not run: it is told again when it has work, and then comes alive.
                (None, true) => {
                    self.live.remove(&host);
                }
                (None, false) => {
                    self.wants.insert(host, u32::try_from(n).unwrap_or(u32::MAX));
                }
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

    /// How many hosts may be live: near the memory limit those of that time at the most, and fewer the
    /// nearer it is. A few always may, since some that are live may be held.
    fn hosts_max(&self) -> usize {
        let max = self.hosts_max as usize;
        match self.level {
            Level::Full => max,
            level => {
                let then = u32::try_from(self.live_then).unwrap_or(u32::MAX);
                max.min((level.of(then) as usize).max(FEW_HOSTS))
            }
        }
    }

    /// What of the wants to try in this turn the page limit allows; the others are tried again.
    fn affordable(&mut self, each_max: u32) -> Vec<Want> {
        let mut allowance = if self.try_now.is_empty() { 0 } else { self.allowance() };
        // Near a page limit nobody gets more than its share: a host that is held must not sit on
        // the last pages while others could fetch theirs.
        let share = (allowance / (self.try_now.len().max(1) as u64)).max(1);
        let mut wants = Vec::with_capacity(self.try_now.len());
        let mut later = Vec::new();
        for host in std::mem::take(&mut self.try_now) {
            // Taken out while it is tried, so that a host that is here twice is asked for once.
            let Some(room) = self.wants.remove(&host) else { continue };
            let n = allowance.min(share).min(u64::from(room.min(each_max)));
            allowance -= n;
            if n == 0 {
                self.wants.insert(host.clone(), room);
                later.push(host);
            } else {
                wants.push(Want { host, n: usize::try_from(n).unwrap_or(usize::MAX) });
            }
        }
        self.try_now = later;
        wants
    }

    /// How many leases the page limit still allows: each one out may become a page.
    fn allowance(&self) -> u64 {
        let Some(max) = self.pages_max else { return u64::MAX };
        let stats = self.frontier.stats();
        max.saturating_sub(stats.pages).saturating_sub(stats.out)
    }
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

/// Hosts that one turn takes from the store at the most.
const READY_MAX: usize = 1_024;
/// Leases for a host that comes alive; it asks for more by itself.
const FIRST_LEASES: u32 = 16;
/// When so many are out, hosts get a few at a time: what is leased is in memory. None waits for
/// another one's.
const OUT_MANY: u64 = 32_768;
const FEW_LEASES: u32 = 2;
/// Redirected URLs that are out to end without a request.
const DECIDED_MAX: usize = 256;
/// So many hosts are never too many for any memory.
const FEW_HOSTS: usize = 64;
