//! The fingerprints (hashes of URLs) that the crawl knows, and which of these URLs it filtered.
//!
//! A link is looked up in three places: the table of recently seen fingerprints, the fingerprints gathered in memory
//! since the last sorted file was written, and the sorted files on disk. Most links of a page are found in the first
//! place. The key on disk is the fingerprint itself. Its first 32 bits are a hash of the host, so that the links of a
//! page lie close together on disk. The other 96 bits distinguish the URLs of one host. With 10⁸ URLs, the
//! probability that any unknown URL is taken for a known URL is below 10⁻¹² on disk, and below 10⁻⁹ in the table of
//! recently seen fingerprints, which keeps fewer bits.
//!
//! New fingerprints do not go through the journal of the database one by one. A commit writes the fingerprints of its
//! batch as one entry (a *sheet*), and memory gathers the fingerprints. Once there are many, they are written as one
//! sorted file, and their sheets are removed. Opening reads the remaining sheets. A fingerprint in a sheet costs a
//! fifth of a journal entry of its own, both when it is admitted and when a journal is read again.

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

/// The fingerprints that the crawl knows.
pub(super) struct Seen {
    /// The keyspace of the sorted files. Whole files are written to it, never single keys.
    stored: Keyspace,
    /// The keyspace that contains the sheets (entries with the fingerprints of one commit).
    sheets_in: Keyspace,
    /// The numbers of the sheets whose fingerprints are in `gathered` and in no sorted file yet.
    sheets: Range<u64>,
    /// The fingerprints that are committed and are in no sorted file yet.
    gathered: HashMap<SeenKey, Mark, Folding>,
    gathered_max: usize,
    recent: Recent,
    /// The fingerprints that the current batch adds or changes, and the fingerprints that it has looked up on disk.
    batch: HashMap<Fingerprint, Sighted, Folding>,
}

/// The state of a fingerprint of the current batch.
#[derive(Clone, Copy)]
struct Sighted {
    mark: Option<Mark>,
    /// Whether the current batch set the mark (known, or filtered for a reason), so that the mark is not on disk yet.
    is_new: bool,
}

/// Why a look-up failed.
pub(super) enum SeenError {
    Store(fjall::Error),
    /// The disk has a mark (known, or filtered for a reason) that this version does not know.
    UnknownMark,
    /// A sheet (entry with the fingerprints of one commit) is missing or cannot be read.
    Sheet,
}

impl SeenError {
    /// Converts this error to the error that the store at this place returns.
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
    /// Opens the fingerprints on disk, and reads the sheets (entries with the fingerprints of one commit) that an
    /// earlier run left.
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

    /// Begins a batch, and looks up its fingerprints on disk. The flag beside a fingerprint tells whether the URL
    /// will be filtered. The look-ups are made in the order of the keys, so that neighbours share blocks of the
    /// files, which halves the cost.
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

    /// Makes a fingerprint known, and returns the state that it had before.
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

    /// Marks a fingerprint as filtered, unless the crawl knew it before. Returns whether the crawl knew it before.
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

    /// Marks a fingerprint as filtered although its URL was admitted.
    pub(super) fn put_off(&mut self, fingerprint: Fingerprint, why: Filtered) {
        self.recent.forget(fingerprint);
        self.change(fingerprint, Mark::Filtered(why));
    }

    /// Returns whether a fingerprint was filtered, and its URL was not admitted later.
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

    /// Adds the fingerprints of the batch to a commit, as one sheet.
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

    /// Adds the fingerprints of the batch to `gathered`. Called after the commit of the batch was made.
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

    /// Returns whether there are so many gathered fingerprints that they should be written as a sorted file.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.len() >= self.gathered_max
    }

    /// Returns whether there are enough gathered fingerprints to write a sorted file early. Fewer are not worth a
    /// file, because merging many small files costs more than the early writing saves.
    pub(super) fn is_worth_a_file(&self) -> bool {
        self.gathered.len() >= self.gathered_max / 16
    }

    /// Writes the gathered fingerprints as a sorted file. The file is on disk when this function returns.
    ///
    /// The commits with these fingerprints must be on disk before this call. Otherwise, after a power cut, a URL
    /// could be known although its queued record is lost, and the URL would never be fetched.
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

    /// Removes the sheets (entries with the fingerprints of one commit), as part of a commit. Called after their
    /// fingerprints were written as a sorted file.
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

