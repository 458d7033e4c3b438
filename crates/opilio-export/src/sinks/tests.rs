//! Tests of which batches count as written, with sinks that take rows long before the rows are safe.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// A sink that takes rows at once. A flush makes all but the last `behind` bytes safe, and a sync makes all
/// bytes safe. If `lies` is set, a sync does no more than a flush.
struct Slow {
    name: &'static str,
    taken: u64,
    behind: u64,
    lies: bool,
}

fn slow(name: &'static str, behind: u64) -> Box<dyn Sink> {
    Box::new(Slow { name, taken: 0, behind, lies: false })
}

impl Sink for Slow {
    fn name(&self) -> Arc<str> {
        self.name.into()
    }
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        self.taken = position;
        Ok(())
    }
    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        self.taken += rows.len() as u64;
        Ok(self.taken)
    }
    fn flush(&mut self) -> Result<u64, ExportError> {
        Ok(self.taken.saturating_sub(self.behind))
    }
    fn sync(&mut self) -> Result<u64, ExportError> {
        if self.lies { self.flush() } else { Ok(self.taken) }
    }
}

fn begun(sinks: Vec<Box<dyn Sink>>) -> Sinks {
    let mut sinks = Sinks::new(sinks, |_| {});
    sinks.begin().unwrap();
    sinks
}

fn write(
    sinks: &mut Sinks,
    batches: &[(u64, [&[u8]; 2])],
    is_last: bool,
) -> Result<Option<Written>, ExportError> {
    for (sequence, rows) in batches {
        let rows = rows.map(<[u8]>::to_vec).into();
        sinks.append(RowBatch { sequence: *sequence, rows, sync: false })?;
    }
    sinks.confirm(is_last)
}

fn told(written: Option<Written>) -> Option<(u64, Vec<u64>, bool)> {
    let positions = |at: Vec<SinkPosition>| at.into_iter().map(|at| at.position).collect();
    written.map(|written| (written.sequence, positions(written.positions), written.synced))
}

#[test]
fn what_is_taken_counts_as_written_when_it_is_safe_with_every_sink() {
    let mut sinks = begun(vec![slow("fast", 0), slow("behind", 3)]);
    let first = write(&mut sinks, &[(1, [b"12", b"12"]), (2, [b"34", b"345"])], false).unwrap();
    assert_eq!(told(first), Some((1, vec![2, 2], false)), "of the second batch `behind` has nothing safe");
    let second = write(&mut sinks, &[(3, [b"5", b""])], false).unwrap();
    assert_eq!(told(second), None, "and no more by another page without rows");
    let third = write(&mut sinks, &[(4, [b"", b"678"])], false).unwrap();
    assert_eq!(told(third), Some((3, vec![5, 5], false)));
}

#[test]
fn what_a_flush_leaves_unsafe_is_synced_when_nothing_more_waits() {
    let mut sinks = begun(vec![slow("fast", 0), slow("behind", 3)]);
    let safe = write(&mut sinks, &[(1, [b"12", b"12"])], true).unwrap();
    assert_eq!(told(safe), Some((1, vec![2, 2], true)));
}

#[test]
fn a_sink_that_has_synced_and_has_not_what_it_took_is_an_error() {
    let lies: Box<dyn Sink> = Box::new(Slow { name: "lies", taken: 0, behind: 3, lies: true });
    let mut sinks = begun(vec![slow("fast", 0), lies]);
    let error = write(&mut sinks, &[(1, [b"1", b"12345"])], true).map(told).unwrap_err();
    assert_eq!(error.to_string(), "cannot write to lies");
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(why, "after a sync rows are safe up to 2 only, not 5");
}

#[test]
fn a_crawl_without_sinks_waits_for_none() {
    let mut sinks = begun(Vec::new());
    let written = write(&mut sinks, &[(1, [b"", b""]), (2, [b"", b""])], true).unwrap();
    assert_eq!(told(written), Some((2, Vec::new(), false)));
}
