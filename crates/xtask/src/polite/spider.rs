//! The spider of the benchmark: fetches a list, and writes which places of it ended as a page.

use opilio::{Found, Page, ParseError, Request, Spider};

pub(super) struct UrlList {
    pub(super) requests: Vec<Request<u32>>,
}

impl Spider for UrlList {
    type Item = u32;
    type Step = u32;

    fn seeds(&self) -> Vec<Request<u32>> {
        self.requests.clone()
    }

    fn parse(&self, page: &Page<u32>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.item(*page.step());
        Ok(())
    }
}