/// Returns the number that stands for a mark (known, or filtered for a reason) in a sheet.
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

/// Returns how many fingerprints to gather in a hash table of this size in bytes. A place of the table takes 17 bytes
/// for the entry and one more byte. The number of places is a power of two, and the table grows when seven eighths of
/// them are used, so the last batch must fit before.
fn entries_in(bytes: usize) -> usize {
    let places = (bytes / 18).max(8);
    (1_usize << places.ilog2()) / 4 * 3
}

#[derive(Clone, Copy)]
enum Class {
    Known = 0,
    Filtered = 1,
}

/// A table of recently seen fingerprints. It consists of lines with sixteen words each. A look-up reads one line,
/// which is two neighbouring lines of the processor's cache. With lines of this length, few lines are full before
/// most of the table is used. A word holds 63 bits of the fingerprint, and the number of its line adds about twenty
/// more bits, so that two fingerprints are not confused.
struct Recent {
    words: Box<[u64]>,
    /// The index in `words` at which the first line starts.
    first: usize,
    /// The bit mask of the line numbers that are in use now.
    mask: usize,
    /// The bit mask of all line numbers.
    mask_max: usize,
    added: usize,
}

const LINE: usize = 16;
/// The number of lines in use at the beginning. They take half a megabyte.
const LINES_FIRST: usize = 4_096;
/// The factor by which the number of lines in use grows when a quarter of the words is used.
const LINES_GROW: usize = 4;

impl Recent {
    fn new(bytes: usize) -> Self {
        let lines = (bytes / (8 * LINE)).max(1);
        let lines = 1_usize << lines.ilog2();
        // The operating system gives memory to a zeroed page only when the page is used for the first time.
        let words = vec![0; (lines + 1) * LINE].into_boxed_slice();
        let first = words.as_ptr().align_offset(8 * LINE) % LINE;
        let (mask, mask_max) = (lines.min(LINES_FIRST) - 1, lines - 1);
        Self { words, first, mask, mask_max, added: 0 }
    }

    fn holds(&self, fingerprint: Fingerprint, class: Class) -> bool {
        let (line, word) = self.place(fingerprint, class);
        word > 1 && self.words[line..line + LINE].contains(&word)
    }

    /// Puts a fingerprint at the front of its line. If the line is full, the last fingerprint of the line is dropped.
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

    /// Takes more lines into use when many fingerprints were added. A fingerprint goes to a random line, so if all
    /// lines were in use from the start, a few thousand fingerprints would touch every memory page of the table. A
    /// fingerprint whose line number changes is no longer found in the table. But nearly all such fingerprints are
    /// still in `gathered`, and the store adds them to the table again.
    fn grow(&mut self) {
        if self.mask < self.mask_max && self.added * 4 > (self.mask + 1) * LINE {
            self.mask = ((self.mask + 1) * LINES_GROW - 1).min(self.mask_max);
        }
    }

    /// Removes a fingerprint that was added to the table as known.
    fn forget(&mut self, fingerprint: Fingerprint) {
        let (line, word) = self.place(fingerprint, Class::Known);
        for stored in self.words[line..line + LINE].iter_mut().filter(|stored| **stored == word) {
            *stored = 0;
        }
    }

    /// Returns the index at which the line of a fingerprint starts, and the word that stands for the fingerprint in
    /// this line.
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
        // Of the fingerprints that were added before the table grew, only one in four is in the right line. The store
        // adds the others again.
        assert!(known(66_000, 200_000) > 133_000, "{}", known(66_000, 200_000));
        assert_eq!(known(200_001, 400_000), 0);
    }
}
