//! Cassettes: files with the exchanges of a crawl, from which the same requests are answered later.
//!
//! A cassette is a WARC 1.1 file. [`Recording`] records the traffic of a crawl's transport, [`save`] writes the file
//! and leaves secrets out, [`load`] reads it, also if another tool has written it, and [`Replay`] answers from it.

mod exchange;
mod http_text;
mod recorder;
mod replay;
mod secrets;
mod tape;
mod warc;

use std::path::{Path, PathBuf};

pub use exchange::{RecordedAnswer, RecordedExchange, RecordedFault, RecordedRequest, RequestKey};
pub use recorder::Recording;
pub use replay::Replay;
pub use secrets::without_secrets;
pub use tape::Tape;
use warc::{WarcError, WarcRecord};

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

/// Writes a cassette. An older cassette at this path is replaced only when the new one is complete.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, exchanges: &[RecordedExchange]) -> Result<(), CassetteError> {
    let failed = |source| CassetteError::File { path: path.to_owned(), source };
    let mut file = Vec::new();
    let about = "software: opilio\r\nformat: WARC File Format 1.1\r\n";
    let began = exchanges.iter().map(|exchange| exchange.request.at).min();
    let date = exchange::date(began.unwrap_or(std::time::SystemTime::UNIX_EPOCH));
    let info = WarcRecord::new("warcinfo")
        .with("WARC-Record-ID", "<urn:uuid:6f70696c-696f-8000-8000-636173736574>")
        .with("WARC-Date", date)
        .with("Content-Type", "application/warc-fields");
    info.block(about).write(&mut file);
    for (nth, exchange) in exchanges.iter().enumerate() {
        exchange.records(nth).iter().for_each(|record| record.write(&mut file));
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let draft = path.with_extension("warc.draft");
    std::fs::write(&draft, file).map_err(failed)?;
    std::fs::rename(&draft, path).map_err(failed)
}
