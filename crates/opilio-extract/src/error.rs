//! What a caller could do differently: another selector, another type.
//!
//! Broken markup is not an error here; it is the web.

use thiserror::Error;

/// What could not be extracted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// A CSS selector is not valid.
    #[error(transparent)]
    Selector(#[from] SelectorError),

    /// The body is not the JSON that was asked for.
    #[error("read the body of {url} as JSON for `{wanted}`")]
    Json {
        /// The document's URL, without user name and password.
        url: String,
        /// The Rust type that was asked for.
        wanted: &'static str,
        /// Where in the body, and what was found there.
        #[source]
        source: serde_json::Error,
    },
}

/// Why a document was not read as it says, or not to the letter. It was read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It is no well-formed XML, and has been read as HTML: names in lower case, no CDATA.
    #[error("it is broken XML (its tags do not match) and was read as HTML")]
    ReadAsHtml,
    /// It is no well-formed XML: tags that match nothing have been left out.
    #[error("it is broken XML (its tags do not match) and was read as far as it could be")]
    Mended,
    /// It ends within elements, which have been closed.
    #[error("it is XML that ends too early; what it has was read")]
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
#[error("parse the CSS selector `{selector}`: {reason}")]
pub struct SelectorError {
    /// The selector as it was given.
    pub selector: String,
    /// What is wrong with it.
    pub reason: String,
}
