//! A cassette as a file: a WARC file that is written and read.

use std::path::{Path, PathBuf};

use url::Url;

use crate::exchange::{self, RecordedExchange};
use crate::secrets::SecretRules;
use crate::warc::{self, WarcError, WarcRecord};

/// The exchanges of a crawl, with the rules by which their secrets are found.
#[derive(Clone, Debug)]
pub struct Cassette {
    exchanges: Vec<RecordedExchange>,
    pub(crate) rules: SecretRules,
    /// Whether another tool has written the file.
    pub(crate) is_foreign: bool,
}

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

impl Cassette {
    pub(crate) fn recorded(exchanges: Vec<RecordedExchange>, rules: SecretRules) -> Self {
        Self { exchanges, rules, is_foreign: false }
    }

    /// Reads a cassette, or a WARC file that another tool has written. `command` is the command that records the
    /// cassette, for the message that there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or is not a WARC file.
    pub fn load(path: &Path, command: &str) -> Result<Self, CassetteError> {
        let file = std::fs::read(path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                CassetteError::Missing { path: path.to_owned(), command: command.to_owned() }
            }
            _ => CassetteError::File { path: path.to_owned(), source },
        })?;
        let format = |why: WarcError| CassetteError::Format { path: path.to_owned(), why: why.to_string() };
        let records = warc::read(&file).map_err(format)?;
        let infos = records.iter().filter(|record| record.field("WARC-Type") == Some("warcinfo"));
        let ours = infos.map(|info| String::from_utf8_lossy(&info.block)).find(|info| info.starts_with(OURS));
        // Other tools do not leave secrets out.
        let rules = ours.as_ref().map_or(SecretRules::FOREIGN, |info| SecretRules::read(info));
        let exchanges = RecordedExchange::all_of(&records, &rules);
        Ok(Self { exchanges, rules, is_foreign: ours.is_none() })
    }

    /// Returns the exchanges in the order of the file.
    #[must_use]
    pub fn exchanges(&self) -> &[RecordedExchange] {
        &self.exchanges
    }

    /// Returns a URL without its secrets, as the keys of the exchanges have it.
    #[must_use]
    pub fn without_secrets(&self, url: &Url) -> Url {
        self.rules.plain().url(url)
    }

    pub(crate) fn into_exchanges(self) -> Vec<RecordedExchange> {
        self.exchanges
    }

    /// Returns the records of the file.
    pub(crate) fn records(&self) -> impl Iterator<Item = WarcRecord> {
        let exchanges = self.exchanges.iter().enumerate();
        std::iter::once(self.info()).chain(exchanges.flat_map(|(nth, exchange)| exchange.records(nth)))
    }

    /// Returns the record about the file itself.
    fn info(&self) -> WarcRecord {
        let began = self.exchanges.iter().filter_map(|exchange| exchange.request.at).min();
        let info = WarcRecord::new("warcinfo")
            .with("WARC-Record-ID", "<urn:uuid:6f70696c-696f-8000-8000-636173736574>")
            .with("WARC-Date", exchange::date(began.unwrap_or(std::time::SystemTime::UNIX_EPOCH)))
            .with("Content-Type", "application/warc-fields");
        info.block(format!("{OURS}format: WARC File Format 1.1\r\n{}", self.rules.fields()))
    }
}

impl From<Vec<RecordedExchange>> for Cassette {
    /// Makes a cassette of exchanges that have no secrets.
    fn from(exchanges: Vec<RecordedExchange>) -> Self {
        Self::recorded(exchanges, SecretRules::BUILT_IN)
    }
}

/// The beginning of the record about the file, in the files that this crate writes.
const OURS: &str = "software: opilio\r\n";
