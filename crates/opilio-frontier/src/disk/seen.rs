//! Which fingerprints the crawl has met, and which of them it only counted.
//!
//! A link is looked up among those met lately, then in what this batch adds, then on disk; most
//! links of a page end at the first. The key is the fingerprint's top 96 bits: at 10⁸ URLs the
//! chance of one false "seen" is below 10⁻¹². It has no host in front, unlike the queue's: a
//! filtered link has no host that the crawl should remember, and one look-up answers for both.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use fjall::{Keyspace, OwnedWriteBatch};
use opilio_core::Fingerprint;

use crate::batch::Filtered;

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

impl From<Mark> for Sighting {
    fn from(mark: Mark) -> Self {
        match mark {
            Mark::Known => Self::Known,
            Mark::Filtered(why) => Self::Filtered(why),
        }
    }
}

pub(super) struct Seen {
    stored: Keyspace,
    recent: Recent,
    /// What the batch at hand adds or changes.
    batch: HashMap<Short, Mark>,
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
        Self { stored, recent: Recent::new(recent_bytes), batch: HashMap::new() }
    }

    /// Makes a fingerprint known, and says what it was until now.
    pub(super) fn take_on(&mut self, fingerprint: Fingerprint) -> Result<Sighting, SeenError> {
        let short = Short::of(fingerprint);
        if self.recent.holds(short, Class::Known) {
            return Ok(Sighting::Known);
        }
        let before = self.look_up(short)?;
        if before != Sighting::Known {
            self.batch.insert(short, Mark::Known);
        }
        Ok(before)
    }

    /// Remembers that a fingerprint was filtered, unless it was met before; says whether it was.
    pub(super) fn mark(&mut self, fingerprint: Fingerprint, why: Filtered) -> Result<bool, SeenError> {
        let short = Short::of(fingerprint);
        if self.recent.holds(short, Class::Known) || self.recent.holds(short, Class::Filtered) {
            return Ok(true);
        }
        let met = self.look_up(short)? != Sighting::First;
        if !met {
            self.batch.insert(short, Mark::Filtered(why));
        }
        Ok(met)
    }

    fn look_up(&mut self, short: Short) -> Result<Sighting, SeenError> {
        if let Entry::Occupied(mark) = self.batch.entry(short) {
            return Ok((*mark.get()).into());
        }
        let Some(stored) = self.stored.get(short.bytes())? else { return Ok(Sighting::First) };
        let mark = match &*stored {
            [] => Mark::Known,
            [why] => Mark::Filtered(*Filtered::ALL.get(usize::from(*why)).ok_or(SeenError::UnknownMark)?),
            _ => return Err(SeenError::UnknownMark),
        };
        self.recent.add(short, mark);
        Ok(mark.into())
    }

    /// Adds to a commit what has changed.
    pub(super) fn write(&self, commit: &mut OwnedWriteBatch) {
        for (short, mark) in &self.batch {
            match mark {
                Mark::Known => commit.insert(&self.stored, short.bytes(), []),
                Mark::Filtered(why) => commit.insert(&self.stored, short.bytes(), [number(*why)]),
            }
        }
    }

    /// The commit is made: what it added is stored.
    pub(super) fn committed(&mut self) {
        for (short, mark) in self.batch.drain() {
            self.recent.add(short, mark);
        }
    }
}

fn number(why: Filtered) -> u8 {
    Filtered::ALL.iter().position(|other| *other == why).unwrap_or_default() as u8
}

/// The top 96 bits of a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Short(u128);

impl Short {
    fn of(fingerprint: Fingerprint) -> Self {
        Self(fingerprint.0 >> 32)
    }

    fn bytes(self) -> [u8; 12] {
        let [_, _, _, _, bytes @ ..] = self.0.to_be_bytes();
        bytes
    }
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

    fn holds(&self, short: Short, class: Class) -> bool {
        let (slot, word) = self.place(short, class);
        self.slots[slot] == word && word > 1
    }

    fn add(&mut self, short: Short, mark: Mark) {
        let class = match mark {
            Mark::Known => Class::Known,
            Mark::Filtered(_) => Class::Filtered,
        };
        let (slot, word) = self.place(short, class);
        self.slots[slot] = word;
    }

    fn place(&self, short: Short, class: Class) -> (usize, u64) {
        (short.0 as u32 as usize & self.mask, (short.0 >> 32) as u64 & !1 | class as u64)
    }
}
