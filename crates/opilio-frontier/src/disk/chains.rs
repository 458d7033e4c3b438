//! Where redirects led, and the redirected URLs that wait until a known URL has ended.
//!
//! ```text
//! fate     0 · reason                              why a URL failed
//!          1 · to:16 · cookie:u8                   where a URL led
//! waits    target:16 · again:u8 · url · loose record
//! ```
//! A URL that waits stands under the one that it waits for. Which of them to look at is found out in memory:
//! those that wait for a URL of which this run has heard something, all of them once after opening, and all of
//! them when nothing else is left. Pages have no entry, or every page would cost one; this run remembers the
//! last ones, and when nothing else is left, what neither failed nor led on was a page.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use fjall::OwnedWriteBatch;
use opilio_core::{Fingerprint, Lease, LeaseId, Reason, Record};

use super::DiskFrontier;
use super::keys::{self, HostId, WaiterKey};
use super::pack::{self, pack_loose, place_of_loose};
use crate::chain::{Again, Decided, Fate, Judged, Known, Redirect, Stop, judge};
use crate::encode::{Reader, put_slice};
use crate::error::FrontierError;

/// What this run knows of what waits. All of it can be found out again.
pub(super) struct Chains {
    /// How many wait, and what of that is written.
    waiting: u64,
    written: u64,
    /// URLs that something waits for, as far as this run has met them.
    awaited: HashSet<Fingerprint>,
    /// What to look at: all that wait for a URL that something has become of, and those that are new.
    changed: VecDeque<(WaiterKey, WaiterKey)>,
    /// Where a look at all that wait has come to, if one goes on.
    all: Option<WaiterKey>,
    /// Nothing else was left when it began.
    is_last: bool,
    /// What is out to end.
    out: HashMap<LeaseId, Waited>,
    keys_out: HashSet<WaiterKey>,
    pages: Pages,
}

/// A redirected URL that waited, and is out to end.
pub(super) struct Waited {
    /// Where it stands until it has ended.
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
            pages: Pages::new(recent_bytes / PAGES_SHARE),
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

    /// Something has become of a URL: what waits for it is looked at again.
    pub(super) fn changed(&mut self, url: Fingerprint) {
        if self.waiting > 0 && self.awaited.remove(&url) {
            let first = WaiterKey { url, age: 0 };
            self.changed.push_back((first, first.last_of_url()));
        }
    }

    /// Takes a lease off those that are out to end.
    pub(super) fn take_out(&mut self, lease: LeaseId) -> Option<Waited> {
        let waited = self.out.remove(&lease)?;
        self.keys_out.remove(&waited.key);
        Some(waited)
    }

    /// It is out to end (after all).
    pub(super) fn put_out(&mut self, lease: LeaseId, waited: Waited) {
        self.keys_out.insert(waited.key);
        self.out.insert(lease, waited);
    }

    /// The commit that changed how many wait was not made.
    pub(super) fn take_back(&mut self, waiting: u64) {
        self.waiting = waiting;
    }

    /// One that waits is new, or waits again.
    pub(super) fn look_later_at(&mut self, key: WaiterKey) {
        match self.changed.back_mut() {
            // They mostly come in the order of their ages.
            Some((_, last)) if last.url == key.url && last.age <= key.age => *last = key,
            _ => self.changed.push_back((key, key)),
        }
    }

    /// It ended as a page.
    pub(super) fn end_as_page(&mut self, url: Fingerprint) {
        self.pages.add(url);
        self.changed(url);
    }

    /// A page is due again.
    pub(super) fn begin_again(&mut self, url: Fingerprint) {
        self.pages.remove(url);
    }

    /// Adds to a commit how many wait.
    pub(super) fn write(&mut self, misc: &fjall::Keyspace, commit: &mut OwnedWriteBatch) {
        if self.waiting != self.written {
            self.written = self.waiting;
            commit.insert(misc, keys::WAITING, self.waiting.to_be_bytes());
        }
    }

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

/// The pages that ended last.
struct Pages {
    /// The half of their fingerprints that tells URLs of one host apart.
    young: HashSet<u64>,
    old: HashSet<u64>,
    /// So many are a generation, of which there are two.
    max: usize,
}

impl Pages {
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
    /// Has a commit say that a URL failed.
    pub(super) fn write_failed(&mut self, url: Fingerprint, reason: Reason, commit: &mut OwnedWriteBatch) {
        let value = [&[FAILED], reason.as_str().as_bytes()].concat();
        commit.insert(&self.stored.misc, keys::fate_of(url), value);
        self.chains.changed(url);
    }

