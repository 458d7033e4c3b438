//! A cassette as a file: a WARC file that is written and read.

use std::path::{Path, PathBuf};

use url::Url;

use crate::exchange::{self, RecordedExchange};
use crate::secrets::SecretRules;
use crate::warc::{self, UnreadableWarc, WarcRecord, WarcRecords};

/// The exchanges of a crawl, with the rules by which their secrets are found.
#[derive(Clone, Debug)]
pub struct Cassette {
    exchanges: Vec<RecordedExchange>,
    pub(crate) rules: SecretRules,
    /// If true, a tool other than Opilio has written the file.
    pub(crate) is_foreign: bool,
    pub(crate) warning: Option<String>,
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
    /// The file is larger than allowed, or unpacks to more bytes than allowed.
    #[error("the cassette {} has more than the {max} bytes that are read", path.display())]
    TooLarge {
        /// The path of the cassette.
        path: PathBuf,
        /// The most bytes that are read.
        max: usize,
    },
    /// The recording has no page, and the cassette that it would replace has one.
    #[error("the recording has no page, so the cassette {} stays as it was{why}", path.display())]
    NoPage {
        /// The path of the cassette.
        path: PathBuf,
        /// The end of the error's sentence: why the first request failed. Empty if no request was sent.
        why: String,
    },
}

impl Cassette {
    pub(crate) fn recorded(exchanges: Vec<RecordedExchange>, rules: SecretRules) -> Self {
        Self { exchanges, rules, is_foreign: false, warning: None }
    }

    /// Reads a cassette, or a WARC file that another tool has written. `command` is the command that records the
    /// cassette, for the message that there is none.
    ///
    /// # Errors
    /// When the file cannot be read, has more than 1 GiB, also after unpacking, or has no record of WARC.
    pub fn load(path: &Path, command: &str) -> Result<Self, CassetteError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => {
                CassetteError::Missing { path: path.to_owned(), command: command.to_owned() }
            }
            _ => CassetteError::File { path: path.to_owned(), source },
        };
        let too_large = || CassetteError::TooLarge { path: path.to_owned(), max: BYTES_MAX };
        if std::fs::metadata(path).map_err(failed)?.len() > BYTES_MAX as u64 {
            return Err(too_large());
        }
        let file = std::fs::read(path).map_err(failed)?;
        let WarcRecords { records, broken } = warc::read(file, BYTES_MAX).map_err(|error| match error {
            UnreadableWarc::TooLarge { .. } => too_large(),
            UnreadableWarc::Format(why) => {
                CassetteError::Format { path: path.to_owned(), why: why.to_string() }
            }
        })?;
        let warning = broken.map(|why| format!("{} is read only up to {why}", path.display()));
        let infos = records.iter().filter(|record| record.field("WARC-Type") == Some("warcinfo"));
        let ours = infos.map(|info| String::from_utf8_lossy(&info.block)).find(|info| info.starts_with(OURS));
        // Other tools do not leave secrets out.
        let rules = ours.as_ref().map_or(SecretRules::FOREIGN, |info| SecretRules::read(info));
        let exchanges = RecordedExchange::all_of(&records, &rules);
        Ok(Self { exchanges, rules, is_foreign: ours.is_none(), warning })
    }

    /// Returns a sentence about a file that could be read only up to some place, such as a file that was cut off.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
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

/// The most bytes of a file that are read, also after unpacking: 1 GiB. A cassette is kept in memory.
const BYTES_MAX: usize = 1 << 30;
