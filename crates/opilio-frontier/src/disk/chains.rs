//! Where redirects led, and the redirected URLs that wait until a known URL has ended.
//!
//! ```text
//! end      0 · reason                              a failed URL: why it failed
//!          1 · to:16 · cookie:u8                   a redirected URL: its target, and whether a cookie was set
//! waits    target:16 · again:u8 · url · loose record
//! ```
//! The key of a waiting URL begins with the fingerprint of the URL that it waits for. Memory holds which waiting URLs
//! are to be checked: the URLs that wait for a URL whose state changed in this run; all waiting URLs once after
//! opening; and all waiting URLs when no other URLs are left. The disk has no entry for a URL that ended as a page,
//! because every page would then need such an entry. Instead, memory holds the latest pages of this run. When only
//! waiting URLs are left, a URL that neither failed nor was redirected must have been a page.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use fjall::OwnedWriteBatch;
use opilio_core::{Fingerprint, Lease, LeaseId, Reason, Record};

use super::DiskFrontier;
use super::files::{StorePlace, Stored};
use super::keys::{self, HostId, WaiterKey};
use super::pack::{self, pack_loose, place_of_loose};
use crate::chain::{Again, ChainEnd, Decided, Known, Redirect, Stop, UrlEnd, judge};
use crate::encode::{Reader, put_slice};
use crate::error::FrontierError;

/// The state of the waiting URLs in this run. After a kill, all of it can be rebuilt from the disk.
pub(super) struct Chains {
    /// The number of redirected URLs that wait for a known URL.
    waiting: u64,
    /// The value of `waiting` on disk.
    written: u64,
    /// The fingerprints of the URLs that other URLs wait for, as far as this run knows them.
    awaited: HashSet<Fingerprint>,
    /// The ranges of keys of waiting URLs to check: URLs that wait for a URL whose state changed, and URLs that began
    /// to wait.
    changed: VecDeque<(WaiterKey, WaiterKey)>,
    /// The next key to look at while all waiting URLs are checked. `None` at other times.
    all: Option<WaiterKey>,
    /// Whether only waiting URLs were left when the check of all waiting URLs began.
    is_last: bool,
    /// The unsettled leases on redirected URLs that waited, and whose known URL has ended.
    out: HashMap<LeaseId, Waited>,
    keys_out: HashSet<WaiterKey>,
    pages: RecentPages,
}

/// A redirected URL that waited for a known URL and is leased now, because the known URL has ended.
pub(super) struct Waited {
    /// The key at which the URL is stored until it has ended.
    pub(super) key: WaiterKey,
    pub(super) host: HostId,
    pub(super) record: Record,
}

