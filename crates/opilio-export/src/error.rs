//! The errors of exporting items.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why an item could not be encoded or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output cannot be opened for writing.
    #[error("open the output {}", path.display())]
    Open {
        /// The path.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The sink did not accept the rows (a full disk, for instance).
    #[error("write to {sink}")]
    Write {
        /// Which sink.
        sink: Arc<str>,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The reader of the output has gone (a broken pipe). That is no failure of the crawl, but nothing more
    /// can be written.
    #[error("write to {sink}: its reader has gone")]
    Closed {
        /// Which sink.
        sink: Arc<str>,
    },
    /// An item cannot be written in the exporter's format, such as a map whose keys are not strings.
    #[error("encode an item as {exporter}")]
    Encode {
        /// Which format.
        exporter: &'static str,
        /// The encoder's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The output is shorter than the committed part: it was changed, or it is another output.
    #[error("resume {sink}: {committed} bytes of it were committed, but only {found} are there")]
    Shorter {
        /// Which sink.
        sink: Arc<str>,
        /// The committed position.
        committed: u64,
        /// Where it ends.
        found: u64,
    },
    /// The output has other columns than the rows to be written.
    #[error("resume {sink}: it has the columns {found}, and not {wanted}")]
    OtherColumns {
        /// Which sink.
        sink: Arc<str>,
        /// The columns that it has.
        found: String,
        /// The columns to be written.
        wanted: String,
    },
    /// Written rows cannot be taken back, so a resumed crawl could not write each row exactly once.
    #[error("resume {sink}: what it was given cannot be taken back")]
    NotResumable {
        /// Which sink.
        sink: Arc<str>,
    },
}

impl ExportError {
    /// The error for a write that failed: [`Closed`](Self::Closed) when the reader has gone.
    #[must_use]
    pub fn of_write(sink: &Arc<str>, source: io::Error) -> Self {
        let sink = sink.clone();
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed { sink },
            _ => Self::Write { sink, source },
        }
    }
}
