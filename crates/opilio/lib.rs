//! Opilio: a framework for web crawlers that are fast, and polite to the servers that they fetch from.
//!
//! Each host has an actor (a task with its own state) that holds the host's rate limit and in-flight limit. Every
//! request to the host goes through this actor. When a host asks the crawler to wait, all requests to that host wait,
//! and no other host is affected.
//!
//! ```
//! use opilio::prelude::*;
//!
//! #[derive(Debug, Serialize)]
//! struct Product { name: String, price: String }
//!
//! #[derive(Debug, Clone, Serialize, Deserialize)]
//! enum Step { Listing, Product }
//!
//! struct Shop { base: Url }
//!
//! impl Spider for Shop {
//!     type Item = Product;
//!     type Step = Step;
//!
//!     fn seeds(&self) -> Vec<Request<Step>> {
//!         vec![Request::get(format!("{}products?category=lighting", self.base), Step::Listing)]
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
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! // A shop to practise on, on loopback.
//! let sandbox = opilio_sandbox::Sandbox::builder().host(opilio_sandbox::HostConfig::new()).start()?;
//! let base: Url = sandbox.base(0).parse()?;
//! let (output, collected) = opilio::export::Collect::new();
//!
//! let report = Crawler::new(Shop { base })
//!     .host(HostPolicy::new().rate(per_second(1_000)).in_flight(8))
//!     .addresses(AddressPolicy::allow_all())
//!     .export(output)
//!     .run()
//!     .await?;
//! assert!(report.balances() && report.failures.is_empty());
//! assert_eq!(report.items, collected.text().lines().count() as u64);
//! # Ok(()) })
//! # }
//! ```
//!
//! | crate | contains |
//! | --- | --- |
//! | [`core`] | the types and rules, as state machines without I/O: when a host may get its next request |
//! | [`fetch`] | the HTTP transport: sends requests, limits and decodes bodies, classifies failures |
//! | [`extract`] | readers for links, titles and selected elements of documents |
//! | [`frontier`] | the store of all known URLs and of how they ended: the trait and its implementations |
//! | [`export`] | the outputs, which write items to files and elsewhere |
//! | [`robots`] | readers for robots.txt and sitemaps |

#[doc(inline)]
pub use opilio_engine::*;

#[cfg(feature = "app")]
#[doc(inline)]
pub use opilio_app as app;
#[cfg(feature = "app")]
#[doc(inline)]
pub use opilio_app::{App, main};
#[doc(inline)]
pub use opilio_core as core;
#[doc(inline)]
pub use opilio_export as export;
#[doc(inline)]
pub use opilio_fetch as fetch;
#[doc(inline)]
pub use opilio_frontier as frontier;
#[doc(inline)]
pub use opilio_robots as robots;

#[cfg(feature = "derive")]
#[doc(inline)]
pub use extract::{Currency, Decimal, Extract, ExtractEach, ExtractFaults, Price, jiff};
#[doc(inline)]
pub use opilio_core::{
    Backoff, HostPolicy, OutcomeClass, Rate, Reason, RetryPolicy, Rule, Wait, per_hour, per_minute,
    per_second,
};
#[doc(inline)]
pub use opilio_export::{ContentHash, Csv, Encoder, Export, FileStore, JsonLines, Sink};
#[doc(inline)]
pub use opilio_extract::{Document, Element, Form, Link, Matches};
#[cfg(feature = "cache")]
#[doc(inline)]
pub use opilio_fetch::Cache;
#[doc(inline)]
pub use opilio_fetch::{AddressPolicy, Incoming, Limits, Middleware, Outgoing, Proxy};
pub use serde_json::json;

/// Reads documents: links, titles, selected elements, and structs that derive `Extract`.
pub mod extract {
    /// Derives an implementation of the trait of the same name.
    #[cfg(feature = "derive")]
    pub use opilio_extract::ExtractOfFacade as Extract;
    #[doc(inline)]
    pub use opilio_extract::*;
}

/// A filter for logs. At the level `INFO`, a crawl logs its start and end, the hosts that have to wait (with the
/// reason), and the URLs that failed. Libraries that Opilio uses log warnings and errors only, since the database of
/// a stored crawl otherwise logs a lot.
///
/// ```ignore
/// tracing_subscriber::fmt().with_env_filter(opilio::LOG_FILTER).init();
/// ```
pub const LOG_FILTER: &str = "info,fjall=warn,lsm_tree=warn,hyper=warn,reqwest=warn,rustls=warn";

/// JSON values, and the macro `json!`.
pub mod json {
    pub use serde_json::{Map, Number, Value, from_slice, from_str, from_value, json, to_string, to_value};
}

/// The types and functions that most spiders need.
pub mod prelude {
    pub use crate::core::{Backoff, HostPolicy, RetryPolicy, per_hour, per_minute, per_second};
    pub use crate::export::{Csv, JsonLines};
    #[cfg(feature = "derive")]
    pub use crate::extract::{Decimal, Extract, Price};
    pub use crate::fetch::{AddressPolicy, Limits};
    pub use crate::{
        CrawlError, CrawlReport, Crawler, Failure, Follow, Found, Page, ParseError, Request, Scope, Spider,
        json,
    };
    pub use serde::{Deserialize, Serialize};
    pub use url::Url;
}

/// Compiles and runs the code in the README, as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
