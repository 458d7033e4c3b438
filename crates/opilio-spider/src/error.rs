//! Why a crawl could not be run. A page that fails is no error: it is an outcome, in the report.

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

/// Why a crawl could not be run, or not to its end.
///
/// Its `Debug` is for people, too: it is what `main` prints of an error that it returns.
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
    /// A header field that is a secret would be told to every host.
    #[error(
        "cannot send {name} to every host: it is a secret, which belongs to one host (Crawler::host_named, Session)"
    )]
    SecretForAll {
        /// The name of the field.
        name: String,
    },
    /// Settings are for a host that cannot be.
    #[error("the settings of a host cannot be used")]
    Hosts(#[from] BadHostPattern),
    /// An exporter could not be opened, or a sink could not be written.
    #[error("the output failed")]
    Export(#[from] ExportError),
    /// The frontier failed.
    #[error("the frontier failed")]
    Frontier(#[from] FrontierError),
    /// The crawl that is to be resumed writes somewhere else: its output could not be kept in step.
    #[error("cannot resume the crawl: it writes to {found}, and not to {wanted}")]
    OtherOutput {
        /// Where the crawl writes.
        found: String,
        /// Where this run would.
        wanted: String,
    },
    /// Two outputs are the same one: each would write over the other.
    #[error("two outputs are the same one: {output} and {other}")]
    SameOutput {
        /// The one.
        output: Arc<str>,
        /// The other.
        other: Arc<str>,
    },
    /// The items of the crawl that is to be resumed consist of something else: one file would hold two kinds.
    #[error(
        "cannot resume the crawl: its items consist of {found}, and not of {wanted}. Begin a new crawl for these, with another state directory and another output"
    )]
    OtherItems {
        /// What they consist of.
        found: String,
        /// What those of this run would.
        wanted: String,
    },
    /// There is no crawl to resume, but an output that beginning anew would empty: a state directory that is
    /// not mounted, or a slip of the pen.
    #[error(
        "cannot resume the crawl: there is none in {state}. {output} is not empty, and a new crawl would empty it"
    )]
    NothingToResume {
        /// The state directory.
        state: PathBuf,
        /// The output.
        output: Arc<str>,
    },
    /// The crawl that is to be resumed keeps a step that the spider's `Step` cannot read.
    #[error("cannot resume the crawl: it was begun with another `Step`{}", if .0.is_of_names() { RENAMED } else { "" })]
    OtherSteps(#[source] StepError),
    /// The store holds a note that this version cannot read.
    #[error(
        "cannot resume the crawl: its note `{name}` was written by another version of Opilio, or is damaged"
    )]
    Note {
        /// Which note.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: postcard::Error,
    },
    /// The user agent cannot stand in a header.
    #[error("cannot send {user_agent:?} as the user agent")]
    UserAgent {
        /// What was set.
        user_agent: String,
        /// Why not.
        #[source]
        source: http::header::InvalidHeaderValue,
    },
    /// There is a memory limit, and no way to keep to it.
    #[error("cannot keep to a memory limit: this system does not say how much memory a process uses")]
    MemoryUnknown,
    /// The HTTP client could not be made.
    #[error("cannot make the transport")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The signals that are to stop the crawl cannot be caught.
    #[error("cannot catch SIGINT and SIGTERM")]
    Signals(#[source] std::io::Error),
    /// A thread could not be started.
    #[error("cannot start the thread {name}")]
    Thread {
        /// Which one.
        name: &'static str,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A part of the crawl panicked: a defect of Opilio, or of an output of the user's. With a state directory
    /// nothing is lost, and the crawl can be resumed.
    #[error("the crawl ended early: the {name} panicked")]
    Died {
        /// Which one.
        name: &'static str,
    },
}

const RENAMED: &str = " (`#[serde(alias = \"old\")]` reads an old name)";

impl fmt::Debug for CrawlError {
    /// What was tried, and why it did not work, down to the root.
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
