//! The errors of a store. A page that fails is not an error of the store, because a failure is one of the ways in
//! which a lease ends.

use std::error::Error;
use std::io;
use std::time::Duration;

use opilio_core::Order;

/// Why a call of a store failed.
///
/// After a failed call, the store holds either the whole batch of the call or nothing of it, as after a kill. A run
/// ends at the first error. Settled URLs stay settled, and leased URLs are due again in the next run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrontierError {
    /// The files of the store, or its connection, failed. The store in memory never returns this error.
    #[error("cannot {doing} the frontier at {store}")]
    Io {
        /// The operation that failed, as a verb: `open`, `write`, `sync`.
        doing: &'static str,
        /// The path or address of the store.
        store: String,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// There is no crawl to resume. The user has to start a crawl instead.
    #[error("cannot open the frontier at {store}: no crawl was started there")]
    Missing {
        /// The path or address of the store.
        store: String,
    },
    /// There is a crawl already. The user can resume it, or choose another directory.
    #[error("cannot start a crawl at {store}: there is one already. Resume it, or use another directory")]
    Exists {
        /// The path or address of the store.
        store: String,
    },
    /// Another process uses this crawl. The user can wait for that process, or stop it.
    #[error("cannot open the frontier at {store}: another process uses it")]
    InUse {
        /// The path or address of the store.
        store: String,
    },
    /// The crawl belongs to another spider.
    #[error(
        "cannot open the frontier at {store}: it belongs to the spider `{found}`, not to `{wanted}` (a spider that moved keeps its name by `Spider::name`)"
    )]
    OtherSpider {
        /// The path or address of the store.
        store: String,
        /// The name of the spider that the crawl belongs to.
        found: String,
        /// The name of the spider that tried to open the store.
        wanted: String,
    },
    /// The crawl was started with another version of the spider, which may have encoded its data in another
    /// way.
    #[error(
        "cannot open the crawl at {store}: it was started with version {found} of the spider, and the spider now has version {wanted}"
    )]
    OtherVersion {
        /// The path or address of the store.
        store: String,
        /// The version of the spider with which the crawl was started.
        found: u32,
        /// The version of the spider that tried to open the store.
        wanted: u32,
    },
    /// The crawl was started in another order. The stored data depends on the order.
    #[error("cannot open the frontier at {store}: it was started in the order `{found}`, not `{wanted}`")]
    OtherOrder {
        /// The path or address of the store.
        store: String,
        /// The order in which the crawl was started.
        found: Order,
        /// The order in the options of the run that tried to open the store.
        wanted: Order,
    },
    /// Pages cannot become due again, because the store was opened without a history, which records when each page
    /// was fetched.
    #[error("cannot fetch pages of the crawl at {store} again: the store was opened without a history")]
    NoHistory {
        /// The path or address of the store.
        store: String,
    },
    /// The database has stalled: its threads no longer write. Acknowledged commits are safe. The user should end the
    /// process and resume the crawl.
    #[error("cannot write the frontier at {store}: no write succeeded for {} s", waited.as_secs())]
    Stalled {
        /// The path or address of the store.
        store: String,
        /// How long the call waited.
        waited: Duration,
    },
    /// The store was written by another version of this crate, in another format.
    #[error("cannot open the frontier at {store}: its format is {found}, and this program reads {wanted}")]
    OtherFormat {
        /// The path or address of the store.
        store: String,
        /// The format number of the store.
        found: u64,
        /// The format number that this version reads and writes.
        wanted: u64,
    },
    /// The stored data is not what the store wrote. The store does not repair it: the user can restore a backup, or
    /// start a new crawl in another directory.
    #[error("cannot read the frontier at {store}: it is damaged ({what})")]
    Damaged {
        /// The path or address of the store.
        store: String,
        /// A description of the damage.
        what: String,
        /// The error of the database.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// An earlier call failed, so that the data in memory may differ from the disk. The store has to be opened again.
    #[error("the frontier at {store} is not used any more: an earlier call failed")]
    Stopped {
        /// The path or address of the store.
        store: String,
    },
}
