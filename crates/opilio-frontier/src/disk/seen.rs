//! Which fingerprints the crawl has met, and which of them it only counted.
//!
//! A link is looked up among those met lately, then on disk; most links of a page end at the first.
//! The key is the fingerprint as it is. Its first 32 bits are a hash of the host, so that the links of
//! a page lie together, in memory as on disk: that halves the price of a new URL. The other 96 tell
//! URLs of one host apart: at 10⁸ of them the chance of one false "seen" is below 10⁻¹².

use std::collections::HashMap;

use fjall::{Keyspace, OwnedWriteBatch};
use opilio_core::Fingerprint;

use crate::batch::Filtered;
use crate::memory::seen::Folding;

/// What a fingerprint was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sighting {
    /// Never met.
    First,
    /// Met and filtered.
    Filtered(Filtered),
    /// Taken on before.
    Known,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Known,
    Filtered(Filtered),
}

impl From<Option<Mark>> for Sighting {
    fn from(mark: Option<Mark>) -> Self {
        match mark {
            None => Self::First,
            Some(Mark::Known) => Self::Known,
            Some(Mark::Filtered(why)) => Self::Filtered(why),
        }
    }
}

pub(super) struct Seen {
    stored: Keyspace,
    recent: Recent,
    /// What the batch at hand looked up, adds and changes.
    batch: HashMap<Fingerprint, Sighted, Folding>,
}

/// A fingerprint of the batch at hand.
#[derive(Clone, Copy)]
struct Sighted {
    mark: Option<Mark>,
    /// It is not stored yet.
    is_new: bool,
}

/// Why a look-up failed.
pub(super) enum SeenError {
    Store(fjall::Error),
    /// A mark that this version does not know.
    UnknownMark,
}

impl From<fjall::Error> for SeenError {
    fn from(error: fjall::Error) -> Self {
        Self::Store(error)
    }
}

impl Seen {
    pub(super) fn new(stored: Keyspace, recent_bytes: usize) -> Self {
        Self { stored, recent: Recent::new(recent_bytes), batch: HashMap::default() }
    }

    /// Begins a batch: looks up what it will ask for. In the order of the keys, so that neighbours
    /// share the way through the memtable; that halves the price.
    pub(super) fn begin(&mut self, batch: impl Iterator<Item = Fingerprint>) -> Result<(), SeenError> {
        self.batch.clear();
        let unknown = batch.filter(|fingerprint| !self.recent.holds(*fingerprint, Class::Known));
        let mut sorted: Vec<_> = unknown.collect();
        sorted.sort_unstable();
        sorted.dedup();
        for fingerprint in sorted {
            let mark = self.stored_mark(fingerprint)?;
            self.batch.insert(fingerprint, Sighted { mark, is_new: false });
        }
        Ok(())
    }

    /// Makes a fingerprint known, and says what it was until now.
    pub(super) fn take_on(&mut self, fingerprint: Fingerprint) -> Result<Sighting, SeenError> {
        if self.recent.holds(fingerprint, Class::Known) {
            return Ok(Sighting::Known);
        }
        let sighted = self.look_up(fingerprint)?;
        let before = sighted.mark;
        if before != Some(Mark::Known) {
            *sighted = Sighted { mark: Some(Mark::Known), is_new: true };
        }
        Ok(before.into())
    }

    /// Remembers that a fingerprint was filtered, unless it was met before; says whether it was.
    pub(super) fn mark(&mut self, fingerprint: Fingerprint, why: Filtered) -> Result<bool, SeenError> {
        if self.recent.holds(fingerprint, Class::Known) || self.recent.holds(fingerprint, Class::Filtered) {
            return Ok(true);
        }
        let sighted = self.look_up(fingerprint)?;
        let met = sighted.mark.is_some();
        if !met {
            *sighted = Sighted { mark: Some(Mark::Filtered(why)), is_new: true };
        }
        Ok(met)
    }

    /// What was taken on is filtered after all.
    pub(super) fn put_off(&mut self, fingerprint: Fingerprint, why: Filtered) {
        let mark = Some(Mark::Filtered(why));
        self.batch.insert(fingerprint, Sighted { mark, is_new: true });
    }

    fn look_up(&mut self, fingerprint: Fingerprint) -> Result<&mut Sighted, SeenError> {
        if !self.batch.contains_key(&fingerprint) {
            let mark = self.stored_mark(fingerprint)?;
            self.batch.insert(fingerprint, Sighted { mark, is_new: false });
        }
        Ok(self.batch.entry(fingerprint).or_insert(Sighted { mark: None, is_new: false }))
    }

    fn stored_mark(&self, fingerprint: Fingerprint) -> Result<Option<Mark>, SeenError> {
        let Some(stored) = self.stored.get(bytes(fingerprint))? else { return Ok(None) };
        match &*stored {
            [] => Ok(Some(Mark::Known)),
            [why] => {
                let why = Filtered::ALL.get(usize::from(*why)).ok_or(SeenError::UnknownMark)?;
                Ok(Some(Mark::Filtered(*why)))
            }
            _ => Err(SeenError::UnknownMark),
        }
    }

    /// Adds to a commit what has changed.
    pub(super) fn write(&self, commit: &mut OwnedWriteBatch) {
        let new = self.batch.iter().filter(|(_, sighted)| sighted.is_new);
        let mut sorted: Vec<_> =
            new.filter_map(|(fingerprint, sighted)| Some((*fingerprint, sighted.mark?))).collect();
        sorted.sort_unstable_by_key(|(fingerprint, _)| *fingerprint);
        for (fingerprint, mark) in sorted {
            match mark {
                Mark::Known => commit.insert(&self.stored, bytes(fingerprint), []),
                Mark::Filtered(why) => commit.insert(&self.stored, bytes(fingerprint), [number(why)]),
            }
        }
    }

    /// The commit is made: what it added is stored.
    pub(super) fn committed(&mut self) {
        for (fingerprint, sighted) in self.batch.drain() {
            if let Some(mark) = sighted.mark {
                self.recent.add(fingerprint, mark);
            }
        }
    }
}

fn bytes(fingerprint: Fingerprint) -> [u8; 16] {
    fingerprint.0.to_be_bytes()
}

fn number(why: Filtered) -> u8 {
    Filtered::ALL.iter().position(|other| *other == why).unwrap_or_default() as u8
}

#[derive(Clone, Copy)]
enum Class {
    Known = 0,
    Filtered = 1,
}

/// A direct-mapped table of fingerprints met lately. A slot keeps 63 bits and its place says some
/// twenty more, so that it does not take one for another.
struct Recent {
    slots: Box<[u64]>,
    mask: usize,
}

impl Recent {
    fn new(bytes: usize) -> Self {
        let slots = (bytes / 8).max(1);
        let slots = 1_usize << slots.ilog2();
        Self { slots: vec![0; slots].into_boxed_slice(), mask: slots - 1 }
    }

    fn holds(&self, fingerprint: Fingerprint, class: Class) -> bool {
        let (slot, word) = self.place(fingerprint, class);
        self.slots[slot] == word && word > 1
    }

    fn add(&mut self, fingerprint: Fingerprint, mark: Mark) {
        let class = match mark {
            Mark::Known => Class::Known,
            Mark::Filtered(_) => Class::Filtered,
        };
        let (slot, word) = self.place(fingerprint, class);
        self.slots[slot] = word;
    }

    fn place(&self, fingerprint: Fingerprint, class: Class) -> (usize, u64) {
        (fingerprint.0 as u32 as usize & self.mask, (fingerprint.0 >> 32) as u64 & !1 | class as u64)
    }
}
