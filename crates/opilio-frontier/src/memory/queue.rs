//! The due records of one host: most are in bands, and records that came back are kept beside the bands.
//!
//! A band contains the records of one priority and one place in the order of the crawl, sorted by age. A record that
//! comes back (returned, or due again) keeps its old age, which may belong in the middle of a band. So such records
//! are kept beside the bands, and the next record of the host is the first of the bands and of the records beside
//! them.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, VecDeque};

use opilio_core::{Host, Priority, Record};

use super::packed::{self, Packed};
use crate::encode::{Reader, put_varint};
use opilio_core::Order;

/// The rank of a record among the records of its host. The record with the least rank is leased first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Rank {
    pub(super) band: Band,
    pub(super) age: u64,
}

/// A rank without the age: the priority of a record, and its place in the order of the crawl.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Band {
    pub(super) priority: Reverse<Priority>,
    pub(super) place: u16,
}

impl Rank {
    pub(super) fn of(record: &Record, age: u64, order: Order) -> Self {
        Self { band: Band { priority: Reverse(record.priority), place: order.place(record) }, age }
    }
}

/// The due records of one host.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The bands in reverse order, so that the band that is leased first is the last element.
    bands: Vec<BandQueue>,
    came_back: BTreeMap<Rank, Packed>,
}

impl Queue {
    /// Adds a record that is younger than all other records of the host.
    pub(super) fn push(&mut self, age: u64, record: &Record, order: Order) {
        let rank = Rank::of(record, age, order);
        let found = self.bands.binary_search_by(|run| rank.band.cmp(&run.band));
        let at = found.unwrap_or_else(|at| {
            if self.bands.is_empty() {
                // Reserves memory for one band, because most hosts have one at a time, and a vector would at first
                // reserve memory for four.
                self.bands.reserve_exact(1);
            }
            self.bands.insert(at, BandQueue::new(rank));
            at
        });
        self.bands[at].push(age, record, order);
    }

    /// Adds a record that was leased or due later before. Its old rank says when it is leased.
    pub(super) fn put_back(&mut self, rank: Rank, packed: Packed) {
        self.came_back.insert(rank, packed);
    }

    /// Returns the band of the record that is leased next.
    pub(super) fn next_band(&self) -> Option<Band> {
        let back = self.came_back.first_key_value().map(|(rank, _)| rank.band);
        self.bands.last().map(|run| run.band).into_iter().chain(back).min()
    }

    /// Removes and returns the record that is leased next.
    pub(super) fn pop(&mut self, host: &Host, order: Order) -> Option<(Rank, Record)> {
        match (self.bands.last().map(BandQueue::first), self.came_back.first_key_value()) {
            (None, None) => None,
            (Some(first), Some((back, _))) if first.cmp(back) == Ordering::Less => self.pop_band(host, order),
            (Some(_), None) => self.pop_band(host, order),
            (_, Some(_)) => {
                let (rank, packed) = self.came_back.pop_first()?;
                Some((rank, packed.unpack(host, rank.band, order)))
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bands.is_empty() && self.came_back.is_empty()
    }

    fn pop_band(&mut self, host: &Host, order: Order) -> Option<(Rank, Record)> {
        let band = self.bands.last_mut()?;
        let popped = band.pop(host, order);
        if band.left == 0 {
            self.bands.pop();
            if self.bands.is_empty() {
                self.bands = Vec::new();
            }
        }
        Some(popped)
    }
}

/// The size in bytes from which on a chunk of a band takes no further record. Larger chunks have less overhead for
/// each record, but a chunk with one unread record keeps the memory of all its records.
const CHUNK_BYTES: usize = 4096;

/// The records of one band, sorted by age (the number of the admission). A band that is part of a queue is never
/// empty.
///
/// The records are encoded one after another. In front of each record is the difference between its age and the age
/// of the record before.
#[derive(Debug)]
struct BandQueue {
    band: Band,
    left: usize,
    /// The offset in `front` at which the next record starts, with its age.
    read_at: usize,
    first_age: u64,
    last_age: u64,
    front: Vec<u8>,
    sealed: VecDeque<Box<[u8]>>,
    tail: Vec<u8>,
}

impl BandQueue {
    fn new(first: Rank) -> Self {
        Self {
            band: first.band,
            left: 0,
            read_at: 0,
            first_age: first.age,
            last_age: first.age,
            front: Vec::new(),
            sealed: VecDeque::new(),
            tail: Vec::new(),
        }
    }

    fn first(&self) -> Rank {
        Rank { band: self.band, age: self.first_age }
    }

    fn push(&mut self, age: u64, record: &Record, order: Order) {
        let start = self.tail.len();
        let room = 10 + packed::room(record);
        if self.tail.capacity() - start < room {
            // The memory grows by a quarter at a time. If it doubled, as a vector does by itself, about a quarter of
            // the memory of all queues would be unused.
            self.tail.reserve_exact(room.max(start / 4));
        }
        put_varint(age - self.last_age, &mut self.tail);
        packed::pack(record, order, &mut self.tail);
        self.last_age = age;
        self.left += 1;
        if self.tail.len() >= CHUNK_BYTES {
            self.sealed.push_back(std::mem::take(&mut self.tail).into_boxed_slice());
        }
    }

    fn pop(&mut self, host: &Host, order: Order) -> (Rank, Record) {
        let (rank, band) = (self.first(), self.band);
        let mut from = Reader(self.unread());
        let before = from.0.len();
        take_age(&mut from);
        let record = packed::unpack(&mut from, host, band, order);
        let read = before - from.0.len();
        self.read_at += read;
        self.left -= 1;
        if self.left > 0 {
            self.first_age += take_age(&mut Reader(self.unread()));
        }
        (rank, record)
    }

    /// Returns the unread part of the current chunk. If nothing of it is unread, goes on to the next chunk.
    fn unread(&mut self) -> &[u8] {
        if self.read_at == self.front.len() {
            self.front = self.sealed.pop_front().map_or_else(|| std::mem::take(&mut self.tail), Vec::from);
            self.read_at = 0;
        }
        &self.front[self.read_at..]
    }
}

fn take_age(from: &mut Reader<'_>) -> u64 {
    from.varint().expect("an age stands before every packed record")
}
