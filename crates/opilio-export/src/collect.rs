//! Exports JSON Lines into memory, for tests and small programs.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ExportError;
use crate::export::{Encoder, Export, Sink};
use crate::json_lines::JsonEncoder;

/// Exports JSON Lines into memory, where [`Collected`] reads them. The memory use grows with the crawl.
///
/// ```
/// # mod opilio { pub use opilio_export as export; }
/// use opilio::export::{Collect, Export, Sink};
///
/// let (export, collected) = Collect::new();
/// let mut rows = Vec::new();
/// export.encoder().encode("a product", &mut rows)?;
/// let mut sink = Export::<str>::into_sink(Box::new(export))?;
/// sink.begin(0)?;
/// sink.append(&rows)?;
/// sink.flush()?;
/// assert_eq!(collected.items::<String>()?, ["a product"]);
/// # Ok::<(), opilio::export::ExportError>(())
/// ```
#[derive(Debug)]
pub struct Collect(Shelf);

/// Gives access to the rows exported so far, whether they are flushed or not.
#[derive(Clone, Debug)]
pub struct Collected(Shelf);

type Shelf = Arc<Mutex<Vec<u8>>>;

impl Collect {
    /// Returns an export, and a handle to the rows that it collects.
    #[must_use]
    pub fn new() -> (Self, Collected) {
        let shelf = Shelf::default();
        (Self(shelf.clone()), Collected(shelf))
    }
}

impl Collected {
    /// Returns all rows as text, one line per item.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0)).into_owned()
    }

    /// Returns all items, read as values of type `T`.
    ///
    /// # Errors
    /// When a line has another form, such as the line of an alias (a URL that is another name of a page).
    pub fn items<T: DeserializeOwned>(&self) -> Result<Vec<T>, ExportError> {
        let wrong = |source: serde_json::Error| ExportError::Encode {
            exporter: "the collected type",
            source: source.into(),
        };
        self.text().lines().map(|line| serde_json::from_str(line).map_err(wrong)).collect()
    }
}

impl<T: Serialize + ?Sized> Export<T> for Collect {
    fn encoder(&self) -> Box<dyn Encoder<T>> {
        Box::new(JsonEncoder)
    }

    fn into_sink(self: Box<Self>) -> Result<Box<dyn Sink>, ExportError> {
        Ok(self)
    }
}

impl Sink for Collect {
    fn name(&self) -> Arc<str> {
        "memory".into()
    }

    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        let mut shelf = lock(&self.0);
        let found = shelf.len() as u64;
        if found < position {
            return Err(ExportError::Shorter { sink: "memory".into(), committed: position, found });
        }
        // `position` is at most `found`, so it fits into a usize.
        shelf.truncate(position as usize);
        Ok(())
    }

    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        let mut shelf = lock(&self.0);
        shelf.extend_from_slice(rows);
        Ok(shelf.len() as u64)
    }

    fn flush(&mut self) -> Result<u64, ExportError> {
        Ok(lock(&self.0).len() as u64)
    }

    fn sync(&mut self) -> Result<u64, ExportError> {
        self.flush()
    }
}

/// Locks the rows. The lock's poison is ignored: even a thread that panicked while it held the lock left only
/// whole rows.
fn lock(shelf: &Shelf) -> std::sync::MutexGuard<'_, Vec<u8>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn it_is_taken_back_like_a_file() {
        let (mut export, collected) = Collect::new();
        export.begin(0).unwrap();
        assert_eq!(export.append(b"1\n").unwrap(), 2);
        assert_eq!(export.append(b"2\n").unwrap(), 4);
        assert_eq!(export.sync().unwrap(), 4);
        export.begin(2).unwrap();
        assert_eq!(collected.items::<u8>().unwrap(), [1]);
        assert!(matches!(export.begin(3), Err(ExportError::Shorter { committed: 3, found: 2, .. })));
    }

    #[test]
    fn another_shape_is_an_error() {
        let (mut export, collected) = Collect::new();
        export.append(b"\"text\"\n").unwrap();
        assert!(collected.items::<u8>().is_err());
    }
}
