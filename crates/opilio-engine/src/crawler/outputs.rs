//! The settings of the outputs: where items and files are written.

use opilio_export::{Encoder, Export, FileStore, Sink};
use opilio_spider::{CrawlError, Spider};

use super::Crawler;

/// The outputs of a crawl.
pub(super) struct Outputs<Item> {
    exports: Vec<Box<dyn Export<Item>>>,
    pub(super) files: Option<FileStore>,
}

impl<Item> Default for Outputs<Item> {
    fn default() -> Self {
        Self { exports: Vec::new(), files: None }
    }
}

impl<Item: 'static> Outputs<Item> {
    /// Makes the encoders of each shard, one for each output.
    pub(super) fn encoders(&self, shards: usize) -> Vec<Vec<Box<dyn Encoder<Item>>>> {
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
        self.outputs.exports.push(Box::new(export));
        self
    }

    /// Sets the store for the files that a spider keeps: see [`Found::file`](crate::Found::file).
    #[must_use]
    pub fn files(mut self, store: FileStore) -> Self {
        self.outputs.files = Some(store);
        self
    }
}
