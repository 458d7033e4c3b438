//! Bytes into a file, of which every page's rows are there whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use crate::error::ExportError;
use crate::export::Sink;

/// What is gathered before it is written: large enough that a write costs nothing per item.
const BUFFER_BYTES: usize = 64 * 1024;

/// A [`Sink`] into a regular file; its positions are bytes.
#[derive(Debug)]
pub struct FileSink {
    name: Arc<str>,
    file: File,
    /// Whole pages that are not written yet.
    buffer: Vec<u8>,
    /// Bytes of the file that are whole pages; behind them there may be torn ones.
    written: u64,
    begun: bool,
}

impl FileSink {
    /// Opens a file, or makes it. What is in it stays until the crawl begins.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        let open = |source| ExportError::Open { path: path.to_owned(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(open)?;
        Ok(Self::over(path, file))
    }

    pub(crate) fn over(path: &Path, file: File) -> Self {
        let name = path.to_string_lossy().into();
        Self { name, file, buffer: Vec::new(), written: 0, begun: false }
    }

    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn failed(&self, source: std::io::Error) -> ExportError {
        ExportError::of_write(&self.name, source)
    }

    /// Writes the buffer behind the last whole page, or leaves the file as it was.
    fn write(&mut self) -> Result<(), ExportError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&self.buffer) {
            // Part of a page may be in the file. If it cannot be cut off now, the next write goes
            // over it, or the next run cuts it off: the committed position lies before it.
            let _ = self.cut(self.written);
            return Err(self.failed(source));
        }
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn cut(&mut self, position: u64) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(position))?;
        self.file.set_len(position)
    }
}

impl Sink for FileSink {
    fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        let found = self.file.metadata().map_err(|source| self.failed(source))?.len();
        if found < position {
            return Err(ExportError::Shorter { sink: self.name(), committed: position, found });
        }
        self.cut(position).map_err(|source| self.failed(source))?;
        self.buffer.clear();
        self.written = position;
        self.begun = true;
        Ok(())
    }

    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        if !self.begun {
            self.begin(0)?;
        }
        if !self.buffer.is_empty() && self.buffer.len() + rows.len() > BUFFER_BYTES {
            self.write()?;
        }
        self.buffer.extend_from_slice(rows);
        Ok(self.end())
    }

    fn flush(&mut self) -> Result<u64, ExportError> {
        self.write()?;
        Ok(self.written)
    }

    fn sync(&mut self) -> Result<u64, ExportError> {
        self.write()?;
        self.file.sync_data().map_err(|source| self.failed(source))?;
        Ok(self.written)
    }
}
