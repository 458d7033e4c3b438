//! The fingerprints (hashes of URLs) that the crawl knows, and which of these URLs it filtered.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hasher};

use opilio_core::Fingerprint;

use crate::batch::Filtered;

/// The fingerprints that the crawl knows, each with its state.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<SeenKey, SeenState, Folding>);

/// The state that a fingerprint had before a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sighting {
    /// The crawl did not know the fingerprint.
    First,
    /// The crawl had filtered the URL, for this reason.
    Filtered(Filtered),
    /// The crawl had admitted the URL, or had followed a redirect to it.
    Known,
}

impl Seen {
    /// Makes a fingerprint known, and returns the state that it had before.
    pub(super) fn take_on(&mut self, fingerprint: Fingerprint) -> Sighting {
        match self.0.entry(SeenKey::of(fingerprint)) {
            Entry::Vacant(entry) => {
                entry.insert(SeenState::Known);
                Sighting::First
            }
            Entry::Occupied(mut entry) => match *entry.get() {
                SeenState::Known | SeenState::Page => Sighting::Known,
                SeenState::Filtered(why) => {
                    entry.insert(SeenState::Known);
                    Sighting::Filtered(why)
                }
            },
        }
    }

    /// Records that a URL ended as a page.
    pub(super) fn end_as_page(&mut self, fingerprint: Fingerprint) {
        self.0.insert(SeenKey::of(fingerprint), SeenState::Page);
    }

    /// Returns whether a URL ended as a page.
    pub(super) fn is_page(&self, fingerprint: Fingerprint) -> bool {
        self.0.get(&SeenKey::of(fingerprint)) == Some(&SeenState::Page)
    }

    /// Returns whether a URL was filtered and not admitted later.
    pub(super) fn is_filtered(&self, fingerprint: Fingerprint) -> bool {
        matches!(self.0.get(&SeenKey::of(fingerprint)), Some(SeenState::Filtered(_)))
    }

    /// Records that a page is due again: it does not count as a page until it ends again.
    pub(super) fn begin_again(&mut self, fingerprint: Fingerprint) {
        self.0.insert(SeenKey::of(fingerprint), SeenState::Known);
    }

    /// Marks a URL as filtered although it was admitted.
    pub(super) fn put_off(&mut self, fingerprint: Fingerprint, why: Filtered) {
        self.0.insert(SeenKey::of(fingerprint), SeenState::Filtered(why));
    }

    /// Marks a fingerprint as filtered, unless the crawl knew it before. Returns the state that it had before.
    pub(super) fn mark(&mut self, fingerprint: Fingerprint, why: Filtered) -> Sighting {
        match self.0.entry(SeenKey::of(fingerprint)) {
            Entry::Vacant(entry) => {
                entry.insert(SeenState::Filtered(why));
                Sighting::First
            }
            Entry::Occupied(entry) => match *entry.get() {
                SeenState::Known | SeenState::Page => Sighting::Known,
                SeenState::Filtered(why) => Sighting::Filtered(why),
            },
        }
    }
}

/// The state of a URL. It takes one byte, so that an entry of the map takes 17 bytes. The key of an entry consists of
/// bytes, which need no alignment; with a `u128` as the key, an entry would take 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SeenState {
    Known,
    /// The URL is known, and it ended as a page.
    Page,
    Filtered(Filtered),
}

/// The state of a URL in a store that does not record which URLs ended as pages.
#[cfg(feature = "disk")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    Known,
    Filtered(Filtered),
}

/// A fingerprint as the key of a map. It consists of bytes, because bytes need no alignment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SeenKey([u8; 16]);

impl SeenKey {
    pub(crate) fn of(fingerprint: Fingerprint) -> Self {
        Self(fingerprint.0.to_ne_bytes())
    }

    #[cfg(feature = "disk")]
    pub(crate) fn fingerprint(self) -> Fingerprint {
        Fingerprint(u128::from_ne_bytes(self.0))
    }
}

impl std::hash::Hash for SeenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_ne_bytes(self.0));
    }
}

/// Hashes a fingerprint to 64 bits with a key that is random in each process.
///
/// A fingerprint is a hash itself, but everyone can compute the fingerprint of a URL. Without the random key, the
/// owner of a hostile server could choose links that all fall into one bucket of the hash map, which would make
/// look-ups slow.
#[derive(Clone, Debug)]
pub(crate) struct Folding {
    key: [u64; 2],
}

impl Default for Folding {
    fn default() -> Self {
        let random = RandomState::new();
        Self { key: [random.hash_one(0_u8), random.hash_one(1_u8)] }
    }
}

impl BuildHasher for Folding {
    type Hasher = FingerprintHasher;

    fn build_hasher(&self) -> FingerprintHasher {
        FingerprintHasher { key: self.key, hash: 0 }
    }
}

pub(crate) struct FingerprintHasher {
    key: [u64; 2],
    hash: u64,
}

impl Hasher for FingerprintHasher {
    fn write_u128(&mut self, fingerprint: u128) {
        let low = fingerprint as u64 ^ self.key[0];
        let high = (fingerprint >> 64) as u64 ^ self.key[1];
        let product = u128::from(low) * u128::from(high);
        self.hash = product as u64 ^ (product >> 64) as u64;
    }

    /// This function is never called for a [`SeenKey`]. For other types it is correct but slow.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(self.hash) << 8 | u128::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_seventeen_bytes() {
        assert_eq!(size_of::<(SeenKey, SeenState)>(), 17);
    }

    #[test]
    fn the_first_why_stays_until_the_url_is_taken_on() {
        let (mut seen, url) = (Seen::default(), Fingerprint(7));
        assert_eq!(seen.mark(url, Filtered::MaxDepth), Sighting::First);
        assert_eq!(seen.mark(url, Filtered::ScopeHost), Sighting::Filtered(Filtered::MaxDepth));
        assert_eq!(seen.take_on(url), Sighting::Filtered(Filtered::MaxDepth));
        assert_eq!(seen.take_on(url), Sighting::Known);
        assert_eq!(seen.mark(url, Filtered::MaxDepth), Sighting::Known);
    }

    #[test]
    fn a_page_is_known_as_one_until_it_is_due_again() {
        let (mut seen, url) = (Seen::default(), Fingerprint(7));
        seen.take_on(url);
        assert!(!seen.is_page(url));
        seen.end_as_page(url);
        assert_eq!(seen.take_on(url), Sighting::Known);
        assert!(seen.is_page(url));
        seen.begin_again(url);
        assert!(!seen.is_page(url));
    }

    #[test]
    fn fingerprints_that_share_a_half_do_not_share_a_hash() {
        let folding = Folding::default();
        let mut hashes: Vec<u64> = (0..1000_u128)
            .flat_map(|i| [i, i << 64])
            .map(|i| folding.hash_one(SeenKey::of(Fingerprint(i << 1 | 1))))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert!(hashes.len() > 1990, "{}", hashes.len());
    }
}
