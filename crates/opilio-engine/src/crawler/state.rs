//! Where the crawl is kept, and how a later run goes on with it: the methods that set
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

/// Where the crawl is kept, and how it is gone on with.
impl<S: Spider> Crawler<S> {
    /// Another store than the one in memory. If it holds a crawl, this run goes on with that crawl. The store has an
    /// order and caps of its own.
    #[must_use]
    pub fn frontier(mut self, store: impl Frontier + 'static) -> Self {
        self.state.store = Store::Own(Box::new(store));
        self
    }

    /// Keeps the crawl in a directory, so that a later run can go on with it, and memory does not grow with
    /// the URLs that it knows. Even if the process is killed, each page is fetched at least once and
    /// written exactly once.
    ///
    /// A directory that does not exist is made. One that holds a crawl is an error, unless
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
        self.state.store = Store::Directory(dir.into());
        self
    }

    /// Goes on with the crawl that the state directory holds; begins one if the directory holds none and all
    /// outputs are empty.
    ///
    /// The spider's name and version and the outputs must be those of the crawl; all other settings
    /// may differ. Output files are cut back to what was committed. An output that cannot be cut
    /// back (stdout) gets the rows of the last moments before a kill twice; after a run that ended in order,
    /// stopped early or not, it gets each row once.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.state.resume = true;
        self
    }

    /// Tries all failures of a resumed crawl again, each with all its attempts. By default only the
    /// failures of hosts that were put aside are tried again, once their time is over.
    ///
    /// Hosts that were put aside because they did not answer are asked again, by one probe each. A host that asked for
    /// a wait longer than its longest hold is sent nothing until that wait is over, and a warning names it.
    #[must_use]
    pub fn retry_failed(mut self) -> Self {
        self.state.try_again = TryAgain::Everything;
        self
    }

    /// Keeps when each page was fetched, and the validators of its answer (some 60 bytes a page), so that a resumed
    /// crawl can [refresh](Self::refresh) it. To be set from the first run on: pages of runs without it cannot be
    /// refreshed.
    #[must_use]
    pub fn history(mut self) -> Self {
        self.state.history = true;
        self
    }

    /// Makes all pages of a resumed crawl due again that were fetched longer than `age` ago, and
    /// keeps a [history](Self::history). Servers are asked whether a page has changed;
    /// [`Page::is_unchanged`](crate::Page::is_unchanged) tells the spider.
    #[must_use]
    pub fn refresh(mut self, age: Duration) -> Self {
        self.state.refresh = Some(age);
        self.history()
    }

    /// How much of a crawl with a [`state`](Self::state) directory a power cut may lose: by default its last second.
    /// A kill of the process loses nothing, whatever is chosen.
    #[cfg(feature = "disk")]
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.state.durability = durability;
        self
    }

    /// The order in which the URLs of a host and priority are fetched: by default, the fewest links from a seed first.
    /// A resumed crawl must have the same order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.state.order = order;
        self
    }
}
