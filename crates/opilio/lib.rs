//! Opilio: crawlers that are fast, and polite by construction.
//!
//! Each host has an actor that owns its rate budget and its in-flight limit; nothing reaches the
//! host except through it. When a host says "wait", the whole host waits, and no other does.
//!
//! ```no_run
//! use opilio::prelude::*;
//!
//! #[derive(Debug, Serialize)]
//! struct Product { name: String, price: String }
//!
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! enum Step { Listing, Product }
//!
//! struct Shop;
//!
//! impl Spider for Shop {
//!     type Item = Product;
//!     type Step = Step;
//!
//!     fn seeds(&self) -> Vec<Request<Step>> {
//!         vec![Request::get("https://shop.example/products", Step::Listing)]
//!     }
//!
//!     fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
//!         match page.step() {
//!             Step::Listing => {
//!                 found.follow(page, "a.product", Step::Product)?;
//!                 found.follow(page, "a.next", Step::Listing)?;
//!             }
//!             Step::Product => found.item(Product {
//!                 name: page.css("h1")?.text().unwrap_or_default(),
//!                 price: page.css(".price")?.text().unwrap_or_default(),
//!             }),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let report = Crawler::new(Shop)
//!     .host(HostPolicy::new().rate(per_minute(30)).in_flight(8))
//!     .export(JsonLines::create("products.jsonl")?)
//!     .run()
//!     .await?;
//! println!("{} pages, {} failures", report.pages, report.failures.len());
//! # Ok(())
//! # }
//! ```
//!
//! | crate | is |
//! | --- | --- |
//! | [`core`] | nouns and rules: what a host may do next, as pure state machines |
//! | [`fetch`] | the transport: limits, decoding, classification |
//! | [`extract`] | a document in; links, title, selections out |
//! | [`frontier`] | all known, unsettled URLs: the trait and the stores |
//! | [`export`] | where items go |
//! | [`robots`] | robots.txt and sitemaps |

pub use opilio_engine::*;

pub use opilio_core as core;
pub use opilio_export as export;
pub use opilio_extract as extract;
pub use opilio_fetch as fetch;
pub use opilio_frontier as frontier;
pub use opilio_robots as robots;

pub use opilio_core::{Backoff, HostPolicy, Rate, Reason, RetryPolicy, per_hour, per_minute, per_second};
pub use opilio_export::JsonLines;
pub use opilio_fetch::{AddressPolicy, Limits};
pub use serde_json::json;

/// All that a spider usually needs.
pub mod prelude {
    pub use crate::core::{Backoff, HostPolicy, RetryPolicy, per_hour, per_minute, per_second};
    pub use crate::export::JsonLines;
    pub use crate::fetch::{AddressPolicy, Limits};
    pub use crate::{
        CrawlError, CrawlReport, Crawler, Failure, Follow, Found, Page, ParseError, Request, Scope, Spider, crawl,
        json,
    };
    pub use serde::{Deserialize, Serialize};
    pub use url::Url;
}
