//! The settings of the outputs: where items and files are written, and how full items are expected to be.

use opilio_export::{Export, FileStore, Sink};
use opilio_spider::admission::Encoders;
use opilio_spider::{CrawlError, Expectation, Spider};

use super::Crawler;

/// The settings of the outputs, but for the exports, which have the type of the spider's items.
#[derive(Default)]
pub(super) struct OutputChoices {
    pub(super) files: Option<FileStore>,
    pub(super) expectations: Vec<Expectation>,
}

impl OutputChoices {
    /// Checks that each expectation can be met.
    ///
    /// # Errors
    /// When a share is not a number from 0 to 1.
    pub(super) fn check(&self) -> Result<(), CrawlError> {
        match self.expectations.iter().find(|wanted| !wanted.is_share()) {
            Some(Expectation { field, share }) => {
                Err(CrawlError::Expectation { field: field.clone(), share: *share })
            }
            None => Ok(()),
        }
    }
}

impl<S: Spider> Crawler<S> {
    /// Makes the encoders of each shard, one for each output.
    pub(super) fn encoders(&self, shards: usize) -> Vec<Encoders<S::Item>> {
        (0..shards).map(|_| self.exports.iter().map(|export| export.encoder()).collect()).collect()
    }

    /// Opens the outputs, and returns their sinks.
    ///
    /// # Errors
    /// When an output cannot be opened, or two outputs would overwrite each other.
    pub(super) fn take_sinks(&mut self) -> Result<Vec<Box<dyn Sink>>, CrawlError> {
        let sinks: Result<Vec<_>, _> = self.exports.drain(..).map(|export| export.into_sink()).collect();
        let sinks = sinks?;
        refuse_equal(&sinks)?;
        Ok(sinks)
    }
}

/// Returns an error if two sinks have the same name or write to the same place: they would overwrite each
/// other.
fn refuse_equal(sinks: &[Box<dyn Sink>]) -> Result<(), CrawlError> {
    let same = |a: &dyn Sink, b: &dyn Sink| a.name() == b.name() || a.place() == b.place();
    for (n, sink) in sinks.iter().enumerate() {
        if let Some(other) = sinks[..n].iter().find(|other| same(&***other, &**sink)) {
            return Err(CrawlError::SameOutput { output: other.name(), other: sink.name() });
        }
    }
    Ok(())
}

/// Settings of where items and files are written.
impl<S: Spider> Crawler<S> {
    /// Adds an output for items; may be called several times.
    #[must_use]
    pub fn export(mut self, export: impl Export<S::Item>) -> Self {
        self.exports.push(Box::new(export));
        self
    }

    /// Expects a field of the structs that `parse` reads to be filled in at least this share of the values, from 0 to 1.
    /// May be called several times.
    ///
    /// The field is named `Product.price`, or only `price` if no other struct has a field of this name. A default does
    /// not count as filled. At the end the crawl compares [`CrawlReport::coverage`](crate::CrawlReport::coverage), which
    /// is the sum of all its runs since the last [`refresh`](Crawler::refresh), with the expectations: it logs an error for each one that is not met, and lists them
    /// in [`CrawlReport::shortfalls`](crate::CrawlReport::shortfalls). A name that no field has, or several have, is not
    /// met either.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_engine::*, opilio_export::*, opilio_fetch::*, opilio_export as export}; }
    /// # use opilio_extract::Extract;
    /// # use opilio_fetch::{ScriptedAnswer, ScriptedTransport};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// #[derive(Extract)]
    /// struct Product {
    ///     #[css("h1")]
    ///     name: String,
    ///     #[css(".price")]
    ///     price: Option<u32>,
    /// }
    ///
    /// let report = opilio::crawl("http://shop.example/lamp")
    ///     .each(|page, found| {
    ///         let Product { name, price } = page.extract()?;
    ///         found.item(serde_json::json!({ "name": name, "price": price }));
    ///         Ok(())
    ///     })
    ///     .expect_filled("Product.price", 0.98)
    /// #   .no_robots()
    /// #   .transport(|| std::rc::Rc::new(ScriptedTransport::new(|_, _: &_| ScriptedAnswer::page("<h1>Lamp</h1>"))))
    ///     .run()
    ///     .await?;
    /// let words = "Product.price was filled in 0 % (0 of 1), and 98 % are expected";
    /// assert_eq!(report.shortfalls[0].to_string(), words);
    /// # Ok(()) })
    /// # }
    /// ```
    #[must_use]
    pub fn expect_filled(mut self, field: impl Into<String>, share: f64) -> Self {
        self.choices.outputs.expectations.push(Expectation { field: field.into(), share });
        self
    }

    /// Sets the store for the files that a spider keeps: see [`Found::file`](crate::Found::file).
    #[must_use]
    pub fn files(mut self, store: FileStore) -> Self {
        self.choices.outputs.files = Some(store);
        self
    }
}
