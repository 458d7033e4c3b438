//! What can go wrong on the way of an item out of the crawl.

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
        /// The path that was asked for.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The sink did not take what it was given (a full disk, for instance).
    #[error("write to {sink}")]
    Write {
        /// Which sink.
        sink: Arc<str>,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// Whoever read the output has gone (a broken pipe): no failure of ours, but nothing more can
    /// be written.
    #[error("write to {sink}: its reader has gone")]
    Closed {
        /// Which sink.
        sink: Arc<str>,
    },
    /// An item has no form in the exporter's format, such as a map whose keys are no strings.
    #[error("encode an item as {exporter}")]
    Encode {
        /// Which format.
        exporter: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The output is shorter than what was committed: it was changed, or it is another one.
    #[error("resume {sink}: {committed} bytes of it were committed, but only {found} are there")]
    Shorter {
        /// Which sink.
        sink: Arc<str>,
        /// The committed position.
        committed: u64,
        /// Where it ends.
        found: u64,
    },
    /// The output has other columns than what is to be written into it.
    #[error("resume {sink}: it has the columns {found}, and not {wanted}")]
    OtherColumns {
        /// Which sink.
        sink: Arc<str>,
        /// Those that it begins with.
        found: String,
        /// Those that are to be written.
        wanted: String,
    },
    /// What was written cannot be taken back, so that exactly once cannot be kept.
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
