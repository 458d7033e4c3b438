//! The trait's calls, each one commit or a reading.

use bytes::Bytes;
use opilio_core::{Host, Lease, LeaseId, SinkPosition, Timestamp};

use super::DiskFrontier;
use super::hosts::Turn;
use super::keys::{self, HostId, Key};
use crate::batch::{Admission, Admitted, Settled, Settlement, Want};
use crate::error::FrontierError;
use crate::frontier::Frontier;
use crate::permit::Permit;
use crate::stats::{Failure, FrontierStats};

impl Frontier for DiskFrontier {
    fn admit(&mut self, batch: Vec<Admission>) -> Result<Admitted, FrontierError> {
        self.all_or_nothing(|store| {
            let mut admitted = Admitted::default();
            let mut fresh = Vec::new();
            let begun = store.seen.begin(batch.iter().map(Admission::fingerprint));
            store.sighted(begun)?;
            for admission in batch {
                store.sight(admission, &mut fresh, &mut admitted)?;
            }
            if admitted.new + admitted.filtered_new == 0 {
                store.seen.committed();
                return Ok(admitted);
            }
            let mut commit = store.stored.db.batch();
            store.push(fresh, &mut commit)?;
            store.seen.write(&mut commit);
            store.commit(commit)?;
            store.seen.committed();
            Ok(admitted)
        })
    }

    fn hosts_ready(&mut self, now: Timestamp, n: usize) -> Result<Vec<Host>, FrontierError> {
        self.usable()?;
        self.wake(now)?;
        let mut ready = Vec::new();
        while ready.len() < n {
            let Some(id) = self.hosts.next_in_line() else {
                if self.walk(n - ready.len())? {
                    continue;
                }
                break;
            };
            // Its work may have been leased while it stood in the line.
            let turn = if self.has_work(id)? { Turn::Told } else { Turn::Idle };
            let slot = self.slot(id)?;
            slot.turn = turn;
            if turn == Turn::Told {
                ready.push(slot.host.clone());
            }
        }
        Ok(ready)
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.next_due.map(|first| first.due)
    }

    fn lease(&mut self, wants: &[Want], now: Timestamp, out: &mut Vec<Lease>) -> Result<(), FrontierError> {
        self.usable()?;
        self.wake(now)?;
        let before = out.len();
        for want in wants {
            if let Err(error) = self.lease_of_host(want, out) {
                self.broken = true;
                for lease in out.drain(before..) {
                    self.queue.take_out(lease.id);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn settle(
        &mut self,
        batch: Vec<Settlement>,
        positions: &[SinkPosition],
    ) -> Result<Settled, FrontierError> {
        self.settle_all(batch, positions)
    }

    fn is_out(&self, lease: LeaseId) -> bool {
        self.queue.is_out(lease)
    }

    fn permit(&self, _: &Host) -> Permit {
        Permit::ALWAYS
    }

    fn keep_hosts(&mut self, memos: Vec<(Host, Bytes)>) -> Result<(), FrontierError> {
        if memos.is_empty() {
            return self.usable();
        }
        self.all_or_nothing(|store| {
            let mut commit = store.stored.db.batch();
            for (host, memo) in memos {
                let host = store.number(&host, &mut commit)?;
                commit.insert(&store.stored.misc, keys::memo_of(host), &memo[..]);
            }
            store.commit(commit)
        })
    }

    fn host_memo(&mut self, host: &Host) -> Result<Option<Bytes>, FrontierError> {
        self.usable()?;
        let Some(host) = self.find(host)? else { return Ok(None) };
        let memo = self.stored.misc.get(keys::memo_of(host));
        let memo = memo.map_err(|error| self.place.failed("read", error))?;
        Ok(memo.map(|memo| Bytes::copy_from_slice(&memo)))
    }

    fn keep_note(&mut self, name: &'static str, note: Bytes) {
        self.notes.insert(name, note);
    }

    fn note(&self, name: &'static str) -> Result<Option<Bytes>, FrontierError> {
        self.usable()?;
        if let Some(note) = self.notes.get(name) {
            return Ok(Some(note.clone()));
        }
        let note = self.stored.misc.get(keys::named(keys::NOTES, name));
        let note = note.map_err(|error| self.place.failed("read", error))?;
        Ok(note.map(|note| Bytes::copy_from_slice(&note)))
    }

    fn positions(&self) -> Result<Vec<SinkPosition>, FrontierError> {
        let positions = self.positions.iter();
        Ok(positions.map(|(sink, at)| SinkPosition { sink: sink.clone(), position: *at }).collect())
    }

    fn stats(&self) -> FrontierStats {
        FrontierStats {
            out: self.queue.out_len() as u64,
            hosts: u64::from(self.hosts.numbered()),
            ..self.books.stats.clone()
        }
    }

    fn failures(&self, from: u64, n: usize) -> Result<Vec<Failure>, FrontierError> {
        self.read_failures(from, n)
    }

    fn checkpoint(&mut self) -> Result<(), FrontierError> {
        self.usable()?;
        if !self.notes.is_empty() {
            self.all_or_nothing(|store| store.commit(store.stored.db.batch()))?;
        }
        let synced = self.synced.sync(&self.stored.db);
        synced.map(drop).map_err(|error| {
            self.broken = true;
            self.place.failed("sync", error)
        })
    }
}

/// A host with more keys than this in the queue is passed over by a seek, not by reading on.
const READ_ON_MAX: usize = 8;

impl DiskFrontier {
    /// Stands in line the next of the hosts that an earlier run left with work, at least one and
    /// about `n`; false when there is none left. So the first hosts are told at once after opening,
    /// however many there are.
    fn walk(&mut self, n: usize) -> Result<bool, FrontierError> {
        let mut found = 0;
        while found < n
            && let Some(mut cursor) = self.hosts.walk
        {
            let mut read_on = 0;
            let mut met = Vec::new();
            self.hosts.walk = None;
            for entry in self.queue.stored().range(Key::first_of(cursor).bytes()..) {
                let key = entry.key().map_err(|error| self.place.failed("read", error))?;
                let id = Key::parse(&key).map(Key::host).ok_or_else(|| self.place.damaged("a key"))?;
                read_on = if id < cursor { read_on + 1 } else { 0 };
                if id >= cursor {
                    met.push(id);
                    cursor = HostId(id.0.saturating_add(1));
                }
                if read_on > READ_ON_MAX || met.len() >= n {
                    self.hosts.walk = Some(cursor);
                    break;
                }
            }
            for id in met {
                let slot = self.slot(id)?;
                if slot.turn == Turn::Idle && self.has_work(id)? {
                    found += 1;
                    self.hosts.join_line(id);
                }
            }
        }
        Ok(found > 0)
    }
}