impl Chains {
    pub(super) fn new(waiting: u64, recent_bytes: usize) -> Self {
        Self {
            waiting,
            written: waiting,
            awaited: HashSet::new(),
            changed: VecDeque::new(),
            all: (waiting > 0).then_some(WaiterKey::FIRST),
            is_last: false,
            out: HashMap::new(),
            keys_out: HashSet::new(),
            pages: RecentPages::new(recent_bytes / PAGES_SHARE),
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    pub(super) fn out_len(&self) -> usize {
        self.out.len()
    }

    pub(super) fn is_out(&self, lease: LeaseId) -> bool {
        self.out.contains_key(&lease)
    }

    /// Records that a URL ended or was redirected, so that the URLs that wait for this URL are checked again.
    pub(super) fn changed(&mut self, url: Fingerprint) {
        if self.waiting > 0 && self.awaited.remove(&url) {
            let first = WaiterKey { url, age: 0 };
            self.changed.push_back((first, first.last_of_url()));
        }
    }

    /// Removes a lease from the leases that are not settled, and returns the URL that was leased.
    pub(super) fn take_out(&mut self, lease: LeaseId) -> Option<Waited> {
        let waited = self.out.remove(&lease)?;
        self.keys_out.remove(&waited.key);
        Some(waited)
    }

    /// Adds a lease to the leases that are not settled. Also used to restore a lease after the commit failed that
    /// would have settled it.
    pub(super) fn put_out(&mut self, lease: LeaseId, waited: Waited) {
        self.keys_out.insert(waited.key);
        self.out.insert(lease, waited);
    }

    /// Restores the number of waiting URLs after a commit failed.
    pub(super) fn take_back(&mut self, waiting: u64) {
        self.waiting = waiting;
    }

    /// Makes a later call check a waiting URL, because the URL began to wait, or its lease ended and it goes on
    /// waiting.
    pub(super) fn look_later_at(&mut self, key: WaiterKey) {
        match self.changed.back_mut() {
            // Most keys come in the order of their ages (the numbers of the admissions), and so only make the last
            // range longer.
            Some((_, last)) if last.url == key.url && last.age <= key.age => *last = key,
            _ => self.changed.push_back((key, key)),
        }
    }

    /// Records that a URL ended as a page.
    pub(super) fn end_as_page(&mut self, url: Fingerprint) {
        self.pages.add(url);
        self.changed(url);
    }

    /// Records that a page is due again: it does not count as a page until it ends again.
    pub(super) fn begin_again(&mut self, url: Fingerprint) {
        self.pages.remove(url);
    }

    /// Adds the number of waiting URLs to a commit.
    pub(super) fn write(&mut self, misc: &fjall::Keyspace, commit: &mut OwnedWriteBatch) {
        if self.waiting != self.written {
            self.written = self.waiting;
            commit.insert(misc, keys::WAITING, self.waiting.to_be_bytes());
        }
    }

    /// Returns whether no waiting URL has to be checked now. `left` is the number of all URLs that have not ended,
    /// waiting URLs included.
    pub(super) fn has_nothing_to_look_at(&self, left: u64) -> bool {
        let nothing_else_is_left = left == self.waiting && self.out.is_empty();
        self.waiting == 0 || (self.changed.is_empty() && self.all.is_none() && !nothing_else_is_left)
    }

    fn await_url(&mut self, url: Fingerprint) {
        if self.awaited.len() < AWAITED_MAX {
            self.awaited.insert(url);
        }
    }
}

/// The fingerprints of the latest pages, in two sets: when the set `young` is full, it replaces the set `old`, and a
/// new one begins.
struct RecentPages {
    /// For each fingerprint, the half of its bits in which URLs of the same host differ.
    young: HashSet<u64>,
    old: HashSet<u64>,
    /// The most fingerprints that one of the two sets holds.
    max: usize,
}

impl RecentPages {
    fn new(max: usize) -> Self {
        Self { young: HashSet::new(), old: HashSet::new(), max: max.max(PAGES_MIN) }
    }

    fn add(&mut self, url: Fingerprint) {
        if self.young.len() >= self.max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(short(url));
    }

    fn remove(&mut self, url: Fingerprint) {
        self.young.remove(&short(url));
        self.old.remove(&short(url));
    }

    fn hold(&self, url: Fingerprint) -> bool {
        self.young.contains(&short(url)) || self.old.contains(&short(url))
    }
}

fn short(url: Fingerprint) -> u64 {
    url.0 as u64
}

impl DiskFrontier {
    /// Adds the failure of a URL, with its reason, to a commit.
    pub(super) fn write_failed(&mut self, url: Fingerprint, reason: Reason, commit: &mut OwnedWriteBatch) {
        let value = [&[FAILED], reason.as_str().as_bytes()].concat();
        commit.insert(&self.disk.stored.misc, keys::end_of(url), value);
        self.chains.changed(url);
    }

    /// Adds to a commit that a URL is queued again: the entry about how the URL ended is removed.
    pub(super) fn forget_end(&self, url: Fingerprint, commit: &mut OwnedWriteBatch) {
        commit.remove(&self.disk.stored.misc, keys::end_of(url));
    }

    fn end(&self, url: Fingerprint) -> Result<Option<UrlEnd>, FrontierError> {
        let stored = self.disk.stored.misc.get(keys::end_of(url));
        let Some(stored) = stored.map_err(|error| self.disk.place.failed("read", error))? else {
            return Ok(None);
        };
        read_end(&stored).map(Some).ok_or_else(|| self.disk.place.damaged("the end of a URL cannot be read"))
    }

    pub(super) fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError> {
        Ok(matches!(self.end(url)?, Some(UrlEnd::LedTo { .. })))
    }

    /// Adds the target of a redirected URL to a commit.
    pub(super) fn write_led_on(
        &mut self,
        url: Fingerprint,
        redirect: &Redirect,
        commit: &mut OwnedWriteBatch,
    ) {
        let mut value = vec![LED_TO];
        value.extend_from_slice(&redirect.target.fingerprint.0.to_be_bytes());
        value.push(u8::from(redirect.sets_cookie));
        commit.insert(&self.disk.stored.misc, keys::end_of(url), value);
        self.chains.changed(url);
    }

    /// Adds to a commit that a redirected URL waits for its target to end.
    pub(super) fn write_waiter(
        &mut self,
        (host, age): (HostId, u64),
        record: &Record,
        redirect: &Redirect,
        commit: &mut OwnedWriteBatch,
    ) {
        let url = redirect.target.fingerprint;
        let mut value = url.0.to_be_bytes().to_vec();
        value.push(Again::ALL.iter().position(|again| *again == redirect.again).unwrap_or_default() as u8);
        put_slice(redirect.target.url.as_bytes(), &mut value);
        pack_loose(host, record, self.queue.order(), &mut value);
        commit.insert(&self.disk.stored.ends, WaiterKey { url, age }.bytes(), value);
        if self.chains.waiting == 0 {
            // No URL was waiting before, so the ranges of keys have nothing left to check.
            self.chains.changed.clear();
            (self.chains.all, self.chains.is_last) = (None, false);
        }
        self.chains.waiting += 1;
        self.chains.look_later_at(WaiterKey { url, age });
    }

    /// Leases at most `n` redirected URLs whose known URL has ended, and appends the leases to `out`. Returns whether
    /// there may be more such URLs.
    pub(super) fn decide(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError> {
        let until = out.len() + n;
        let mut looks = LOOKS_MAX;
        // A URL that this check leased may have been redirected once more, so that URLs are left that do not wait.
        self.chains.is_last &= self.books.stats.left == self.chains.waiting;
        let mut commit = self.disk.stored.db.batch();
        while out.len() < until && looks > 0 {
            let leases = until - out.len();
            if let Some((from, to)) = self.chains.changed.front().copied() {
                let next = self.look_at_waiters((from, to), leases, &mut looks, out, &mut commit)?;
                match (next, self.chains.changed.front_mut()) {
                    (Some(next), Some((first, _))) if next <= to => *first = next,
                    _ => drop(self.chains.changed.pop_front()),
                }
            } else if let Some(from) = self.chains.all {
                let range = (from, WaiterKey::LAST);
                self.chains.all = self.look_at_waiters(range, leases, &mut looks, out, &mut commit)?;
                if self.chains.is_last && self.chains.all.is_none() && self.chains.out.is_empty() {
                    return Err(self.disk.place.damaged("redirected URLs that wait are missing"));
                }
            } else if self.chains.out.is_empty() && self.books.stats.left == self.chains.waiting {
                (self.chains.all, self.chains.is_last) = (Some(WaiterKey::FIRST), true);
            } else {
                break;
            }
            // The commit is made now, so that the rest of the search does not find a moved URL at its old key again.
            if !commit.is_empty() {
                self.commit(std::mem::replace(&mut commit, self.disk.stored.db.batch()))?;
            }
        }
        if self.chains.all.is_none() {
            self.chains.is_last = false;
        }
        Ok(!self.chains.changed.is_empty() || self.chains.all.is_some())
    }

    /// Checks the waiting URLs within a range of keys. Returns the key at which the next call should continue, or
    /// `None` when the range is finished.
    fn look_at_waiters(
        &mut self,
        (from, to): (WaiterKey, WaiterKey),
        leases: usize,
        looks: &mut usize,
        out: &mut Vec<Decided>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<Option<WaiterKey>, FrontierError> {
        let until = out.len() + leases;
        // All entries are read before any of them is moved to another key.
        let mut read = Vec::new();
        for entry in self.disk.stored.ends.range(from.bytes()..=to.bytes()).take((*looks).min(leases * 2)) {
            let (key, value) = entry.into_inner().map_err(|error| self.disk.place.failed("read", error))?;
            let key = WaiterKey::parse(&key).ok_or_else(|| {
                self.disk.place.damaged("the key of a redirected URL that waits cannot be read")
            })?;
            read.push((key, value));
        }
        let is_all = read.len() < (*looks).min(leases * 2);
        *looks -= read.len().min(*looks);
        for (key, value) in &read {
            if out.len() == until {
                return Ok(Some(*key));
            }
            if !self.chains.keys_out.contains(key) {
                self.look_at_waiter(*key, value, out, commit)?;
            }
        }
        Ok(read.last().filter(|_| !is_all).map(|(key, _)| key.next()))
    }

    fn look_at_waiter(
        &mut self,
        key: WaiterKey,
        value: &[u8],
        out: &mut Vec<Decided>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<(), FrontierError> {
        let mut from = Reader(value);
        let (target, again, url) = read_waiter(&mut from)
            .ok_or_else(|| self.disk.place.damaged("a redirected URL that waits cannot be read"))?;
        let judged = judge(target, again, |url| self.look_up(url))?;
        let known = match judged {
            ChainEnd::Is(known) => known,
            // Only waiting URLs are left, and the URL `at` did not fail, so it must have been a page.
            ChainEnd::Open { behind_wall: true, .. } if self.chains.is_last => Known::Wall,
            ChainEnd::Open { .. } if self.chains.is_last => Known::Page,
            ChainEnd::Open { at: url, .. } => {
                self.chains.await_url(url);
                if url != key.url {
                    commit.remove(&self.disk.stored.ends, key.bytes());
                    commit.insert(&self.disk.stored.ends, WaiterKey { url, ..key }.bytes(), value);
                }
                return Ok(());
            }
        };
        let place = place_of_loose(&mut from, key.age);
        let place = place.ok_or_else(|| {
            self.disk.place.damaged("the place of a redirected URL that waits cannot be read")
        })?;
        let host = self.entry(place.host())?.host.clone();
        let record = pack::unpack(&mut from, &host, place, self.queue.order(), &mut String::new());
        let record = record.ok_or_else(|| {
            self.disk.place.damaged("the record of a redirected URL that waits cannot be read")
        })?;
        let id = self.queue.next_lease();
        self.chains.put_out(id, Waited { key, host: place.host(), record: record.clone() });
        out.push(Decided { lease: Lease { id, record }, target: url, known });
        Ok(())
    }

    fn look_up(&self, url: Fingerprint) -> Result<Stop, FrontierError> {
        if self.chains.pages.hold(url) {
            return Ok(Stop::Page);
        }
        if let Some(end) = self.end(url)? {
            return Ok(Stop::Ended(end));
        }
        // The URL was admitted, and later filtered because its host reached its caps.
        let is_filtered = self.sighted(self.seen.is_filtered(url))?;
        Ok(if is_filtered { Stop::Ended(UrlEnd::Failed(Reason::OutOfScope)) } else { Stop::Open })
    }

    /// Adds to a commit that a redirected URL has ended, after its lease, and no longer waits.
    pub(super) fn remove_waiter(&mut self, waited: &Waited, commit: &mut OwnedWriteBatch) {
        commit.remove(&self.disk.stored.ends, waited.key.bytes());
        self.chains.waiting -= 1;
    }

    /// Adds to a commit that a redirected URL was redirected once more after it was leased, and now waits for another
    /// target.
    pub(super) fn move_waiter(&mut self, waited: &Waited, redirect: &Redirect, commit: &mut OwnedWriteBatch) {
        let Waited { key, host, record } = waited;
        let record = Record { attempts: redirect.attempts, ..record.clone() };
        self.chains.waiting -= 1;
        self.write_waiter((*host, key.age), &record, redirect, commit);
        // If the new target has the same fingerprint, the new key equals the old key, which this commit has just
        // written: one commit must not both write and remove a key.
        if redirect.target.fingerprint != key.url {
            commit.remove(&self.disk.stored.ends, key.bytes());
        }
    }

    /// Reads the number of waiting URLs from the disk.
    pub(super) fn read_waiting(stored: &Stored, place: &StorePlace) -> Result<u64, FrontierError> {
        let count = stored.misc.get(keys::WAITING).map_err(|error| place.failed("read", error))?;
        let count = count.map(|count| count.as_ref().try_into().map(u64::from_be_bytes));
        count
            .transpose()
            .map(Option::unwrap_or_default)
            .map_err(|_| place.damaged("the number of redirected URLs that wait cannot be read"))
    }
}

fn read_end(value: &[u8]) -> Option<UrlEnd> {
    match value.split_first()? {
        (&FAILED, word) => super::settle::reason(str::from_utf8(word).ok()?).map(UrlEnd::Failed),
        (&LED_TO, [to @ .., cookie]) => {
            let to = Fingerprint(u128::from_be_bytes(to.try_into().ok()?));
            Some(UrlEnd::LedTo { to, sets_cookie: *cookie != 0 })
        }
        _ => None,
    }
}

fn read_waiter(from: &mut Reader<'_>) -> Option<(Fingerprint, Again, Arc<str>)> {
    let target = Fingerprint(u128::from_be_bytes(from.array()?));
    let again = Again::ALL.get(usize::from(from.byte()?)).copied()?;
    Some((target, again, from.text()?.into()))
}

const FAILED: u8 = 0;
const LED_TO: u8 = 1;

/// The most waiting URLs that one call checks, so that one call does not take long.
const LOOKS_MAX: usize = 1_024;
/// The most fingerprints in `awaited`: they take about 30 MB. URLs that wait for a URL beyond this number are checked
/// only when no other URLs are left.
const AWAITED_MAX: usize = 1 << 20;
/// The number of bytes of `recent_bytes` for which one of the two sets of latest pages gets one place. With the
/// default of `recent_bytes`, a set has half a million places, which take about 8 MB.
const PAGES_SHARE: usize = 256;
const PAGES_MIN: usize = 1 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn ends_are_read_as_they_were_written_and_damage_is_none() {
        let failed = [&[FAILED], Reason::Timeout.as_str().as_bytes()].concat();
        assert_eq!(read_end(&failed), Some(UrlEnd::Failed(Reason::Timeout)));
        let mut led = vec![LED_TO];
        led.extend_from_slice(&7_u128.to_be_bytes());
        led.push(1);
        assert_eq!(read_end(&led), Some(UrlEnd::LedTo { to: Fingerprint(7), sets_cookie: true }));
        for cut in 0..led.len() {
            assert_eq!(read_end(&led[..cut]), None);
        }
        assert_eq!(read_end(&[FAILED, b'?']), None);
    }

    #[test]
    fn the_last_pages_are_kept_and_no_more_than_twice_as_many() {
        let mut pages = RecentPages::new(5_000);
        let all = 3 * 5_000_u128;
        (0..all).for_each(|n| pages.add(Fingerprint(n)));
        assert!((all - 5_000..all).all(|n| pages.hold(Fingerprint(n))));
        assert!(pages.young.len() + pages.old.len() <= 2 * 5_000 && !pages.hold(Fingerprint(0)));
        pages.remove(Fingerprint(all - 1));
        assert!(!pages.hold(Fingerprint(all - 1)));
    }
}
