//! A spider for small crawls that is made from one closure, which reads every page.

use serde_json::Value;

use crate::page::Page;
use crate::request::{Request, Target};
use crate::spider::{Found, ParseError, Spider};

type Each = dyn Fn(&Page<()>, &mut Found<EachPage>) -> Result<(), ParseError> + Send + Sync;

/// A spider that is made from a closure. It has no steps, and its items are JSON values.
pub struct EachPage {
    seeds: Vec<Target>,
    read: Box<Each>,
}

impl EachPage {
    /// Makes a spider that begins at the given URLs and calls the closure for every page.
    pub fn new<F>(seeds: Vec<Target>, read: F) -> Self
    where
        F: Fn(&Page<()>, &mut Found<Self>) -> Result<(), ParseError> + Send + Sync + 'static,
    {
        Self { seeds, read: Box::new(read) }
    }
}

impl Spider for EachPage {
    type Item = Value;
    type Step = ();

    fn name(&self) -> &str {
        "each-page"
    }

    fn seeds(&self) -> Vec<Request<()>> {
        self.seeds.iter().cloned().map(|url| Request::get(url, ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        (self.read)(page, found)
    }
}
