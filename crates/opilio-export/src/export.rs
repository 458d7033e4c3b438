//! The traits of an exporter: its two halves, and the factory that makes them.

use std::sync::Arc;

use crate::error::ExportError;

/// Turns items into bytes, on the shard that found them.
///
/// The bytes of one page travel together and are written completely or not at all. Encoder and sink agree on
/// how items are separated.
pub trait Encoder<T: ?Sized>: Send {
    /// Appends an item's bytes.
    ///
    /// # Errors
    /// When the item has no form in this format; then `out` is as it was.
    fn encode(&mut self, item: &T, out: &mut Vec<u8>) -> Result<(), ExportError>;

    /// Appends a row for a URL that turned out to be another name of `final_url`, which the crawl reports on
    /// its own. Formats without such a row append nothing.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn encode_alias(&mut self, url: &str, final_url: &str, out: &mut Vec<u8>) -> Result<(), ExportError> {
        let _ = (url, final_url, out);
        Ok(())
    }
}

/// Writes bytes to their destination, on a thread of its own.
///
/// A sink counts in positions: bytes of a file, ids of a table. The store commits them together with
/// the pages that they cover, and a resumed crawl begins at the committed one. The calls of a run
/// are one [`begin`](Self::begin), then appends and flushes.
pub trait Sink: Send {
    /// Names the sink. The name stays the same from run to run, and differs from the crawl's other sinks.
    fn name(&self) -> Arc<str>;

    /// Says where it writes, in words that are equal for two sinks that would write over each other. Its
    /// name, if the sink does not know better.
    fn place(&self) -> String {
        self.name().to_string()
    }

    /// Takes the output back to a position: 0 in a new crawl, the committed one in a resumed crawl.
    ///
    /// # Errors
    /// When the rows after the position cannot be taken back, or the position lies beyond the end.
    fn begin(&mut self, position: u64) -> Result<(), ExportError>;

    /// Whether there is something in the output that beginning at 0 would take away.
    fn has_rows(&self) -> bool {
        false
    }

    /// Whether [`begin`](Self::begin) can take rows back. A pipe, for instance, cannot.
    fn goes_back(&self) -> bool {
        true
    }

    /// Begins at a position without taking anything back, and counts on from there: for a sink that cannot go
    /// back. Rows written after the position, before a kill, are written again.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn go_on(&mut self, position: u64) -> Result<(), ExportError> {
        self.begin(position)
    }

    /// Takes one page's rows (perhaps none) and returns the position at their end. The rows need not be safe yet: a
    /// sink may buffer them, or wait for a database.
    ///
    /// # Errors
    /// When the sink cannot take the rows; then none of them is in it.
    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError>;

    /// Hands everything to the operating system (or the database) and returns the position up to which
    /// everything is there. From then on a kill of this process loses none of it, and pages are settled up to
    /// there. The position may lie behind the rows taken; then a [`sync`](Self::sync) follows.
    ///
    /// # Errors
    /// When that fails. The sink still holds the unwritten rows; the next flush tries again.
    fn flush(&mut self) -> Result<u64, ExportError>;

    /// Flushes all that was taken, and returns when a power cut would lose nothing either. It may take as long
    /// as it must: an orderly end waits for it.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    fn sync(&mut self) -> Result<u64, ExportError>;
}

/// The destination of a crawl's items, which a user hands to the crawler.
pub trait Export<T: ?Sized>: Send + 'static {
    /// An encoder for one shard.
    fn encoder(&self) -> Box<dyn Encoder<T>>;

    /// The sink of all shards.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError>;
}
