//! The spider of the benchmark: it fetches the URLs of a scenario, and writes a row for each URL that ends as a page.

use std::collections::BTreeMap;

use opilio::{Found, Page, ParseError, Request, Spider};
use serde::{Deserialize, Serialize};

pub(super) struct UrlList {
    pub(super) seeds: Vec<Request<u32>>,
    /// For each listing, given by its index in the scenario's list of URLs, the requests that the spider makes when
    /// the listing has arrived.
    pub(super) found: BTreeMap<u32, Vec<Request<u32>>>,
}

/// The row of a URL that ended as a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct FetchedPage {
    pub(super) place: u32,
    pub(super) attempts: u16,
}

impl UrlList {
    /// Creates the spider. The first `listings` requests are for pages that link to the other requests' pages, each
    /// to an equal part of them. With 0, all requests are seeds.
    pub(super) fn new(mut requests: Vec<Request<u32>>, listings: usize) -> Self {
        if listings == 0 {
            return Self { seeds: requests, found: BTreeMap::new() };
        }
        let others = requests.split_off(listings.min(requests.len()));
        let each = others.len().div_ceil(listings).max(1);
        let found = (0..).zip(others.chunks(each).map(<[_]>::to_vec)).collect();
        Self { seeds: requests, found }
    }
}

impl Spider for UrlList {
    type Item = FetchedPage;
    type Step = u32;

    fn seeds(&self) -> Vec<Request<u32>> {
        self.seeds.clone()
    }

    fn parse(&self, page: &Page<u32>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(FetchedPage { place: *page.step(), attempts: page.attempts() });
        for request in self.found.get(page.step()).into_iter().flatten() {
            found.request(request.clone());
        }
        Ok(())
    }
}