    /// Has a commit say that a URL is under way again.
    pub(super) fn forget_fate(&self, url: Fingerprint, commit: &mut OwnedWriteBatch) {
        commit.remove(&self.stored.misc, keys::fate_of(url));
    }

    fn fate(&self, url: Fingerprint) -> Result<Option<Fate>, FrontierError> {
        let stored = self.stored.misc.get(keys::fate_of(url));
        let Some(stored) = stored.map_err(|error| self.place.failed("read", error))? else { return Ok(None) };
        read_fate(&stored).map(Some).ok_or_else(|| self.place.damaged("how a URL ended"))
    }

    pub(super) fn has_led_on(&self, url: Fingerprint) -> Result<bool, FrontierError> {
        Ok(matches!(self.fate(url)?, Some(Fate::LedTo { .. })))
    }

    /// Has a commit say where a URL led.
    pub(super) fn write_led_on(
        &mut self,
        url: Fingerprint,
        redirect: &Redirect,
        commit: &mut OwnedWriteBatch,
    ) {
        let mut value = vec![LED_TO];
        value.extend_from_slice(&redirect.target.fingerprint.0.to_be_bytes());
        value.push(u8::from(redirect.sets_cookie));
        commit.insert(&self.stored.misc, keys::fate_of(url), value);
        self.chains.changed(url);
    }

    /// Has a commit say that a redirected URL waits for its target.
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
        commit.insert(&self.stored.ends, WaiterKey { url, age }.bytes(), value);
        if self.chains.waiting == 0 {
            // Whatever was to be looked at is over.
            self.chains.changed.clear();
            (self.chains.all, self.chains.is_last) = (None, false);
        }
        self.chains.waiting += 1;
        self.chains.look_later_at(WaiterKey { url, age });
    }

    /// Leases at most `n` of those that wait and are decided; tells whether there may be more.
    pub(super) fn decide(&mut self, n: usize, out: &mut Vec<Decided>) -> Result<bool, FrontierError> {
        let until = out.len() + n;
        let mut looks = LOOKS_MAX;
        // What was decided may have led on.
        self.chains.is_last &= self.books.stats.left == self.chains.waiting;
        let mut commit = self.stored.db.batch();
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
                    return Err(self.place.damaged("what is said to wait is not there"));
                }
            } else if self.chains.out.is_empty() && self.books.stats.left == self.chains.waiting {
                (self.chains.all, self.chains.is_last) = (Some(WaiterKey::FIRST), true);
            } else {
                break;
            }
            // What was moved must not be met again at its old place.
            if !commit.is_empty() {
                self.commit(std::mem::replace(&mut commit, self.stored.db.batch()))?;
            }
        }
        if self.chains.all.is_none() {
            self.chains.is_last = false;
        }
        Ok(!self.chains.changed.is_empty() || self.chains.all.is_some())
    }

    /// Looks at those that wait within a range; tells where to go on, if not at its end.
    fn look_at_waiters(
        &mut self,
        (from, to): (WaiterKey, WaiterKey),
        leases: usize,
        looks: &mut usize,
        out: &mut Vec<Decided>,
        commit: &mut OwnedWriteBatch,
    ) -> Result<Option<WaiterKey>, FrontierError> {
        let until = out.len() + leases;
        // Read before any of it is moved.
        let mut read = Vec::new();
        for entry in self.stored.ends.range(from.bytes()..=to.bytes()).take((*looks).min(leases * 2)) {
            let (key, value) = entry.into_inner().map_err(|error| self.place.failed("read", error))?;
            let key = WaiterKey::parse(&key).ok_or_else(|| self.place.damaged("a key of what waits"))?;
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
        let (target, again, url) =
            read_waiter(&mut from).ok_or_else(|| self.place.damaged("a URL that waits"))?;
        let judged = judge(target, again, |url| self.look_up(url))?;
        let known = match judged {
            Judged::Is(known) => known,
            // Nothing that is left could be it, and it did not fail.
            Judged::Open { behind_wall: true, .. } if self.chains.is_last => Known::Wall,
            Judged::Open { .. } if self.chains.is_last => Known::Page,
            Judged::Open { at: url, .. } => {
                self.chains.await_url(url);
                if url != key.url {
                    commit.remove(&self.stored.ends, key.bytes());
                    commit.insert(&self.stored.ends, WaiterKey { url, ..key }.bytes(), value);
                }
                return Ok(());
            }
        };
        let place = place_of_loose(&mut from, key.age);
        let place = place.ok_or_else(|| self.place.damaged("where a URL stood"))?;
        let host = self.slot(place.host())?.host.clone();
        let record = pack::unpack(&mut from, &host, place, self.queue.order(), &mut String::new());
        let record = record.ok_or_else(|| self.place.damaged("a record that waits"))?;
        let id = self.queue.next_lease();
        self.chains.put_out(id, Waited { key, host: place.host(), record: record.clone() });
        out.push(Decided { lease: Lease { id, record }, target: url, known });
        Ok(())
    }

    fn look_up(&self, url: Fingerprint) -> Result<Stop, FrontierError> {
        if self.chains.pages.hold(url) {
            return Ok(Stop::Page);
        }
        if let Some(fate) = self.fate(url)? {
            return Ok(Stop::Fate(fate));
        }
        // It was taken on, and then its host's caps were reached.
        let is_filtered = self.sighted(self.seen.is_filtered(url))?;
        Ok(if is_filtered { Stop::Fate(Fate::Failed(Reason::OutOfScope)) } else { Stop::Open })
    }

    /// Has a commit say that a redirected URL that was out to end waits no more.
    pub(super) fn remove_waiter(&mut self, waited: &Waited, commit: &mut OwnedWriteBatch) {
        commit.remove(&self.stored.ends, waited.key.bytes());
        self.chains.waiting -= 1;
    }

    /// Has a commit say that a redirected URL that was out to end waits for another target.
    pub(super) fn move_waiter(&mut self, waited: &Waited, redirect: &Redirect, commit: &mut OwnedWriteBatch) {
        let Waited { key, host, record } = waited;
        let record = Record { attempts: redirect.attempts, ..record.clone() };
        self.chains.waiting -= 1;
        self.write_waiter((*host, key.age), &record, redirect, commit);
        // One commit is not to remove and to write one key.
        if redirect.target.fingerprint != key.url {
            commit.remove(&self.stored.ends, key.bytes());
        }
    }

    /// Reads how many wait.
    pub(super) fn read_waiting(
        stored: &super::files::Stored,
        place: &super::Place,
    ) -> Result<u64, FrontierError> {
        let count = stored.misc.get(keys::WAITING).map_err(|error| place.failed("read", error))?;
        let count = count.map(|count| count.as_ref().try_into().map(u64::from_be_bytes));
        count.transpose().map(Option::unwrap_or_default).map_err(|_| place.damaged("how many wait"))
    }
}

