//! A sink that writes to a stream, from which rows cannot be removed: stdout, a pipe, a socket.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use crate::error::ExportError;
use crate::export::Sink;

const BUFFER_BYTES: usize = 64 * 1024;

/// A [`Sink`] that writes to any writer; its positions are bytes. It cannot remove rows.
pub struct StreamSink {
    name: Arc<str>,
    writer: Box<dyn Write + Send>,
    buffer: Vec<u8>,
    /// How many bytes of the buffer the writer has taken. They are never written again.
    taken: usize,
    written: u64,
}

impl StreamSink {
    /// Creates a sink for a writer. `name` identifies the sink in messages.
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
    /// At any position but 0: rows that the reader has received cannot be removed. A caller that accepts
    /// repeated rows calls [`go_on`](Sink::go_on).
    fn begin(&mut self, position: u64) -> Result<(), ExportError> {
        if position > 0 {
            return Err(ExportError::NotResumable { sink: self.name() });
        }
        Ok(())
    }

    fn goes_back(&self) -> bool {
        false
    }

    fn go_on(&mut self, position: u64) -> Result<(), ExportError> {
        self.written = position;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::io::{self, Read};

    /// A writer that takes at most three bytes per call and fails at every second call.
    #[derive(Default)]
    struct Grudging {
        taken: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
        calls: usize,
    }

    impl Write for Grudging {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls.is_multiple_of(2) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let n = bytes.len().min(3);
            self.taken.lock().unwrap().extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_the_reader_has_is_not_sent_again() {
        let grudging = Grudging::default();
        let taken = grudging.taken.clone();
        let mut sink = StreamSink::new("grudging", grudging);
        sink.append(b"one\n").unwrap();
        sink.append(b"two\n").unwrap();
        let failures = (0..9).take_while(|_| sink.flush().is_err()).count();
        assert_eq!(failures, 2);
        assert_eq!(&*taken.lock().unwrap(), b"one\ntwo\n");
        assert_eq!(sink.flush().unwrap(), 8);
    }

    #[test]
    fn a_reader_that_has_gone_is_told_apart() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = StreamSink::new("stdout", writer);
        sink.append(b"one\n").unwrap();
        sink.flush().unwrap();
        let mut line = [0; 4];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"one\n");

        drop(reader);
        sink.append(b"two\n").unwrap();
        let error = sink.flush().unwrap_err();
        assert!(matches!(error, ExportError::Closed { .. }), "{error}");
        assert_eq!(error.to_string(), "cannot write to stdout: its reader has closed it");
    }

    #[test]
    fn a_stream_cannot_be_resumed_in_silence() {
        let mut sink = StreamSink::new("stdout", io::sink());
        let error = sink.begin(10).unwrap_err();
        assert!(matches!(error, ExportError::NotResumable { .. }), "{error}");
        sink.begin(0).unwrap();
    }

    #[test]
    fn a_stream_that_goes_on_counts_from_where_it_stood() {
        let mut sink = StreamSink::new("stdout", io::sink());
        assert!(!sink.goes_back());
        sink.go_on(10).unwrap();
        assert_eq!(sink.append(b"one\n").unwrap(), 14);
        assert_eq!(sink.flush().unwrap(), 14);
    }
}
