//! The traits of an exporter: encoder, sink, and the export that makes both.

use std::sync::Arc;

use crate::error::ExportError;

/// Turns items into bytes, on the shard that parsed the page.
///
/// The bytes of one page are written together: completely, or not at all. Encoder and sink agree on how items
/// are separated.
pub trait Encoder<T: ?Sized>: Send {
    /// Appends the bytes of an item to `out`.
    ///
    /// # Errors
    /// When the item cannot be written in this format; then `out` is unchanged.
    fn encode(&mut self, item: &T, out: &mut Vec<u8>) -> Result<(), ExportError>;

    /// Appends a row for a URL that is another name (an alias) of `final_url`, whose page the crawl reports
    /// in a row of its own. Formats without such a row append nothing.
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
/// A sink counts in positions: bytes of a file, ids of a table. The store commits the position together with
/// the pages up to it, and a resumed crawl begins at the committed position. In each run,
/// [`begin`](Self::begin) is called once, then any number of appends and flushes.
pub trait Sink: Send {
    /// Returns the sink's name. It stays the same from run to run, and differs from the names of the crawl's
    /// other sinks.
    fn name(&self) -> Arc<str>;

    /// Returns the place that the sink writes to, as text. The texts of two sinks must be equal if the sinks
    /// would overwrite each other's rows. By default this is the sink's name.
    fn place(&self) -> String {
        self.name().to_string()
    }

    /// Removes all rows after a position: 0 in a new crawl, the committed position in a resumed crawl.
    ///
    /// # Errors
    /// When the rows after the position cannot be removed, or the output is shorter than the position.
    fn begin(&mut self, position: u64) -> Result<(), ExportError>;

    /// Returns whether the output has rows that [`begin`](Self::begin) at 0 would remove.
    fn has_rows(&self) -> bool {
        false
    }

    /// Returns whether [`begin`](Self::begin) can remove rows. A pipe, for example, cannot remove rows.
    fn goes_back(&self) -> bool {
        true
    }

    /// Begins at a position without removing rows, and continues counting from there. This is for sinks that
    /// cannot remove rows: rows written after this position, before the crawl was killed, are written again.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    fn go_on(&mut self, position: u64) -> Result<(), ExportError> {
        self.begin(position)
    }

    /// Takes one page's rows (perhaps none) and returns the position after them. The rows need not be on disk
    /// yet: a sink may buffer them, or wait for a database.
    ///
    /// # Errors
    /// When the sink cannot take the rows; then the sink has taken none of them.
    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError>;

    /// Passes the rows to the operating system (or the database), and returns the position up to which it has
    /// them. A later kill of this process loses none of these rows, so their pages are settled. If this
    /// position is before the end of the rows taken, the caller calls [`sync`](Self::sync) next.
    ///
    /// # Errors
    /// When writing fails. The sink keeps the unwritten rows, and the next flush tries again.
    fn flush(&mut self) -> Result<u64, ExportError>;

    /// Flushes all rows, and returns after they are on disk, so that not even a power cut loses any. The call
    /// has no time limit: the crawl waits for it before it ends.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    fn sync(&mut self) -> Result<u64, ExportError>;
}

/// The destination of a crawl's items, which the user gives to the crawler.
pub trait Export<T: ?Sized>: Send + 'static {
    /// Returns a new encoder. Each shard gets one.
    fn encoder(&self) -> Box<dyn Encoder<T>>;

    /// Returns the sink, which writes the rows of all shards.
    ///
    /// # Errors
    /// When the output cannot be opened.
    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError>;
}
