//! The errors of a store. A failed page is not an error: it is an ending.

use std::error::Error;
use std::io;
use std::time::Duration;

use opilio_core::Order;

/// Why a call of a store failed.
///
/// A failed call leaves the store as after a kill: with the whole of the call's batch, or with nothing of it.
/// A run that meets an error stops. Settled URLs stay settled, and leased ones are due again in the next run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// The store's files or its connection failed. The memory store never says this.
    #[error("cannot {doing} the frontier at {store}")]
    Io {
        /// The operation that failed, as a verb: `open`, `write`, `sync`.
        doing: &'static str,
        /// Which store: a path or an address.
        store: String,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// There is no crawl to resume: start one.
    #[error("cannot open the frontier at {store}: no crawl was started there")]
    Missing {
        /// Which store.
        store: String,
    },
    /// There is a crawl already: resume it, or choose another place.
    #[error("cannot start a crawl at {store}: there is one already. Resume it, or use another directory")]
    Exists {
        /// Which store.
        store: String,
    },
    /// Another process uses this crawl: wait for it, or stop it.
    #[error("cannot open the frontier at {store}: another process uses it")]
    InUse {
        /// Which store.
        store: String,
    },
    /// The crawl belongs to another spider.
    #[error(
        "cannot open the frontier at {store}: it belongs to the spider `{found}`, not to `{wanted}` (a spider that moved keeps its name by `Spider::name`)"
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
        "cannot open the crawl at {store}: it was started with version {found} of the spider, and the spider now has version {wanted}"
    )]
    OtherVersion {
        /// Which store.
        store: String,
        /// The version that started it.
        found: u32,
        /// The version that opened the store.
        wanted: u32,
    },
    /// The crawl was started in another order. The stored data depends on the order.
    #[error("cannot open the frontier at {store}: it was started in the order `{found}`, not `{wanted}`")]
    OtherOrder {
        /// Which store.
        store: String,
        /// The order of the crawl.
        found: Order,
        /// The order of the options.
        wanted: Order,
    },
    /// Pages cannot become due again, because the store kept no history.
    #[error("cannot refresh the frontier at {store}: it keeps no history")]
    NoHistory {
        /// Which store.
        store: String,
    },
    /// The database has stalled. Acknowledged commits are safe: end the process and resume the crawl.
    #[error("cannot write the frontier at {store}: no write succeeded for {} s", waited.as_secs())]
    Stalled {
        /// Which store.
        store: String,
        /// How long the store waited.
        waited: Duration,
    },
    /// The store was written by another version of this crate.
    #[error("cannot open the frontier at {store}: its format is {found}, and this program reads {wanted}")]
    OtherFormat {
        /// Which store.
        store: String,
        /// The format of the store.
        found: u64,
        /// The format that this version writes.
        wanted: u64,
    },
    /// The stored data differs from the data that was written. Restore a copy, or start a new crawl in
    /// another place; the store is not changed.
    #[error("cannot read the frontier at {store}: it is damaged ({what})")]
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
    #[error("the frontier at {store} is not used any more: an earlier call failed")]
    Stopped {
        /// Which store.
        store: String,
    },
}
