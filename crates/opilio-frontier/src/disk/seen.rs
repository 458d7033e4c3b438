//! The fingerprints (hashes of URLs) that the crawl has met, and which of them it filtered.
//!
//! A link is looked up in three places: the table of recently seen fingerprints, the fingerprints gathered
//! since the last sorted file was written, and those on disk. The first place has most links of a page. The key
//! on disk is the fingerprint. Its first 32 bits are a hash of the host, so that the links of a page lie
//! together. The other 96 bits distinguish URLs of one host. With 10⁸ URLs, the chance that any unknown URL is
//! taken for a known one is below 10⁻¹² on disk, and below 10⁻⁹ in the table of recently seen fingerprints,
//! which keeps fewer bits.
//!
//! New fingerprints do not go through the database's journal one by one. A commit writes the fingerprints of
//! its batch as one entry (a *sheet*), and memory gathers them. Once there are many, they are written as one
//! sorted file, and their sheets are removed. Opening reads the remaining sheets. That costs a fifth of one
//! entry for each fingerprint, both when it is admitted and when a journal is read again.

use std::collections::HashMap;
use std::ops::Range;

use fjall::{Keyspace, OwnedWriteBatch};
use opilio_core::Fingerprint;

use super::files::StorePlace;
use super::keys;
use crate::batch::Filtered;
use crate::encode::{Reader, put_varint};
use crate::error::FrontierError;
use crate::memory::seen::{Folding, Mark, SeenKey};

pub(super) use crate::memory::seen::Sighting;

impl From<Option<Mark>> for Sighting {
    fn from(mark: Option<Mark>) -> Self {
        match mark {
            None => Self::First,
            Some(Mark::Known) => Self::Known,
            Some(Mark::Filtered(why)) => Self::Filtered(why),
        }
    }
}

/// The fingerprints that the crawl has met.
pub(super) struct Seen {
    /// The keyspace of the sorted files. It is only written in whole files, never key by key.
    stored: Keyspace,
    /// The keyspace of the sheets.
    sheets_in: Keyspace,
    /// The numbers of the sheets whose fingerprints are gathered.
    sheets: Range<u64>,
    /// The committed fingerprints that are in no sorted file yet.
    gathered: HashMap<SeenKey, Mark, Folding>,
    gathered_max: usize,
    recent: Recent,
    /// The fingerprints that the current batch adds or changes, and the results of its look-ups on disk.
    batch: HashMap<Fingerprint, Sighted, Folding>,
}

/// A fingerprint of the current batch.
#[derive(Clone, Copy)]
struct Sighted {
    mark: Option<Mark>,
    /// Whether the mark is not yet on disk.
    is_new: bool,
}

/// Why a look-up failed.
pub(super) enum SeenError {
    Store(fjall::Error),
    /// A fingerprint has a mark that this version does not know.
    UnknownMark,
    /// A sheet cannot be read, or is missing.
    Sheet,
}

impl SeenError {
    /// Converts to the error of the store at this place.
    pub(super) fn at(self, place: &StorePlace) -> FrontierError {
        match self {
            Self::Store(error) => place.failed("read", error),
            Self::UnknownMark => place.damaged("the mark of a fingerprint cannot be read"),
            Self::Sheet => place.damaged("a sheet of fingerprints is missing or cannot be read"),
        }
    }
}

impl From<fjall::Error> for SeenError {
    fn from(error: fjall::Error) -> Self {
        Self::Store(error)
    }
}

impl Seen {
    /// Opens the fingerprints, and reads the sheets that an earlier run left.
    pub(super) fn open(
        stored: Keyspace,
        sheets_in: Keyspace,
        recent_bytes: usize,
        gather_bytes: usize,
    ) -> Result<Self, SeenError> {
        let mut seen = Self {
            stored,
            sheets: 0..0,
            gathered: HashMap::default(),
            gathered_max: entries_in(gather_bytes),
            recent: Recent::new(recent_bytes),
            batch: HashMap::default(),
            sheets_in: sheets_in.clone(),
        };
        for entry in sheets_in.prefix([keys::SHEETS]) {
            let (key, sheet) = entry.into_inner()?;
            let number = keys::number_of_sheet(&key).ok_or(SeenError::Sheet)?;
            if seen.sheets.is_empty() {
                seen.sheets = number..number;
            } else if number != seen.sheets.end {
                return Err(SeenError::Sheet);
            }
            seen.sheets.end += 1;
            seen.read_sheet(&sheet).ok_or(SeenError::Sheet)?;
        }
        Ok(seen)
    }

