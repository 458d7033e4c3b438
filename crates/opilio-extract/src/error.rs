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
