//! The reasons why a crawl could not run. If a single page fails, there is no such error: the report counts the page
//! as a failure.

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

/// The reason why a crawl could not run, or could not run to its end.
///
/// The `Debug` output is for people, too, since Rust prints it for an error that `main` returns.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CrawlError {
    /// A seed cannot be used.
    #[error("a seed cannot be used")]
    Seed(#[from] SeedError),
    /// A pattern of the scope cannot be parsed.
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
    /// The host pattern of some settings can match no host.
    #[error("the settings of a host cannot be used")]
    Hosts(#[from] BadHostPattern),
    /// An output could not be opened or written.
    #[error("an output of the crawl failed")]
    Export(#[from] ExportError),
    /// The frontier, which stores the URLs of the crawl, failed.
    #[error("the store of the crawl's URLs failed")]
    Frontier(#[from] FrontierError),
    /// The crawl in the state directory writes to another output than this run.
    #[error("cannot resume the crawl: it writes to {found}, and not to {wanted}")]
    OtherOutput {
        /// The output of the crawl in the state directory.
        found: String,
        /// The output of this run.
        wanted: String,
    },
    /// Two outputs are the same file or place, and would overwrite each other.
    #[error("two outputs of the crawl are the same: {output} and {other}")]
    SameOutput {
        /// The first output.
        output: Arc<str>,
        /// The second output.
        other: Arc<str>,
    },
    /// The items of the crawl in the state directory have other columns than those of this run. One file
    /// cannot hold both.
    #[error(
        "cannot resume the crawl: its items consist of {found}, and not of {wanted}. Begin a new crawl for these, with another state directory and another output"
    )]
    OtherItems {
        /// The columns of the crawl in the state directory.
        found: String,
        /// The columns of this run.
        wanted: String,
    },
    /// There is no crawl to resume, and a new crawl would empty an output that has content. Perhaps the state
    /// directory is not mounted, or its name is mistyped.
    #[error(
        "cannot resume the crawl: there is none in {state}. {output} is not empty, and a new crawl would empty it"
    )]
    NothingToResume {
        /// The state directory.
        state: PathBuf,
        /// The output.
        output: Arc<str>,
    },
    /// The crawl in the state directory has a step that the spider's `Step` cannot read.
    #[error("cannot resume the crawl: it was begun with another `Step`{}", if .0.is_of_names() { RENAMED } else { "" })]
    OtherSteps(#[source] StepError),
    /// The store holds a note (a small named value) that this version cannot read.
    #[error(
        "cannot resume the crawl: its note `{name}` was written by another version of Opilio, or is damaged"
    )]
    Note {
        /// The name of the note.
        name: &'static str,
        /// The error of the decoder.
        #[source]
        source: postcard::Error,
    },
    /// A field is expected to be filled in a share that is not a number from 0 to 1.
    #[error("cannot expect {field} to be filled in the share {share}: a share is a number from 0 to 1")]
    Expectation {
        /// The field.
        field: String,
        /// The share.
        share: f64,
    },
    /// HTTP does not allow the user agent.
    #[error("cannot send {user_agent:?} as the user agent")]
    UserAgent {
        /// The user agent.
        user_agent: String,
        /// The reason: the error of the HTTP library.
        #[source]
        source: http::header::InvalidHeaderValue,
    },
    /// A memory limit is set, but the operating system does not report how much memory a process uses.
    #[error("cannot keep to a memory limit: this system does not say how much memory a process uses")]
    MemoryUnknown,
    /// The HTTP client could not be made.
    #[error("cannot set up the HTTP client")]
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
    /// A part of the crawl panicked, because of a bug in Opilio or in an output. If the crawl has a state directory,
    /// it can be resumed and loses nothing.
    #[error("the crawl ended early: the {name} panicked")]
    Died {
        /// The name of the part of the crawl, such as an actor.
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
