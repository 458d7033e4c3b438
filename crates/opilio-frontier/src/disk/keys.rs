//! The layout of the database: the keys of each keyspace, and the contents of the values.
//!
//! ```text
//! seen   fingerprint:16                                     nothing, or why the URL was filtered; newer
//!                                                           fingerprints are in sheets (see m) only
//! queue  host:u32 · priority:u8 · place:u16 · age:u48 · 0   a chunk of records
//!        … · 1                                              the settled records of that chunk, as bits
//!        … · 2                                              one record that was moved
//!        0:u32 · due:u64 · age:u48                          one record that is due later
//! ends   0 · number:u64                                     a failure
//!        1 · ended:u64 · number:u64                         a page, in a store with a history
//!        2 · fingerprint:16 · age:u64                       a redirected URL that waits for another one
//! misc   c                                                  the format, the spider, the order
//!        m·number:u64                                       a sheet: the fingerprints of one commit
//!        b                                                  the counters, rewritten with every commit
//!        n·name                                             a host's number
//!        i·host:u32                                         a host's name
//!        h·host:u32                                         a host's memo
//!        t·name                                             a note of the caller
//!        s·host:u32                                         the pages and bytes taken of a host
//!        p·sink                                             how far a sink had written
//!        f·reason                                           how many URLs failed for this reason
//!        e·fingerprint:16                                   why a URL failed, or its redirect's target
//!        w                                                  how many URLs wait for another URL
//!        l·list·0·text                                      a text of a list of the caller
//! ```
//! The place is the position of a record in the order of the crawl: its depth in a breadth-first crawl, for example.
//! Numbers are big-endian, so that sorted keys are in the order in which they are read.

use opilio_core::{Fingerprint, Priority, Timestamp};
use xxhash_rust::xxh3::xxh3_128;

/// The number that stands for a host in keys. It starts at 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct HostId(pub(super) u32);

/// The last byte of a key of the queue. It tells what the value contains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EntryKind {
    /// A chunk: several records with consecutive ages (numbers of admissions). The age in the key is the age of the
    /// first record.
    Chunk = 0,
    /// A bit mask of settled records. It belongs to the chunk whose key has the same age (number of the first
    /// record's admission).
    Settled = 1,
    /// One record that was taken out of its chunk (to be tried later, for example) and is due again.
    Single = 2,
}

/// A key of the queue. Keys sort by host, then in the order in which the host's records are leased.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct QueueKey(u128);

impl QueueKey {
    pub(super) fn new(host: HostId, priority: Priority, place: u16, age: u64, kind: EntryKind) -> Self {
        // Inverts the priority, so that high priorities sort first.
        let priority = !(priority.0.cast_unsigned() ^ 0x80);
        Self(
            u128::from(host.0) << 80
                | u128::from(priority) << 72
                | u128::from(place) << 56
                | u128::from(age & AGE_MAX) << 8
                | kind as u128,
        )
    }

    /// Returns a key that is not greater than any key of the host.
    pub(super) fn first_of(host: HostId) -> Self {
        Self(u128::from(host.0) << 80)
    }

    /// Returns a key that is not less than any key of the host.
    pub(super) fn last_of(host: HostId) -> Self {
        Self(Self::first_of(host).0 | ((1 << 80) - 1))
    }

    /// Returns a key with the same host, priority and place in the order, but another age (number of the admission)
    /// and kind.
    pub(super) fn at_age(self, age: u64, kind: EntryKind) -> Self {
        Self(self.0 & !(u128::from(AGE_MAX) << 8 | 0xff) | u128::from(age & AGE_MAX) << 8 | kind as u128)
    }

    /// Returns a key that differs only in the kind.
    pub(super) fn with(self, kind: EntryKind) -> Self {
        Self(self.0 & !0xff | kind as u128)
    }

    /// Returns a key that is greater than all keys with the age of this key, and less than all keys with the next
    /// age. An age is the number of an admission.
    pub(super) fn end_of_age(self) -> Self {
        Self(self.0 | 0xff)
    }

    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    pub(super) fn host(self) -> HostId {
        HostId((self.0 >> 80) as u32)
    }

    pub(super) fn priority(self) -> Priority {
        Priority((!((self.0 >> 72) as u8) ^ 0x80).cast_signed())
    }

    pub(super) fn place(self) -> u16 {
        (self.0 >> 56) as u16
    }

    pub(super) fn age(self) -> u64 {
        (self.0 >> 8) as u64 & AGE_MAX
    }

    /// Returns the kind, or `None` when the byte in the key stands for a kind that this version does not know.
    pub(super) fn kind(self) -> Option<EntryKind> {
        [EntryKind::Chunk, EntryKind::Settled, EntryKind::Single]
            .into_iter()
            .find(|kind| *kind as u8 == self.0 as u8)
    }

