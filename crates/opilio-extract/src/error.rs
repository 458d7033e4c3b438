//! The errors of extraction. There is one error for each thing that a caller could correct: the selector, or the
//! type.
//!
//! Broken markup is not an error, since it is common on the web.

use thiserror::Error;

/// The reason why nothing could be extracted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A CSS selector is not valid.
    #[error(transparent)]
    Selector(#[from] SelectorError),

    /// The body is not JSON of the requested type.
    #[error("cannot read the body of {url} as JSON for `{wanted}`")]
    Json {
        /// The document's URL, without user name and password.
        url: String,
        /// The requested Rust type.
        wanted: &'static str,
        /// The error of the JSON parser, with the place in the body and the reason.
        #[source]
        source: serde_json::Error,
    },
}

/// The reason why a document was not read in the way that its media type requires, or only after repairs. The
/// document was read nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The XML is not well-formed, so it was read as HTML: names are in lower case, and there is no CDATA.
    #[error("the document is broken XML (its tags do not match) and was read as HTML")]
    ReadAsHtml,
    /// The XML is not well-formed. Tags that match no other tag were left out.
    #[error("the document is broken XML (its tags do not match) and was repaired")]
    Mended,
    /// The XML ends before all its elements are closed. They were closed at the end of the document.
    #[error("the document is XML that ends too early: it was read to its end")]
    Unfinished,
}

/// The error for a page without an element that it must have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("nothing matches the CSS selector `{selector}`")]
pub struct NoMatch {
    /// The selector as the caller gave it.
    pub selector: String,
}

/// A CSS selector that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("cannot parse the CSS selector `{selector}`: {reason}")]
pub struct SelectorError {
    /// The selector as the caller gave it.
    pub selector: String,
    /// The parser's message.
    pub reason: String,
}
