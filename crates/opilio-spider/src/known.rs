//! Counts URLs that are requested with two different steps. Only the first request of a URL is fetched, so a
//! crawl should report that it ignores the others.
//!
//! The store knows which URLs it has met, but not with which step. This table remembers the step of each URL
//! that was met lately. The table grows with the number of URLs, up to `SLOTS_MAX` slots.

use opilio_core::{Fingerprint, Record, RecordKind};
use opilio_frontier::Admission;

use crate::data::step_of;
use crate::step;

/// The step of each URL that was met lately, in a hash table with one slot per hash value.
#[derive(Default)]
pub struct KnownSteps {
    slots: Vec<MetUrl>,
    filled: usize,
    /// The first `TEXTS_MAX` different steps that were met: the hash and the text of each, for log messages.
    texts: Vec<(u32, String)>,
    others: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct MetUrl {
    /// The upper 64 bits of the URL's fingerprint, with the lowest of them set to 1; 0 in an empty slot.
    url: u64,
    /// The lower 32 bits of the URL's fingerprint. The index of the slot is computed from these bits.
    place: u32,
    step: u32,
    /// The URL was requested with another step, too. It is already counted in `others`, and is not counted
    /// again.
    counted: bool,
}

impl KnownSteps {
    /// Checks the requests of a page against the table. Counts each URL that is known with another step once,
    /// and logs a warning for the first such URL.
    pub fn meet(&mut self, admissions: &[Admission]) {
        for admission in admissions {
            let Admission::Queue(record) = admission else { continue };
            let Some((bytes, step)) = kept(record) else { continue };
            self.name(step, bytes);
            let Some(slot) = self.enter(record.fingerprint, step) else { continue };
            if slot.step == step || slot.counted {
                continue;
            }
            slot.counted = true;
            let first = slot.step;
            self.others += 1;
            let (known, other) = (self.text(first), step::text(bytes));
            if self.others == 1 {
                tracing::warn!(
                    url = %record.url, first_step = known, ignored_step = other,
                    "a URL was requested with two steps: only the first one reads its page. `Request::again` \
                     fetches it for the second step, too. Only the first such URL is named: the others are counted"
                );
            } else {
                tracing::debug!(url = %record.url, known, other, "another URL was requested with a second step, which is ignored");
            }
        }
    }

    /// Records the step with which the store keeps a URL: an earlier run may have met that URL.
    pub fn learn(&mut self, record: &Record) {
        // A redirect's target is requested on behalf of another URL, so its step says nothing about the
        // target's own URL.
        if record.kind == RecordKind::Continuation {
            return;
        }
        if let Some((bytes, step)) = kept(record) {
            self.name(step, bytes);
            if let Some(slot) = self.enter(record.fingerprint, step) {
                slot.step = step;
            }
        }
    }

    /// The number of URLs that were requested with a second step.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// Returns the slot of a URL that the table knows. Enters a new URL, in place of another one if that has
    /// its slot, and returns `None`.
    fn enter(&mut self, url: Fingerprint, step: u32) -> Option<&mut MetUrl> {
        if self.filled * 2 >= self.slots.len() && self.slots.len() < SLOTS_MAX {
            self.grow();
        }
        let (at, tag) = (self.at(url.0 as u64), (url.0 >> 64) as u64 | 1);
        let slot = &mut self.slots[at];
        // Two URLs whose fingerprints agree in these bits are taken for the same URL, so the second one is not
        // counted.
        if slot.url == tag && slot.place == url.0 as u32 {
            return Some(slot);
        }
        self.filled += usize::from(slot.url == 0);
        *slot = MetUrl { url: tag, place: url.0 as u32, step, counted: false };
        None
    }

    fn at(&self, place: u64) -> usize {
        // The number of slots is a power of two, so this is the remainder of a division by that number.
        place as u32 as usize & (self.slots.len() - 1)
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(SLOTS_FIRST);
        let old = std::mem::replace(&mut self.slots, vec![MetUrl::default(); size]);
        self.filled = 0;
        for slot in old.into_iter().filter(|slot| slot.url != 0) {
            let at = self.at(u64::from(slot.place));
            self.filled += usize::from(self.slots[at].url == 0);
            self.slots[at] = slot;
        }
    }

    fn name(&mut self, step: u32, bytes: &[u8]) {
        if self.texts.len() < TEXTS_MAX && self.texts.iter().all(|(known, _)| *known != step) {
            self.texts.push((step, step::text(bytes)));
        }
    }

    fn text(&self, step: u32) -> &str {
        self.texts.iter().find(|(known, _)| *known == step).map_or("another step", |(_, text)| text)
    }
}

/// Returns the step of a record as encoded bytes, and its hash. Returns `None` for the step `()`, which has
/// only one value.
fn kept(record: &Record) -> Option<(&[u8], u32)> {
    let bytes = step_of(record).filter(|bytes| !bytes.is_empty())?;
    Some((bytes, step::hash(bytes) as u32))
}

const SLOTS_FIRST: usize = 1 << 10;
/// The most slots: 6 MB. A full table holds nearly as many URLs; a new URL then replaces an older one.
const SLOTS_MAX: usize = 1 << 18;
/// The most steps whose texts are kept for log messages.
const TEXTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use opilio_core::{Host, Scheme};
    use url::Url;

    use super::*;
    use crate::data::RequestData;

    fn record(n: usize, step: &str) -> Record {
        let url = Url::parse(&format!("http://a.test/{n}")).unwrap();
        Record {
            extra: RequestData { step: step.as_bytes().to_vec(), ..RequestData::default() }.encode().unwrap(),
            ..Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::Http)
        }
    }

    #[test]
    fn a_url_that_is_requested_with_another_step_counts_once() {
        let mut known = KnownSteps::default();
        let meet = |known: &mut KnownSteps, n, step: &str| {
            known.meet(&[Admission::Queue(record(n, step))]);
            known.others()
        };
        for n in 0..5_000 {
            assert_eq!(meet(&mut known, n, "\"Listing\""), 0);
        }
        assert_eq!(meet(&mut known, 4_999, "\"Product\""), 1);
        assert_eq!(meet(&mut known, 4_999, "\"Product\""), 1);
        assert_eq!(meet(&mut known, 4_998, "\"Product\""), 2);
        assert!(known.slots.len() <= 16_384, "{}", known.slots.len());
        known.learn(&record(9_999, "\"Product\""));
        assert_eq!(meet(&mut known, 9_999, "\"Listing\""), 3);
        assert_eq!(meet(&mut known, 0, "") + meet(&mut known, 10_000, ""), 6, "`()` is not told apart");
    }
}