    pub(super) fn bytes(self) -> [u8; 14] {
        let [_, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 14] = bytes.try_into().ok()?;
        let mut all = [0; 16];
        all[2..].copy_from_slice(&bytes);
        Some(Self(u128::from_be_bytes(all)))
    }
}

/// The greatest age (number of an admission). An age takes six bytes of a key, which is enough for 2⁴⁸ admissions.
const AGE_MAX: u64 = (1 << 48) - 1;

/// The key of a record that is due later. These keys sort by due time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct WaitKey {
    pub(super) due: Timestamp,
    pub(super) age: u64,
}

impl WaitKey {
    pub(super) const FIRST: Self = Self { due: Timestamp::EPOCH, age: 0 };

    /// Returns a key that is not less than the key of any record that is due at `now`.
    pub(super) fn last_at(now: Timestamp) -> Self {
        Self { due: now, age: AGE_MAX }
    }

    pub(super) fn bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[4..12].copy_from_slice(&self.due.as_micros().to_be_bytes());
        bytes[12..].copy_from_slice(&self.age.to_be_bytes()[2..]);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 18] = bytes.try_into().ok()?;
        let (_, rest) = bytes.split_first_chunk::<4>()?;
        let (due, age) = rest.split_first_chunk::<8>()?;
        let mut wide = [0; 8];
        wide[2..].copy_from_slice(age);
        Some(Self { due: Timestamp::from_micros(u64::from_be_bytes(*due)), age: u64::from_be_bytes(wide) })
    }
}

