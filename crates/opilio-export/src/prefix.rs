//! How far all sinks have written: the prefix of the pages that may be settled.

use std::collections::VecDeque;
use std::sync::Arc;

use opilio_core::SinkPosition;

/// Joins what several sinks have written.
///
/// Pages go to every sink in one numbered sequence, from 0. A page may be settled when every sink has
/// written it, together with where each sink stood **after that page**: a sink that is ahead of the
/// others is committed only as far as they are, or what it has beyond would be written twice after
/// a kill. So each sink's position is noted page by page.
#[derive(Debug)]
pub struct Prefix {
    sinks: Vec<Progress>,
    told: u64,
}

#[derive(Debug)]
struct Progress {
    sink: Arc<str>,
    /// Position after the last page that was told, or where the run began.
    position: u64,
    /// Positions after the pages from `Prefix::told` on that the sink was given.
    given: VecDeque<u64>,
    /// How many of them it has written.
    written: usize,
}

/// A longer prefix than before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advance {
    /// All pages with a smaller number may be settled.
    pub below: u64,
    /// Where each sink stood after the last of them.
    pub positions: Vec<SinkPosition>,
}

impl Prefix {
    /// No page yet; each sink by its name and the position that it began at.
    #[must_use]
    pub fn new(sinks: impl IntoIterator<Item = SinkPosition>) -> Self {
        let progress =
            |SinkPosition { sink, position }| Progress { sink, position, given: VecDeque::new(), written: 0 };
        Self { sinks: sinks.into_iter().map(progress).collect(), told: 0 }
    }

    /// The sink (by its place in [`new`](Self::new)) was given the next page, and stands there after
    /// it: what [`Sink::append`](crate::Sink::append) said.
    pub fn appended(&mut self, sink: usize, position: u64) {
        if let Some(progress) = self.sinks.get_mut(sink) {
            progress.given.push_back(position);
        }
    }

    /// The sink has written everything up to there: what [`Sink::flush`](crate::Sink::flush) said.
    pub fn flushed(&mut self, sink: usize, position: u64) {
        if let Some(progress) = self.sinks.get_mut(sink) {
            let more = progress.given.iter().skip(progress.written).take_while(|given| **given <= position);
            progress.written += more.count();
        }
    }

    /// What may be settled, when that is more than the last time. Without sinks there is nothing to
    /// wait for, and nothing to tell.
    pub fn advance(&mut self) -> Option<Advance> {
        let more = self.sinks.iter().map(|progress| progress.written).min().filter(|more| *more > 0)?;
        self.told += more as u64;
        let positions = self.sinks.iter_mut().map(|progress| progress.tell(more)).collect();
        Some(Advance { below: self.told, positions })
    }

    /// Pages that were given to some sink and not told yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.sinks.iter().map(|progress| progress.given.len()).max().unwrap_or(0)
    }
}

impl Progress {
    fn tell(&mut self, pages: usize) -> SinkPosition {
        if let Some(last) = self.given.drain(..pages).next_back() {
            self.position = last;
        }
        self.written -= pages;
        SinkPosition { sink: self.sink.clone(), position: self.position }
    }
}
