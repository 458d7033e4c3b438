//! The errors of exporting items.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// The reason why an item could not be encoded or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output cannot be opened for writing.
    #[error("cannot open the output {}", path.display())]
    Open {
        /// The path of the output.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The sink could not write the rows, because the disk is full, for instance.
    #[error("cannot write to {sink}")]
    Write {
        /// The sink's name.
        sink: Arc<str>,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The reader of the output has closed it (a broken pipe). The crawl has not failed, but nothing more can
    /// be written.
    #[error("cannot write to {sink}: its reader has closed it")]
    Closed {
        /// The sink's name.
        sink: Arc<str>,
    },
    /// An item cannot be written in the exporter's format, such as a map whose keys are not strings.
    #[error("cannot encode an item as {exporter}")]
    Encode {
        /// The name of the format, such as `CSV`.
        exporter: &'static str,
        /// The encoder's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The output is shorter than the part that an earlier run committed: it was changed, or it is another
    /// output.
    #[error("cannot resume {sink}: {committed} bytes were committed, but the output has only {found}")]
    Shorter {
        /// The sink's name.
        sink: Arc<str>,
        /// The committed position, in bytes.
        committed: u64,
        /// The length of the output, in bytes.
        found: u64,
    },
    /// The output has other columns than the rows of this crawl.
    #[error("cannot resume {sink}: it has the columns {found}, and this crawl writes {wanted}")]
    OtherColumns {
        /// The sink's name.
        sink: Arc<str>,
        /// The columns of the output.
        found: String,
        /// The columns of this crawl's rows.
        wanted: String,
    },
    /// Rows written to this output cannot be removed again, so a resumed crawl could not write each row
    /// exactly once.
    #[error("cannot resume {sink}: rows written to it cannot be removed again")]
    NotResumable {
        /// The sink's name.
        sink: Arc<str>,
    },
}

impl ExportError {
    /// Returns the error for a write that failed: [`Closed`](Self::Closed) if the reader has closed the
    /// output.
    #[must_use]
    pub fn of_write(sink: &Arc<str>, source: io::Error) -> Self {
        let sink = sink.clone();
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed { sink },
            _ => Self::Write { sink, source },
        }
    }
}
