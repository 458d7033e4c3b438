//! The errors of extraction, one per correction that a caller could make: another selector, another type.
//!
//! Broken markup is not an error, since it is common on the web.

use thiserror::Error;

/// Why nothing could be extracted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A CSS selector is not valid.
    #[error(transparent)]
    Selector(#[from] SelectorError),

    /// The body is not the requested JSON.
    #[error("cannot read the body of {url} as JSON for `{wanted}`")]
    Json {
        /// The document's URL, without user name and password.
        url: String,
        /// The requested Rust type.
        wanted: &'static str,
        /// The place in the body, and what was found there.
        #[source]
        source: serde_json::Error,
    },
}

/// Why a document was not read as labelled, or not strictly. It was read nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It is no well-formed XML, and has been read as HTML: names in lower case, no CDATA.
    #[error("the document is broken XML (its tags do not match) and was read as HTML")]
    ReadAsHtml,
    /// It is no well-formed XML: tags that match nothing have been left out.
    #[error("the document is broken XML (its tags do not match) and was read up to the first fault")]
    Mended,
    /// It ends within elements, which have been closed.
    #[error("the document is XML that ends too early: it was read to its end")]
    Unfinished,
}

/// A page that has nothing where it must have something.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("nothing matches the CSS selector `{selector}`")]
pub struct NoMatch {
    /// The selector as it was given.
    pub selector: String,
}

/// A CSS selector that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot parse the CSS selector `{selector}`: {reason}")]
pub struct SelectorError {
    /// The selector as it was given.
    pub selector: String,
    /// The parser's message.
    pub reason: String,
}
