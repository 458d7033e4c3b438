//! What can go wrong with a store. How a page failed is never an error: that is an ending.

use std::io;

/// Why a store could not do what it was asked.
///
/// The call that failed changed nothing, or the crash model covers what it changed. A run that
/// meets one stops cleanly: what was settled stays settled, what was out comes back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// The store's files or its connection failed. The memory store never says this.
    #[error("{doing} the frontier at {store}")]
    Io {
        /// What was being done, as a verb: `open`, `write`, `sync`.
        doing: &'static str,
        /// Which store: a path or an address.
        store: String,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}