    /// Begins a batch and looks up its fingerprints. The flag of each says whether it will be filtered. The
    /// look-ups are in the order of the keys, so that neighbours share blocks, which halves their cost.
    pub(super) fn begin(
        &mut self,
        batch: impl Iterator<Item = (Fingerprint, bool)>,
    ) -> Result<(), SeenError> {
        self.batch.clear();
        let unknown = batch.filter(|(fingerprint, filtered)| {
            let is_known = self.recent.holds(*fingerprint, Class::Known)
                || *filtered && self.recent.holds(*fingerprint, Class::Filtered);
            !is_known && !self.gathered.contains_key(&SeenKey::of(*fingerprint))
        });
        let mut sorted: Vec<_> = unknown.map(|(fingerprint, _)| fingerprint).collect();
        sorted.sort_unstable();
        sorted.dedup();
        for fingerprint in sorted {
            match self.stored_mark(fingerprint)? {
                Some(Mark::Known) => self.recent.add(fingerprint, Mark::Known),
                mark => {
                    self.batch.insert(fingerprint, Sighted { mark, is_new: false });
                }
            }
        }
        Ok(())
    }

    /// Makes a fingerprint known, and returns its state before the call.
    pub(super) fn take_on(&mut self, fingerprint: Fingerprint) -> Result<Sighting, SeenError> {
        if self.recent.holds(fingerprint, Class::Known) {
            return Ok(Sighting::Known);
        }
        let before = self.look_up(fingerprint)?;
        if before != Some(Mark::Known) {
            self.change(fingerprint, Mark::Known);
        }
        Ok(before.into())
    }

    /// Marks a fingerprint as filtered, unless it was met before. Returns whether it was met before.
    pub(super) fn mark(&mut self, fingerprint: Fingerprint, why: Filtered) -> Result<bool, SeenError> {
        if self.recent.holds(fingerprint, Class::Known) || self.recent.holds(fingerprint, Class::Filtered) {
            return Ok(true);
        }
        let met = self.look_up(fingerprint)?.is_some();
        if !met {
            self.change(fingerprint, Mark::Filtered(why));
        }
        Ok(met)
    }

    /// Marks an admitted fingerprint as filtered.
    pub(super) fn put_off(&mut self, fingerprint: Fingerprint, why: Filtered) {
        self.recent.forget(fingerprint);
        self.change(fingerprint, Mark::Filtered(why));
    }

    /// Returns whether a fingerprint was filtered and not admitted since.
    pub(super) fn is_filtered(&self, fingerprint: Fingerprint) -> Result<bool, SeenError> {
        Ok(matches!(self.look_up(fingerprint)?, Some(Mark::Filtered(_))))
    }

    fn change(&mut self, fingerprint: Fingerprint, mark: Mark) {
        self.batch.insert(fingerprint, Sighted { mark: Some(mark), is_new: true });
    }

    fn look_up(&self, fingerprint: Fingerprint) -> Result<Option<Mark>, SeenError> {
        if let Some(sighted) = self.batch.get(&fingerprint) {
            return Ok(sighted.mark);
        }
        match self.gathered.get(&SeenKey::of(fingerprint)) {
            Some(mark) => Ok(Some(*mark)),
            None => self.stored_mark(fingerprint),
        }
    }

    fn stored_mark(&self, fingerprint: Fingerprint) -> Result<Option<Mark>, SeenError> {
        let Some(stored) = self.stored.get(bytes(fingerprint))? else { return Ok(None) };
        match &*stored {
            [] => Ok(Some(Mark::Known)),
            [why] => Ok(Some(Mark::Filtered(filtered(*why).ok_or(SeenError::UnknownMark)?))),
            _ => Err(SeenError::UnknownMark),
        }
    }

