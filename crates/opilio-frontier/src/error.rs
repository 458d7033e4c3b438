//! What can go wrong with a store. How a page failed is never an error: that is an ending.

use std::error::Error;
use std::io;
use std::time::Duration;

use opilio_core::Order;

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
        /// The operation that failed, as a verb: `open`, `write`, `sync`.
        doing: &'static str,
        /// Which store: a path or an address.
        store: String,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// There is no crawl to go on with: start one.
    #[error("open the frontier at {store}: no crawl was started there")]
    Missing {
        /// Which store.
        store: String,
    },
    /// There is a crawl already: go on with it, or take another place.
    #[error("create a frontier at {store}: a crawl was started there before")]
    Exists {
        /// Which store.
        store: String,
    },
    /// Another process works on this crawl: wait for it, or stop it.
    #[error("open the frontier at {store}: another process uses it")]
    InUse {
        /// Which store.
        store: String,
    },
    /// The crawl is another spider's.
    #[error(
        "open the frontier at {store}: it belongs to the spider `{found}`, not to `{wanted}` (a spider that moved keeps its name by `Spider::name`)"
    )]
    OtherSpider {
        /// Which store.
        store: String,
        /// The spider that the crawl belongs to.
        found: String,
        /// The spider that opened the store.
        wanted: String,
    },
    /// The crawl was started with another version of the spider, whose encodings may differ.
    #[error(
        "open the frontier at {store}: it was started with version {found} of the spider, this is {wanted}"
    )]
    OtherVersion {
        /// Which store.
        store: String,
        /// The version that started it.
        found: u32,
        /// The version that asked.
        wanted: u32,
    },
    /// The crawl was started in another order, which is part of how it is stored.
    #[error("open the frontier at {store}: it was started in the order `{found}`, not `{wanted}`")]
    OtherOrder {
        /// Which store.
        store: String,
        /// The order that it was started in.
        found: Order,
        /// The order that was asked for.
        wanted: Order,
    },
    /// Pages cannot become due again, since nothing was kept of them.
    #[error("refresh the frontier at {store}: it keeps no history")]
    NoHistory {
        /// Which store.
        store: String,
    },
    /// The database has stalled. Acknowledged commits are safe: end the process and resume the crawl.
    #[error("write the frontier at {store}: nothing could be written for {} s", waited.as_secs())]
    Stalled {
        /// Which store.
        store: String,
        /// How long the store waited.
        waited: Duration,
    },
    /// The store was written by another version of this crate.
    #[error("open the frontier at {store}: its format is {found}, this program reads {wanted}")]
    OtherFormat {
        /// Which store.
        store: String,
        /// The format that is there.
        found: u64,
        /// The format that this version writes.
        wanted: u64,
    },
    /// The stored data differs from the data that was written. Restore a copy, or start a new crawl in
    /// another place; the store is not changed.
    #[error("read the frontier at {store}: it is damaged ({what})")]
    Damaged {
        /// Which store.
        store: String,
        /// The damage that was found.
        what: String,
        /// The error of the database.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// An earlier call failed, so that memory and disk may differ: open the store again.
    #[error("use the frontier at {store}: an earlier call failed")]
    Stopped {
        /// Which store.
        store: String,
    },
}
