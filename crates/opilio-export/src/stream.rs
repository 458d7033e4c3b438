//! Bytes into something that only goes forward: stdout, a pipe, a socket.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use crate::error::ExportError;
use crate::export::Sink;

const BUFFER_BYTES: usize = 64 * 1024;

/// A [`Sink`] into any writer; its positions are bytes, and it cannot go back.
pub struct StreamSink {
    name: Arc<str>,
    writer: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    /// How much of the buffer the writer has taken: what a stream took is never offered again.
    taken: usize,
    written: u64,
}

impl StreamSink {
    /// A sink into this writer, under a name for messages.
    #[must_use]
    pub fn new(name: &str, writer: impl Write + Send + 'static) -> Self {
        Self { name: name.into(), writer: Box::new(writer), buffer: Vec::new(), taken: 0, written: 0 }
    }

    fn write(&mut self) -> std::io::Result<()> {
        while self.taken < self.buffer.len() {
            match self.writer.write(&self.buffer[self.taken..]) {
                Ok(0) => return Err(std::io::ErrorKind::WriteZero.into()),
                Ok(n) => self.taken += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.writer.flush()?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.taken = 0;
        Ok(())
    }
}

impl fmt::Debug for StreamSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSink").field("name", &self.name).field("written", &self.written).finish()
    }
}

impl Sink for StreamSink {
    fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// # Errors
    /// At any position but 0: rows behind the committed one cannot be taken back from a reader. Who
    /// accepts that they come twice begins at 0.
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        if position > 0 {
            return Err(ExportError::NotResumable { sink: self.name() });
        }
        Ok(())
    }

    fn append(&mut self, rows: &[u8]) -> Result<u64, ExportError> {
        if !self.buffer.is_empty() && self.buffer.len() + rows.len() > BUFFER_BYTES {
            self.flush()?;
        }
        self.buffer.extend_from_slice(rows);
        Ok(self.written + self.buffer.len() as u64)
    }

    fn flush(&mut self) -> Result<u64, ExportError> {
        self.write().map_err(|source| ExportError::of_write(&self.name, source))?;
        Ok(self.written)
    }

    fn sync(&mut self) -> Result<u64, ExportError> {
        self.flush()
    }
}
