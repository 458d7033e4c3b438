//! Cassettes: files with the exchanges of a crawl, from which the same requests are answered later.
//!
//! A cassette is a WARC 1.1 file. [`Recording`] records the traffic of a crawl's transport, [`CassetteDraft`] writes the file
//! and leaves secrets out, [`load`] reads it, also if another tool has written it, and [`Replay`] answers from it.

mod draft;
mod exchange;
mod http_text;
mod recorder;
mod replay;
mod secrets;
mod tape;
mod warc;

use std::path::{Path, PathBuf};

pub use draft::CassetteDraft;
pub use exchange::{RecordedAnswer, RecordedExchange, RecordedFault, RecordedRequest, RequestKey};
pub use recorder::Recording;
pub use replay::Replay;
pub use secrets::without_secrets;
pub use tape::Tape;
use warc::WarcError;

/// Why a cassette cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// There is no cassette at this path.
    #[error("there is no cassette at {}; record it: {command}", path.display())]
    Missing {
        /// The path of the missing cassette.
        path: PathBuf,
        /// The command that records the cassette.
        command: String,
    },
    /// The file cannot be read or written.
    #[error("cannot read or write the cassette {}", path.display())]
    File {
        /// The path of the cassette.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is not a WARC file.
    #[error("cannot read the cassette {} as a WARC file: {why}", path.display())]
    Format {
        /// The path of the cassette.
        path: PathBuf,
        /// The place at which the file breaks the format, and how.
        why: String,
    },
    /// The recording has no page, and the cassette that it would replace has one.
    #[error("the recording has no page, so the cassette {} stays as it was{why}", path.display())]
    NoPage {
        /// The path of the cassette.
        path: PathBuf,
        /// What became of the first request, as the end of a sentence; empty if there was no request.
        why: String,
    },
    /// The crawl that was to be recorded could not run.
    #[error("cannot record a crawl to {}", path.display())]
    Crawl {
        /// The path of the cassette.
        path: PathBuf,
        /// The reason why the crawl could not run.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Reads a cassette, or a WARC file that another tool has written. `command` is the command that records the
/// cassette, for the message that there is none.
///
/// # Errors
/// When the file cannot be read, or is not a WARC file.
pub fn load(path: &Path, command: &str) -> Result<Vec<RecordedExchange>, CassetteError> {
    let file = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            CassetteError::Missing { path: path.to_owned(), command: command.to_owned() }
        }
        _ => CassetteError::File { path: path.to_owned(), source },
    })?;
    let format = |why: WarcError| CassetteError::Format { path: path.to_owned(), why: why.to_string() };
    Ok(RecordedExchange::all_of(&warc::read(&file).map_err(format)?))
}

/// Writes a cassette, as [`CassetteDraft::save`] does.
///
/// # Errors
/// As [`CassetteDraft::open`] and [`CassetteDraft::save`].
pub fn save(path: &Path, exchanges: &[RecordedExchange]) -> Result<(), CassetteError> {
    CassetteDraft::open(path)?.save(exchanges)
}
