//! Cassettes: a crawl's exchanges in a file, and the web that answers from it.

mod exchange;
mod http_text;
mod recorder;
mod secrets;
mod tape;
mod warc;

use std::path::{Path, PathBuf};

pub(crate) use exchange::{RecordedAnswer, RecordedExchange, RecordedFault, RequestKey};
pub(crate) use recorder::Recording;
pub(crate) use tape::Tape;
use warc::{WarcError, WarcRecord};

/// Why a cassette cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// There is none at this place.
    #[error("there is no cassette at {}; record it: {command}", path.display())]
    Missing {
        /// The place.
        path: PathBuf,
        /// The command that records it.
        command: String,
    },
    /// The file cannot be read or written.
    #[error("read or write the cassette {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// The file is no WARC file.
    #[error("read the cassette {} as a WARC file: {why}", path.display())]
    Format {
        /// The place.
        path: PathBuf,
        /// Where it breaks the format, and how.
        why: String,
    },
    /// The crawl that was to be recorded could not be run.
    #[error("record a crawl to {}", path.display())]
    Crawl {
        /// The place.
        path: PathBuf,
        /// Why it could not be run.
        #[source]
        source: Box<opilio::CrawlError>,
    },
}

/// Reads a cassette, or a WARC file of somebody else's.
pub(crate) fn load(path: &Path) -> Result<Vec<RecordedExchange>, CassetteError> {
    let file = std::fs::read(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            CassetteError::Missing { path: path.to_owned(), command: recording_command() }
        }
        _ => CassetteError::File { path: path.to_owned(), source },
    })?;
    let format = |why: WarcError| CassetteError::Format { path: path.to_owned(), why: why.to_string() };
    Ok(RecordedExchange::all_of(&warc::read(&file).map_err(format)?))
}

/// Writes a cassette; an older one stays until the new one is whole.
pub(crate) fn save(path: &Path, exchanges: &[RecordedExchange]) -> Result<(), CassetteError> {
    let failed = |source| CassetteError::File { path: path.to_owned(), source };
    let mut file = Vec::new();
    let about = "software: opilio-testkit\r\nformat: WARC File Format 1.1\r\n";
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

/// The command that records the cassette of the test that runs: its thread has its name.
pub(crate) fn recording_command() -> String {
    command(RECORD)
}

/// A variable and the command that runs this test again.
pub(crate) fn command(variable: &str) -> String {
    let package = std::env::var("CARGO_PKG_NAME").map(|name| format!(" -p {name}")).unwrap_or_default();
    let thread = std::thread::current();
    let test =
        thread.name().filter(|name| *name != "main").map(|name| format!(" {name}")).unwrap_or_default();
    format!("{variable}=1 cargo test{package}{test}")
}

/// Whether cassettes are to be recorded anew.
pub(crate) fn is_recording() -> bool {
    is_set(RECORD)
}

/// Whether a variable is set to anything but nothing or 0.
pub(crate) fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !matches!(value.as_str(), "" | "0"))
}

const RECORD: &str = "OPILIO_RECORD";
