//! The settings of where the crawl is stored, and how a later run resumes it: the methods that set
//! [`opilio_spider::state::StateSettings`].

#[cfg(feature = "disk")]
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "disk")]
use opilio_frontier::Durability;
use opilio_frontier::{Frontier, Order};
use opilio_spider::Spider;
use opilio_spider::run_history::TryAgain;
use opilio_spider::state::Store;

use super::Crawler;

/// Settings of where the crawl is stored, and how it is resumed.
impl<S: Spider> Crawler<S> {
    /// Uses this store instead of the store in memory. If the store holds a crawl, this run resumes that crawl. The
    /// order of URLs and the caps of hosts are those of the store, not those of this builder.
    #[must_use]
    pub fn frontier(mut self, store: impl Frontier + 'static) -> Self {
        self.choices.state.store = Store::Own(Box::new(store));
        self
    }

    /// Stores the crawl in a directory, so that a later run can resume it, and memory does not grow with the number
    /// of known URLs. Even if the process is killed, each page is fetched at least once and written exactly once.
    ///
    /// If the directory does not exist, it is created. If it holds a crawl already, the crawl fails to start, unless
    /// [`resume`](Self::resume) is called too.
    ///
    /// ```no_run
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # async fn run<S: opilio_engine::Spider<Item = String>>(shop: S) -> Result<(), Box<dyn std::error::Error>> {
    /// use opilio::Crawler;
    /// use opilio::JsonLines;
    ///
    /// // Run it again, and it goes on where the last run stopped or was killed.
    /// let output = JsonLines::create("products.jsonl")?;
    /// let report = Crawler::new(shop).export(output).state("products.state").resume().run().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn state(mut self, dir: impl Into<PathBuf>) -> Self {
        self.choices.state.store = Store::Directory(dir.into());
        self
    }

    /// Resumes the crawl that the state directory holds. If the directory holds no crawl and all outputs are
    /// empty, a new crawl begins.
    ///
    /// The spider's name and version and the outputs must be the same as in the earlier runs; all other settings may
    /// differ. Output files are cut back to the rows that were committed. An output that cannot be cut back (stdout)
    /// gets the rows of the last moments before a kill twice. After a run that ended in order, even an early
    /// end, such an output gets each row once.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.choices.state.resume = true;
        self
    }

    /// Makes the URLs that failed in earlier runs due again, each with all its attempts. Without this call
    /// only the URLs of parked hosts are tried again, and only after the time for which their host was
    /// parked.
    ///
    /// Hosts that were parked because they did not answer are requested again, by one probe each. If a host has
    /// asked for a wait longer than its longest hold, nothing is sent to the host until that wait is over, and a
    /// warning names the host.
    #[must_use]
    pub fn retry_failed(mut self) -> Self {
        self.choices.state.try_again = TryAgain::Everything;
        self
    }

    /// Stores when each page was fetched, and the validators of its answer (some 60 bytes a page), so that a resumed
    /// crawl can [refresh](Self::refresh) the page. This has to be set from the first run on: pages of runs without
    /// it cannot be refreshed.
    #[must_use]
    pub fn history(mut self) -> Self {
        self.choices.state.history = true;
        self
    }

    /// Makes all pages of a resumed crawl due again that were fetched longer than `age` ago, and keeps a
    /// [history](Self::history). Servers are asked whether a page has changed since then;
    /// [`Page::is_unchanged`](crate::Page::is_unchanged) tells the spider. If there are such pages,
    /// [`CrawlReport::coverage`](crate::CrawlReport::coverage) begins anew, so that it is about the pages as they are
    /// now.
    #[must_use]
    pub fn refresh(mut self, age: Duration) -> Self {
        self.choices.state.refresh = Some(age);
        self.history()
    }

    /// Sets how much of a crawl with a [`state`](Self::state) directory may be lost in a power cut: by default, its
    /// last second. If only the process is killed, nothing is lost with any setting.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.choices.state.durability = durability;
        self
    }

    /// Sets the order in which the URLs of one host and one priority are fetched: by default, the URLs with the
    /// fewest links from a seed come first. A resumed crawl must have the same order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.choices.state.order = order;
        self
    }
}
