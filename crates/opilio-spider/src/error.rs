//! Why a crawl could not run. A page that fails is no such error: the report counts it.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use opilio_core::BadHostPattern;
use opilio_export::ExportError;
use opilio_frontier::FrontierError;

use crate::admission::SeedError;
use crate::header::BadHeader;
use crate::pattern::PatternError;
use crate::step::StepError;

/// Why a crawl could not run, or not to its end.
///
/// Its `Debug` output is for people, too, since `main` prints it for an error that it returns.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CrawlError {
    /// A seed cannot be used.
    #[error("a seed cannot be used")]
    Seed(#[from] SeedError),
    /// A pattern of the scope cannot be read.
    #[error("a pattern of the scope cannot be read")]
    Pattern(#[from] PatternError),
    /// A header field cannot be sent.
    #[error("a header field cannot be sent")]
    Header(#[from] BadHeader),
    /// A header field holds a secret, and every host would receive it.
    #[error(
        "cannot send {name} to every host: it is a secret, which belongs to one host (Crawler::host_named, Session)"
    )]
    SecretForAll {
        /// The name of the field.
        name: String,
    },
    /// The pattern of a host's settings matches no host.
    #[error("the settings of a host cannot be used")]
    Hosts(#[from] BadHostPattern),
    /// An exporter could not be opened, or a sink could not be written.
    #[error("the output failed")]
    Export(#[from] ExportError),
    /// The frontier failed.
    #[error("the frontier failed")]
    Frontier(#[from] FrontierError),
    /// The crawl to resume writes to another output.
    #[error("cannot resume the crawl: it writes to {found}, and not to {wanted}")]
    OtherOutput {
        /// The output of the crawl.
        found: String,
        /// The output of this run.
        wanted: String,
    },
    /// Two outputs are the same and would overwrite each other.
    #[error("two outputs are the same one: {output} and {other}")]
    SameOutput {
        /// The first output.
        output: Arc<str>,
        /// The second output.
        other: Arc<str>,
    },
    /// The items of the crawl to resume have other columns, and one file cannot hold both.
    #[error(
        "cannot resume the crawl: its items consist of {found}, and not of {wanted}. Begin a new crawl for these, with another state directory and another output"
    )]
    OtherItems {
        /// The columns of the crawl.
        found: String,
        /// The columns of this run.
        wanted: String,
    },
    /// There is no crawl to resume, and beginning one would empty an output. The state directory may not be
    /// mounted, or its name may be mistyped.
    #[error(
        "cannot resume the crawl: there is none in {state}. {output} is not empty, and a new crawl would empty it"
    )]
    NothingToResume {
        /// The state directory.
        state: PathBuf,
        /// The output.
        output: Arc<str>,
    },
    /// The crawl to resume holds a step that the spider's `Step` cannot read.
    #[error("cannot resume the crawl: it was begun with another `Step`{}", if .0.is_of_names() { RENAMED } else { "" })]
    OtherSteps(#[source] StepError),
    /// The store holds a note that this version cannot read.
    #[error(
        "cannot resume the crawl: its note `{name}` was written by another version of Opilio, or is damaged"
    )]
    Note {
        /// The note.
        name: &'static str,
        /// The error of the decoder.
        #[source]
        source: postcard::Error,
    },
    /// HTTP does not allow the user agent.
    #[error("cannot send {user_agent:?} as the user agent")]
    UserAgent {
        /// The user agent.
        user_agent: String,
        /// The reason.
        #[source]
        source: http::header::InvalidHeaderValue,
    },
    /// A memory limit is set, and the system does not tell the memory of a process.
    #[error("cannot keep to a memory limit: this system does not say how much memory a process uses")]
    MemoryUnknown,
    /// The HTTP client could not be made.
    #[error("cannot make the transport")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The signals that would stop the crawl cannot be caught.
    #[error("cannot catch SIGINT and SIGTERM")]
    Signals(#[source] std::io::Error),
    /// A thread could not be started.
    #[error("cannot start the thread {name}")]
    Thread {
        /// The name of the thread.
        name: &'static str,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// A part of the crawl panicked, by a defect of Opilio or of an output. With a state directory the crawl
    /// can be resumed and loses nothing.
    #[error("the crawl ended early: the {name} panicked")]
    Died {
        /// The name of the part.
        name: &'static str,
    },
}

const RENAMED: &str = " (`#[serde(alias = \"old\")]` reads an old name)";

impl fmt::Debug for CrawlError {
    /// Prints the error and all its causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut source = self.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