/// Returns the key of a failure.
pub(super) fn failure(number: u64) -> [u8; 9] {
    let mut key = [0; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a page of the history. These keys sort by the time at which the page ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct PageKey {
    pub(super) ended: Timestamp,
    pub(super) number: u64,
}

impl PageKey {
    pub(super) const FIRST: Self = Self { ended: Timestamp::EPOCH, number: 0 };

    /// Returns a key that is not greater than the key of any page that ended at `ended`.
    pub(super) fn first_at(ended: Timestamp) -> Self {
        Self { ended, number: 0 }
    }

    pub(super) fn bytes(self) -> [u8; 17] {
        let mut key = [1; 17];
        key[1..9].copy_from_slice(&self.ended.as_micros().to_be_bytes());
        key[9..].copy_from_slice(&self.number.to_be_bytes());
        key
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (ended, number) = bytes.strip_prefix(&[1])?.split_first_chunk::<8>()?;
        let ended = Timestamp::from_micros(u64::from_be_bytes(*ended));
        Some(Self { ended, number: u64::from_be_bytes(number.try_into().ok()?) })
    }
}

/// The key of a redirected URL that waits for another URL. These keys sort by the URL that is waited for, then by age
/// (the number of the admission).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct WaiterKey {
    pub(super) url: Fingerprint,
    pub(super) age: u64,
}

impl WaiterKey {
    pub(super) const FIRST: Self = Self { url: Fingerprint(0), age: 0 };
    pub(super) const LAST: Self = Self { url: Fingerprint(u128::MAX), age: u64::MAX };

    /// Returns a key that is not less than the key of any URL that waits for the same URL.
    pub(super) fn last_of_url(self) -> Self {
        Self { age: u64::MAX, ..self }
    }

    /// Returns the next greater key. The addition cannot overflow, because ages (numbers of admissions) are far below
    /// the end of their range.
    pub(super) fn next(self) -> Self {
        Self { age: self.age.saturating_add(1), ..self }
    }

    pub(super) fn bytes(self) -> [u8; 25] {
        let mut key = [2; 25];
        key[1..17].copy_from_slice(&self.url.0.to_be_bytes());
        key[17..].copy_from_slice(&self.age.to_be_bytes());
        key
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (url, age) = bytes.strip_prefix(&[2])?.split_first_chunk::<16>()?;
        let url = Fingerprint(u128::from_be_bytes(*url));
        Some(Self { url, age: u64::from_be_bytes(age.try_into().ok()?) })
    }
}

/// Returns the key at which the end of a URL that failed or was redirected is stored.
pub(super) fn end_of(url: Fingerprint) -> [u8; 17] {
    let mut key = [b'e'; 17];
    key[1..].copy_from_slice(&url.0.to_be_bytes());
    key
}

/// Returns the bytes with which the keys of all texts of a list begin.
pub(super) fn list(name: &str) -> Vec<u8> {
    [b"l", name.as_bytes(), &[0]].concat()
}

pub(super) const WAITING: &[u8] = b"w";
pub(super) const CRAWL: &[u8] = b"c";
pub(super) const BOOKS: &[u8] = b"b";
pub(super) const POSITIONS: u8 = b'p';
pub(super) const FAILURES: u8 = b'f';
pub(super) const NOTES: u8 = b't';

/// The first byte of the keys of all sheets. A sheet is an entry with the fingerprints of one commit.
pub(super) const SHEETS: u8 = b'm';

/// Returns the key of a sheet: an entry with the fingerprints of one commit.
pub(super) fn sheet(number: u64) -> [u8; 9] {
    let mut key = [SHEETS; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Returns the number of the sheet (entry with the fingerprints of one commit) that has this key, or `None` if the
/// key does not belong to a sheet.
pub(super) fn number_of_sheet(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(&[SHEETS])?.try_into().ok()?;
    Some(u64::from_be_bytes(number))
}

/// Returns the key of a value that is stored under a name. `what` is the first byte of the key: `n`, `t`, `p` or `f`.
pub(super) fn named(what: u8, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + name.len().min(NAME_MAX));
    key.push(what);
    if name.len() <= NAME_MAX {
        key.extend_from_slice(name.as_bytes());
    } else {
        // A name is cut here, because names from the web can have any length, and the database takes keys of at most
        // 64 KiB.
        key.extend_from_slice(&name.as_bytes()[..NAME_MAX]);
        key.extend_from_slice(&xxh3_128(name.as_bytes()).to_be_bytes());
    }
    key
}

const NAME_MAX: usize = 1024;

/// Returns the key under which a host's number is stored.
pub(super) fn number_of(name: &str) -> Vec<u8> {
    named(b'n', name)
}

/// Returns the key under which a host's name is stored.
pub(super) fn name_of(host: HostId) -> [u8; 5] {
    of_host(b'i', host)
}

/// Returns the key under which the saved state of a host (its memo) is stored.
pub(super) fn memo_of(host: HostId) -> [u8; 5] {
    of_host(b'h', host)
}

/// Returns the key under which the pages and bytes taken of a host are stored.
pub(super) fn spent_of(host: HostId) -> [u8; 5] {
    of_host(b's', host)
}

fn of_host(what: u8, host: HostId) -> [u8; 5] {
    let [a, b, c, d] = host.0.to_be_bytes();
    [what, a, b, c, d]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn places_sort_by_priority_place_and_age() {
        let key =
            |priority, place, age| QueueKey::new(HostId(7), Priority(priority), place, age, EntryKind::Chunk);
        let sorted =
            [key(127, 9, 9), key(1, 0, 5), key(0, 0, 6), key(0, 1, 1), key(0, 1, 2), key(-128, 0, 0)];
        assert!(sorted.is_sorted(), "{sorted:?}");
        for key in sorted {
            assert!(QueueKey::first_of(HostId(7)) <= key && key < QueueKey::last_of(HostId(7)));
            assert_eq!(QueueKey::parse(&key.bytes()), Some(key));
            let same = QueueKey::new(key.host(), key.priority(), key.place(), key.age(), key.kind().unwrap());
            assert_eq!(same, key);
        }
        assert!(QueueKey::last_of(HostId(7)) < QueueKey::first_of(HostId(8)));
    }

    #[test]
    fn what_waits_sorts_by_due_and_stands_before_all_hosts() {
        let key = WaitKey { due: Timestamp::from_secs(3), age: 77 };
        assert_eq!(WaitKey::parse(&key.bytes()), Some(key));
        assert!(WaitKey::last_at(key.due).bytes() > key.bytes());
        assert!(WaitKey::last_at(Timestamp::NEVER).bytes()[..] < QueueKey::first_of(HostId(1)).bytes()[..]);
    }

    #[test]
    fn pages_sort_by_when_they_ended_and_stand_behind_all_failures() {
        let key = |secs, number| PageKey { ended: Timestamp::from_secs(secs), number };
        let sorted = [key(1, 9), key(2, 3), key(2, 4), key(300, 1)].map(PageKey::bytes);
        assert!(sorted.is_sorted() && failure(u64::MAX)[..] < sorted[0][..]);
        assert_eq!(PageKey::parse(&sorted[1]), Some(key(2, 3)));
    }

    #[test]
    fn what_waits_for_a_url_stands_together_behind_all_pages() {
        let key = |url, age| WaiterKey { url: Fingerprint(url), age };
        let sorted = [WaiterKey::FIRST, key(1, 9), key(1, 9).next(), key(1, 0).last_of_url(), key(2, 0)];
        assert!(sorted.is_sorted() && sorted.map(WaiterKey::bytes).is_sorted());
        let page = PageKey { ended: Timestamp::NEVER, number: u64::MAX };
        assert!(page.bytes()[..] < WaiterKey::FIRST.bytes()[..]);
        assert_eq!(WaiterKey::parse(&key(1, 9).bytes()), Some(key(1, 9)));
    }

    #[test]
    fn a_name_of_any_length_makes_a_short_key() {
        let (long, other) = ("a".repeat(70_000), "a".repeat(70_001));
        assert!(named(b'n', &long).len() < 1100);
        assert_ne!(named(b'n', &long), named(b'n', &other));
    }
}