    /// Adds the sheet of the batch to a commit.
    pub(super) fn write(&self, commit: &mut OwnedWriteBatch) {
        let new = self.batch.iter().filter(|(_, sighted)| sighted.is_new);
        let mut sorted: Vec<_> =
            new.filter_map(|(fingerprint, sighted)| Some((number(sighted.mark?), *fingerprint))).collect();
        if sorted.is_empty() {
            return;
        }
        sorted.sort_unstable_by_key(|(mark, _)| *mark);
        let mut sheet = Vec::with_capacity(8 + 16 * sorted.len());
        for group in sorted.chunk_by(|(mark, _), (other, _)| mark == other) {
            sheet.push(group[0].0);
            put_varint(group.len() as u64, &mut sheet);
            for (_, fingerprint) in group {
                sheet.extend_from_slice(&bytes(*fingerprint));
            }
        }
        commit.insert(&self.sheets_in, keys::sheet(self.sheets.end), sheet);
    }

    /// Adds the fingerprints of the batch to those that are gathered, after the commit of the batch was made.
    pub(super) fn committed(&mut self) {
        let lines = self.recent.mask;
        let mut changed = false;
        for (fingerprint, sighted) in self.batch.drain() {
            let Some(mark) = sighted.mark else { continue };
            self.recent.add(fingerprint, mark);
            if sighted.is_new {
                self.gathered.insert(SeenKey::of(fingerprint), mark);
                changed = true;
            }
        }
        self.sheets.end += u64::from(changed);
        if self.recent.mask != lines {
            for (key, mark) in &self.gathered {
                self.recent.add(key.fingerprint(), *mark);
            }
        }
    }

    /// Returns whether so many fingerprints are gathered that they should be written as a sorted file.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.len() >= self.gathered_max
    }

    /// Returns whether the gathered fingerprints are enough for an early sorted file: merging many small files
    /// costs more than it saves.
    pub(super) fn is_worth_a_file(&self) -> bool {
        self.gathered.len() >= self.gathered_max / 16
    }

    /// Writes the gathered fingerprints as a sorted file, which is on disk when this function returns.
    ///
    /// The commits with these fingerprints must be on disk before. Otherwise, after a power cut, a URL could be
    /// known without being queued, and would be lost for good.
    pub(super) fn write_sorted(&mut self) -> Result<(), fjall::Error> {
        let mut sorted: Vec<_> = self.gathered.iter().map(|(key, mark)| (*key, *mark)).collect();
        sorted.sort_unstable_by_key(|(key, _)| key.fingerprint());
        let mut file = self.stored.start_ingestion()?;
        for (key, mark) in sorted {
            let key = bytes(key.fingerprint());
            match mark {
                Mark::Known => file.write(key, [])?,
                Mark::Filtered(_) => file.write(key, [number(mark) - 1])?,
            }
        }
        file.finish()
    }

    /// Adds to a commit the removal of the sheets, after a sorted file has their fingerprints.
    pub(super) fn remove_sheets(&mut self, commit: &mut OwnedWriteBatch) {
        for number in self.sheets.clone() {
            commit.remove(&self.sheets_in, keys::sheet(number));
        }
        self.sheets.start = self.sheets.end;
        self.gathered.clear();
    }

    fn read_sheet(&mut self, sheet: &[u8]) -> Option<()> {
        let mut from = Reader(sheet);
        while !from.0.is_empty() {
            let mark = match from.byte()? {
                0 => Mark::Known,
                why => Mark::Filtered(filtered(why - 1)?),
            };
            for _ in 0..from.varint()? {
                let fingerprint = Fingerprint(u128::from_be_bytes(from.array()?));
                self.gathered.insert(SeenKey::of(fingerprint), mark);
            }
        }
        Some(())
    }
}

fn bytes(fingerprint: Fingerprint) -> [u8; 16] {
    fingerprint.0.to_be_bytes()
}

/// Returns the number that stands for a mark in a sheet.
fn number(mark: Mark) -> u8 {
    match mark {
        Mark::Known => 0,
        Mark::Filtered(why) => {
            1 + Filtered::ALL.iter().position(|other| *other == why).unwrap_or_default() as u8
        }
    }
}

fn filtered(why: u8) -> Option<Filtered> {
    Filtered::ALL.get(usize::from(why)).copied()
}

/// Returns the number of fingerprints to gather in a table of this size. A table has a power of two places of
/// 17 bytes and one more byte each, and grows when seven eighths are used. The last batch must fit before that.
fn entries_in(bytes: usize) -> usize {
    let places = (bytes / 18).max(8);
    (1_usize << places.ilog2()) / 4 * 3
}