fn read_fate(value: &[u8]) -> Option<Fate> {
    match value.split_first()? {
        (&FAILED, word) => super::settle::reason(str::from_utf8(word).ok()?).map(Fate::Failed),
        (&LED_TO, [to @ .., cookie]) => {
            let to = Fingerprint(u128::from_be_bytes(to.try_into().ok()?));
            Some(Fate::LedTo { to, sets_cookie: *cookie != 0 })
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

/// So many are looked at in one call.
const LOOKS_MAX: usize = 1_024;
/// URLs that are known to be waited for: some 30 MB. What waits for others is looked at when nothing else is
/// left.
const AWAITED_MAX: usize = 1 << 20;
/// A page of those that are remembered for this many bytes of fingerprints met lately: half a million of each
/// generation by default, which take some 8 MB, as they come.
const PAGES_SHARE: usize = 256;
const PAGES_MIN: usize = 1 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn fates_are_read_as_they_were_written_and_damage_is_none() {
        let failed = [&[FAILED], Reason::Timeout.as_str().as_bytes()].concat();
        assert_eq!(read_fate(&failed), Some(Fate::Failed(Reason::Timeout)));
        let mut led = vec![LED_TO];
        led.extend_from_slice(&7_u128.to_be_bytes());
        led.push(1);
        assert_eq!(read_fate(&led), Some(Fate::LedTo { to: Fingerprint(7), sets_cookie: true }));
        for cut in 0..led.len() {
            assert_eq!(read_fate(&led[..cut]), None);
        }
        assert_eq!(read_fate(&[FAILED, b'?']), None);
    }

    #[test]
    fn the_last_pages_are_remembered_and_no_more_than_twice_as_many() {
        let mut pages = Pages::new(5_000);
        let all = 3 * 5_000_u128;
        (0..all).for_each(|n| pages.add(Fingerprint(n)));
        assert!((all - 5_000..all).all(|n| pages.hold(Fingerprint(n))));
        assert!(pages.young.len() + pages.old.len() <= 2 * 5_000 && !pages.hold(Fingerprint(0)));
        pages.remove(Fingerprint(all - 1));
        assert!(!pages.hold(Fingerprint(all - 1)));
    }
}
