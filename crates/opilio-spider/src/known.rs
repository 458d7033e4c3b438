//! Counts URLs that are requested with two different steps. Each URL is fetched for its first step only, so the crawl
//! reports how many requests with another step it has ignored.
//!
//! The store knows which URLs were found already, but not with which step. This table remembers the step of each URL
//! that was found lately. The table grows with the number of URLs, up to `SLOTS_MAX` slots.

use opilio_core::{Fingerprint, Record, RecordKind};
use opilio_frontier::Admission;

use crate::data::step_of;
use crate::step;

/// The step of each URL that was found lately, in a hash table with one slot for each hash value.
#[derive(Default)]
pub struct KnownSteps {
    slots: Vec<MetUrl>,
    filled: usize,
    /// The hash and the text of the first `TEXTS_MAX` different steps. The texts are for log messages.
    texts: Vec<(u32, String)>,
    others: u64,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct MetUrl {
    /// The upper 64 bits of the URL's fingerprint, with their lowest bit set to 1; 0 in an empty slot.
    url: u64,
    /// The lower 32 bits of the URL's fingerprint. The index of the slot is computed from these bits.
    place: u32,
    step: u32,
    /// Whether the URL was requested with another step, too. It is then already counted in `others`, and is not
    /// counted again.
    counted: bool,
}

impl KnownSteps {
    /// Compares the requests of a page with the table. A URL that the table has with another step is counted, but
    /// only once. A warning is logged for the first such URL.
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
                    "a URL was requested with two `Step` values: only the first one reads its page. `Request::again` \
                     fetches the page for the second one, too. Only the first such URL is named in a warning: further URLs are counted"
                );
            } else {
                tracing::debug!(url = %record.url, known, other, "this URL, too, was requested with two `Step` values: `known` reads its page, `other` is ignored");
            }
        }
    }

    /// Records the step of a URL that the store has, since an earlier run may have requested that URL.
    pub fn learn(&mut self, record: &Record) {
        // The target of a redirect is requested on behalf of the redirecting URL. So the step of this record does not
        // belong to the target's URL.
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

    /// Returns the number of URLs that were requested with a second step.
    pub fn others(&self) -> u64 {
        self.others
    }

    /// Returns the slot of a URL that is in the table. If the URL is not in the table, writes it there and returns
    /// `None`. A URL that had the same slot before is overwritten.
    fn enter(&mut self, url: Fingerprint, step: u32) -> Option<&mut MetUrl> {
        if self.filled * 2 >= self.slots.len() && self.slots.len() < SLOTS_MAX {
            self.grow();
        }
        let (at, tag) = (self.at(url.0 as u64), (url.0 >> 64) as u64 | 1);
        let slot = &mut self.slots[at];
        // Two URLs whose fingerprints have these bits in common are taken for the same URL. This is rare, and then
        // the second URL is not recorded.
        if slot.url == tag && slot.place == url.0 as u32 {
            return Some(slot);
        }
        self.filled += usize::from(slot.url == 0);
        *slot = MetUrl { url: tag, place: url.0 as u32, step, counted: false };
        None
    }

    fn at(&self, place: u64) -> usize {
        // The number of slots is a power of two, so this is the remainder of the division by the number of slots.
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

/// Returns the encoded step of a record, and its hash. Returns `None` for the step `()`, which has only one value.
fn kept(record: &Record) -> Option<(&[u8], u32)> {
    let bytes = step_of(record).filter(|bytes| !bytes.is_empty())?;
    Some((bytes, step::hash(bytes) as u32))
}

const SLOTS_FIRST: usize = 1 << 10;
/// The most slots of the table (6 MB). When nearly all slots are used, new URLs overwrite older ones.
const SLOTS_MAX: usize = 1 << 18;
/// The most steps whose texts are kept for log messages. Few spiders have more kinds of steps.
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
