//! What one host has to do: packed bands of records that are due, and those that came back.
//!
//! A band holds the records of one priority and depth by age. Records that come back (returned, or
//! due again) keep their old age, which would be in the middle of a band; they stand beside the
//! bands, and the next record is the better of the two.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, VecDeque};

use opilio_core::{Host, Priority, Record};

use super::packed::{self, Packed};

/// A record's place among those of its host; the least goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    priority: Reverse<Priority>,
    depth: u16,
    pub(super) age: u64,
}

impl Rank {
    pub(super) fn of(record: &Record, age: u64) -> Self {
        Self { priority: Reverse(record.priority), depth: record.depth, age }
    }

    fn band(self) -> (Reverse<Priority>, u16) {
        (self.priority, self.depth)
    }
}

/// The due records of one host.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Sorted, the band that goes first at the end.
    bands: Vec<Band>,
    came_back: BTreeMap<Rank, Packed>,
}

impl Queue {
    /// Adds a record that is younger than all others.
    pub(super) fn push(&mut self, age: u64, record: &Record) {
        let rank = Rank::of(record, age);
        let found = self.bands.binary_search_by(|band| rank.band().cmp(&band.key()));
        let at = found.unwrap_or_else(|at| {
            if self.bands.is_empty() {
                // Most hosts have one band at a time; a vector's usual first growth is for four.
                self.bands.reserve_exact(1);
            }
            self.bands.insert(at, Band::new(rank));
            at
        });
        self.bands[at].push(age, record);
    }

    /// Adds a record that was here before, at its old place.
    pub(super) fn put_back(&mut self, rank: Rank, packed: Packed) {
        self.came_back.insert(rank, packed);
    }

    /// Takes the record that goes first.
    pub(super) fn pop(&mut self, host: &Host) -> Option<(Rank, Record)> {
        match (self.bands.last().map(Band::first), self.came_back.first_key_value()) {
            (None, None) => None,
            (Some(first), Some((back, _))) if first.cmp(back) == Ordering::Less => self.pop_band(host),
            (Some(_), None) => self.pop_band(host),
            (_, Some(_)) => {
                let (rank, packed) = self.came_back.pop_first()?;
                Some((rank, packed.unpack(host, rank.priority.0, rank.depth)))
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bands.is_empty() && self.came_back.is_empty()
    }

    fn pop_band(&mut self, host: &Host) -> Option<(Rank, Record)> {
        let band = self.bands.last_mut()?;
        let popped = band.pop(host);
        if band.left == 0 {
            self.bands.pop();
            if self.bands.is_empty() {
                self.bands = Vec::new();
            }
        }
        Some(popped)
    }
}

/// A chunk of a band is sealed at this size: large enough that its own cost vanishes, small enough
/// that a record that is read does not keep much memory.
const CHUNK_BYTES: usize = 4096;

/// The records of one priority and depth, by age: never empty while it stands in a queue.
///
/// They are packed behind one another, each after the difference of its age to the one before.
#[derive(Debug)]
struct Band {
    priority: Priority,
    depth: u16,
    left: usize,
    /// Where in `front` the next record's age starts.
    read_at: usize,
    first_age: u64,
    last_age: u64,
    front: Vec<u8>,
    sealed: VecDeque<Box<[u8]>>,
    tail: Vec<u8>,
}

impl Band {
    fn new(first: Rank) -> Self {
        Self {
            priority: first.priority.0,
            depth: first.depth,
            left: 0,
            read_at: 0,
            first_age: first.age,
            last_age: first.age,
            front: Vec::new(),
            sealed: VecDeque::new(),
            tail: Vec::new(),
        }
    }

    fn key(&self) -> (Reverse<Priority>, u16) {
        (Reverse(self.priority), self.depth)
    }

    fn first(&self) -> Rank {
        Rank { priority: Reverse(self.priority), depth: self.depth, age: self.first_age }
    }

    fn push(&mut self, age: u64, record: &Record) {
        let start = self.tail.len();
        let room = 10 + packed::room(record);
        if self.tail.capacity() - start < room {
            // Doubling would leave a quarter of all queues' memory unused.
            self.tail.reserve_exact(room.max(start / 4));
        }
        packed::put_varint(age - self.last_age, &mut self.tail);
        packed::pack(record, &mut self.tail);
        self.last_age = age;
        self.left += 1;
        if self.tail.len() >= CHUNK_BYTES {
            self.sealed.push_back(std::mem::take(&mut self.tail).into_boxed_slice());
        }
    }

    fn pop(&mut self, host: &Host) -> (Rank, Record) {
        let rank = self.first();
        let (priority, depth) = (self.priority, self.depth);
        let mut from = self.unread();
        let before = from.len();
        packed::take_varint(&mut from);
        let record = packed::unpack(&mut from, host, priority, depth);
        let read = before - from.len();
        self.read_at += read;
        self.left -= 1;
        if self.left > 0 {
            self.first_age += packed::take_varint(&mut self.unread());
        }
        (rank, record)
    }

    /// What is left of the chunk that is read, or the next one.
    fn unread(&mut self) -> &[u8] {
        if self.read_at == self.front.len() {
            self.front = self.sealed.pop_front().map_or_else(|| std::mem::take(&mut self.tail), Vec::from);
            self.read_at = 0;
        }
        &self.front[self.read_at..]
    }
}
