//! Computes which pages may be settled: all up to the last page that every sink has written (the prefix).

use std::collections::VecDeque;
use std::sync::Arc;

use opilio_core::SinkPosition;

/// Combines the positions of several sinks.
///
/// All sinks receive the pages in the same order, numbered from 0. A page may be settled when every sink has
/// written it. Together with the page, each sink's position **after that page** is recorded, even for a sink
/// that has already written later pages; otherwise this sink would write the later pages twice after a kill.
/// So the position of each sink is kept page by page.
#[derive(Debug)]
pub struct Prefix {
    sinks: Vec<Progress>,
    told: u64,
}

#[derive(Debug)]
struct Progress {
    sink: Arc<str>,
    /// The position after the last page that was reported as written by all sinks; at first, the position at
    /// which the run began.
    position: u64,
    /// The position after each page that the sink was given and that is not reported yet (see
    /// `Prefix::told`).
    given: VecDeque<u64>,
    /// How many of the pages in `given` the sink has written already.
    written: usize,
}

/// Reports that more pages may be settled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advance {
    /// All pages with a smaller number may be settled.
    pub below: u64,
    /// Each sink's position after the last of these pages.
    pub positions: Vec<SinkPosition>,
}

impl Prefix {
    /// Creates a prefix without pages. Each sink is given by its name and the position at which it begins.
    #[must_use]
    pub fn new(sinks: impl IntoIterator<Item = SinkPosition>) -> Self {
        let progress =
            |SinkPosition { sink, position }| Progress { sink, position, given: VecDeque::new(), written: 0 };
        Self { sinks: sinks.into_iter().map(progress).collect(), told: 0 }
    }

    /// Records that the sink (given by its index in [`new`](Self::new)) has received the next page.
    /// `position` is the result of [`Sink::append`](crate::Sink::append).
    pub fn appended(&mut self, sink: usize, position: u64) {
        if let Some(progress) = self.sinks.get_mut(sink) {
            progress.given.push_back(position);
        }
    }

    /// Records that the sink has written everything up to `position`, the result of
    /// [`Sink::flush`](crate::Sink::flush).
    pub fn flushed(&mut self, sink: usize, position: u64) {
        if let Some(progress) = self.sinks.get_mut(sink) {
            let more = progress.given.iter().skip(progress.written).take_while(|given| **given <= position);
            progress.written += more.count();
        }
    }

    /// Returns the pages that may be settled, if these are more than at the last call. Always `None` without
    /// sinks.
    pub fn advance(&mut self) -> Option<Advance> {
        let more = self.sinks.iter().map(|progress| progress.written).min().filter(|more| *more > 0)?;
        self.told += more as u64;
        let positions = self.sinks.iter_mut().map(|progress| progress.tell(more)).collect();
        Some(Advance { below: self.told, positions })
    }

    /// Returns how many pages were given to a sink and are not reported yet as written by all sinks.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(sinks: &[&str]) -> Prefix {
        Prefix::new(sinks.iter().map(|sink| at(sink, 0)))
    }

    fn at(sink: &str, position: u64) -> SinkPosition {
        SinkPosition { sink: sink.into(), position }
    }

    #[test]
    fn one_sink_settles_what_it_flushed() {
        let mut prefix = prefix(&["a"]);
        for position in [10, 10, 30] {
            prefix.appended(0, position);
        }
        assert_eq!(prefix.advance(), None, "nothing is flushed");
        prefix.flushed(0, 29);
        assert_eq!(prefix.advance(), Some(Advance { below: 2, positions: vec![at("a", 10)] }));
        assert_eq!((prefix.advance(), prefix.pending()), (None, 1));
        prefix.flushed(0, 30);
        assert_eq!(prefix.advance(), Some(Advance { below: 3, positions: vec![at("a", 30)] }));
        assert_eq!(prefix.pending(), 0);
    }

    #[test]
    fn a_sink_that_is_ahead_is_committed_as_far_as_the_slowest() {
        let mut prefix = prefix(&["fast", "slow"]);
        for page in 1..=3 {
            prefix.appended(0, page * 100);
            prefix.appended(1, page * 7);
        }
        prefix.flushed(0, 300);
        assert_eq!(prefix.advance(), None);
        prefix.flushed(1, 15);
        let positions = vec![at("fast", 200), at("slow", 14)];
        assert_eq!(prefix.advance(), Some(Advance { below: 2, positions }));
    }

    #[test]
    fn a_page_without_rows_is_settled_by_the_next_flush() {
        let mut prefix = Prefix::new([at("a", 50)]);
        prefix.appended(0, 50);
        prefix.flushed(0, 50);
        assert_eq!(prefix.advance(), Some(Advance { below: 1, positions: vec![at("a", 50)] }));
    }

    #[test]
    fn an_unknown_sink_moves_nothing() {
        let mut prefix = prefix(&[]);
        prefix.appended(3, 1);
        prefix.flushed(3, 1);
        assert_eq!((prefix.advance(), prefix.pending()), (None, 0));
    }

    proptest! {
        /// Checks, for any order and speed of the sinks: every sink has flushed all pages that are reported,
        /// the reported positions are those after the last of these pages, and in the end all pages are
        /// reported.
        #[test]
        fn nothing_is_told_before_all_sinks_wrote_it(
            rows in prop::collection::vec((0..50_u64, 0..50_u64), 1..40),
            paces in prop::collection::vec((0..2_usize, 1..6_usize, prop::bool::ANY), 0..80),
        ) {
            let ends = |sink: usize| rows.iter().scan(0, move |end, row| {
                *end += [row.0, row.1][sink];
                Some(*end)
            }).collect::<Vec<u64>>();
            let ends = [ends(0), ends(1)];
            let mut prefix = prefix(&["a", "b"]);
            let (mut given, mut flushed, mut below) = ([0; 2], [0_u64; 2], 0);
            let rest = [(0, rows.len(), true), (1, rows.len(), true)];
            for (sink, pages, flush) in paces.into_iter().chain(rest) {
                for end in ends[sink].iter().skip(given[sink]).take(pages) {
                    prefix.appended(sink, *end);
                    given[sink] += 1;
                }
                if flush && given[sink] > 0 {
                    flushed[sink] = ends[sink][given[sink] - 1];
                    prefix.flushed(sink, flushed[sink]);
                }
                if let Some(advance) = prefix.advance() {
                    prop_assert!(advance.below > below);
                    below = advance.below;
                    for (sink, position) in advance.positions.iter().enumerate() {
                        prop_assert_eq!(position.position, ends[sink][below as usize - 1]);
                        prop_assert!(position.position <= flushed[sink]);
                    }
                }
            }
            prop_assert_eq!(below, rows.len() as u64);
            prop_assert_eq!(prefix.pending(), 0);
        }
    }
}