#[derive(Clone, Copy)]
enum Class {
    Known = 0,
    Filtered = 1,
}

/// A table of recently seen fingerprints, in lines of sixteen words. A look-up reads two neighbouring lines of
/// the processor's cache, and few lines of the table are full before the table as a whole is. A word keeps 63
/// bits, and the number of its line adds some twenty more, so that two fingerprints are not confused.
struct Recent {
    words: Box<[u64]>,
    /// The index of the first word that starts a line.
    first: usize,
    /// The mask of the line numbers that are in use.
    mask: usize,
    /// The mask of all line numbers.
    mask_max: usize,
    added: usize,
}

const LINE: usize = 16;
/// The number of lines in use at the beginning: half a megabyte.
const LINES_FIRST: usize = 4_096;
/// The factor by which that number grows when a quarter of the words is used.
const LINES_GROW: usize = 4;

impl Recent {
    fn new(bytes: usize) -> Self {
        let lines = (bytes / (8 * LINE)).max(1);
        let lines = 1_usize << lines.ilog2();
        // The operating system provides zeroed pages only when they are used.
        let words = vec![0; (lines + 1) * LINE].into_boxed_slice();
        let first = words.as_ptr().align_offset(8 * LINE) % LINE;
        let (mask, mask_max) = (lines.min(LINES_FIRST) - 1, lines - 1);
        Self { words, first, mask, mask_max, added: 0 }
    }

    fn holds(&self, fingerprint: Fingerprint, class: Class) -> bool {
        let (line, word) = self.place(fingerprint, class);
        word > 1 && self.words[line..line + LINE].contains(&word)
    }

    /// Puts a fingerprint at the front of its line, and drops the last fingerprint of the line.
    fn add(&mut self, fingerprint: Fingerprint, mark: Mark) {
        let class = match mark {
            Mark::Known => Class::Known,
            Mark::Filtered(_) => Class::Filtered,
        };
        let (line, word) = self.place(fingerprint, class);
        let line = &mut self.words[line..line + LINE];
        if !line.contains(&word) {
            line.copy_within(..LINE - 1, 1);
            line[0] = word;
            self.added += 1;
            self.grow();
        }
    }

    /// Uses more lines once many fingerprints were added. Line numbers are random, so that with all lines in
    /// use from the start, a few thousand fingerprints would touch every memory page of the table. A
    /// fingerprint whose line number changes is no longer found. But nearly all such fingerprints are still
    /// gathered, and the store adds them again.
    fn grow(&mut self) {
        if self.mask < self.mask_max && self.added * 4 > (self.mask + 1) * LINE {
            self.mask = ((self.mask + 1) * LINES_GROW - 1).min(self.mask_max);
        }
    }

    /// Removes a fingerprint that was added as known.
    fn forget(&mut self, fingerprint: Fingerprint) {
        let (line, word) = self.place(fingerprint, Class::Known);
        for stored in self.words[line..line + LINE].iter_mut().filter(|stored| **stored == word) {
            *stored = 0;
        }
    }

    /// Returns the index at which the line of a fingerprint starts, and the word that stands for the
    /// fingerprint.
    fn place(&self, fingerprint: Fingerprint, class: Class) -> (usize, u64) {
        let line = self.first + (fingerprint.0 as u32 as usize & self.mask) * LINE;
        (line, (fingerprint.0 >> 32) as u64 & !1 | class as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_fingerprints_touch_little_of_the_table_and_most_are_still_known() {
        let fingerprint = |n: u128| Fingerprint(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        let mut recent = Recent::new(128 << 20);
        for n in 1..=200_000 {
            recent.add(fingerprint(n), Mark::Known);
        }
        let pages = recent.words.chunks(4_096 / 8).filter(|page| page.iter().any(|word| *word != 0));
        assert!(pages.count() * 4_096 <= 9 << 20);
        let known = |from, to| (from..=to).filter(|n| recent.holds(fingerprint(*n), Class::Known)).count();
        // Of those added before it grew, only one in four is in its line; the store adds them again.
        assert!(known(66_000, 200_000) > 133_000, "{}", known(66_000, 200_000));
        assert_eq!(known(200_001, 400_000), 0);
    }
}
