//! Tests of spiders that need no network and hardly any real time.
//!
//! A [`Web`] is a scripted web. Its hosts are servers of `opilio-sandbox`, which have limits, refusals and
//! faults, so the server itself observes whether the crawl is polite. [`crawl`] runs a spider on this web in
//! virtual time: a wait of an hour passes at once. The result is a [`TestRun`]: the report, the items, and
//! the [`WebLog`] of all requests.
//!
//! ```
//! use opilio_testkit::prelude::*;
//!
//! struct Titles;
//!
//! impl Spider for Titles {
//!     type Item = String;
//!     type Step = ();
//!
//!     fn seeds(&self) -> Vec<Request<()>> {
//!         vec![Request::get("https://shop.example/", ())]
//!     }
//!
//!     fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
//!         found.item(page.title().unwrap_or_default().to_owned());
//!         found.follow_links(page, ());
//!         Ok(())
//!     }
//! }
//!
//! # fn main() {
//! // In a project this is a plain `#[test] fn`.
//! let web = Web::new()
//!     .page("/", "<title>Lamps</title><a href=/bowl>Glass bowl</a>")
//!     .page("/bowl", "<title>Glass bowl</title>")
//!     .site(HostConfig::new().site(Site::Empty).limit(Limit::per_minute(2)));
//!
//! let run = crawl(Titles).on(web).run();
//! run.assert_finished();
//! run.assert_items(["Lamps", "Glass bowl"]);
//! run.log.assert_polite();
//! run.log.assert_requested_once("/");
//! // Robots.txt and one page use up the limit: the bowl is refused once, and comes after the rest of the minute.
//! assert_eq!(run.log.home().refused(), 1);
//! assert!(run.took >= Duration::from_secs(59));
//! # }
//! ```
//!
//! # Cassettes and snapshots
//!
//! [`TestCrawl::record`] crawls the real web and writes all exchanges to a *cassette* (a file).
//! [`TestCrawl::replaying`] answers requests from the cassette: without a network, in virtual time, at the
//! dates of the recording. [`TestRun::assert_snapshot`] compares the items with items that were accepted
//! before, field by field.
//!
//! ```no_run
//! # use opilio_testkit::prelude::*;
//! # struct Shop;
//! # impl Spider for Shop {
//! #     type Item = String;
//! #     type Step = ();
//! #     fn seeds(&self) -> Vec<Request<()>> { Vec::new() }
//! #     fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> { Ok(()) }
//! # }
//! // OPILIO_RECORD=1 cargo test lamps    records the cassette anew
//! // OPILIO_ACCEPT=1 cargo test lamps    accepts the items
//! let run = crawl(Shop).replaying("tests/cassettes/lamps.warc").run();
//! run.assert_finished();
//! run.assert_snapshot("tests/snapshots/lamps.json");
//! ```
//!
//! A cassette is a WARC 1.1 file: a request record and a response record for each exchange, in the order of
//! sending, with the bodies as they were read. Additional fields hold facts for which WARC has no field: the
//! session (`Opilio-Session`), the time up to the head of the answer (`Opilio-Latency-Ms`), and why an answer
//! broke off or did not arrive (`Opilio-Fault`, `Opilio-Phase`, `Opilio-Detail`; if there is no answer, they
//! are in a metadata record). Secrets are left out, see [`TestCrawl::keeping_secrets`]. WARC files of other
//! tools can be replayed, too, also gzipped ones; their *revisit* records are skipped.

mod again;
mod crawl;
mod diff;
mod error;
mod heard;
mod log;
mod polite;
mod request_limit;
mod run;
mod snapshot;
mod stage;
mod web;

pub use crawl::{TestCrawl, crawl};
pub use error::TestCrawlError;
pub use log::{WebLog, WebRequest};
pub use opilio_cassette::CassetteError;
pub use run::TestRun;
pub use web::Web;

#[doc(no_inline)]
pub use opilio;
#[doc(no_inline)]
pub use opilio_sandbox as sandbox;

/// The names that a test of a spider usually needs, including the prelude of the crate `opilio`.
pub mod prelude {
    pub use crate::{TestCrawl, TestRun, Web, WebLog, WebRequest, crawl};
    pub use opilio::core::{Host, Reason};
    pub use opilio::extract::{Decimal, Extract, Price};
    pub use opilio::prelude::{
        AddressPolicy, Backoff, CrawlError, CrawlReport, Crawler, Csv, Deserialize, Failure, Follow, Found,
        HostPolicy, JsonLines, Limits, Page, ParseError, Request, RetryPolicy, Scope, Serialize, Spider, Url,
        json, per_hour, per_minute, per_second,
    };
    pub use opilio::{Stopped, parse_page};
    pub use opilio_sandbox::{
        Dialect, Edition, Fault, HostConfig, Limit, PageWriter, RefusalForm, Site, Trigger,
    };
    pub use std::time::Duration;

    /// One minute, so that a test can write `30 * MINUTE`.
    pub const MINUTE: Duration = Duration::from_secs(60);
    /// One hour.
    pub const HOUR: Duration = Duration::from_secs(3_600);
}
