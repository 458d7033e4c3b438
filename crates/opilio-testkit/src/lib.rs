//! Tests of a spider that need no network and no seconds.
//!
//! A [`Web`] is a scripted web: its hosts keep the rules of `opilio-sandbox` (limits, refusals, faults), so that the
//! witness of a crawl's politeness is the server. [`crawl`] runs a spider on it in virtual time: an hour of holding
//! still passes at once. What comes back is a [`TestRun`]: the report, the items, and the [`WebLog`] of all requests.
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
//! [`TestCrawl::record`] crawls the web itself and writes what was said to a *cassette*, and [`TestCrawl::replaying`]
//! answers from it: without a network, in virtual time, at the dates of the recording. [`TestRun::assert_snapshot`]
//! compares the items with accepted ones, field by field.
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
//! A cassette is a plain WARC 1.1 file: a request record and a response record for each exchange, in the order of
//! sending, with the bodies as they are read. Fields of our own say what WARC has no field for: the session
//! (`Opilio-Session`), the time up to the head of the answer (`Opilio-Latency-Ms`), and why an answer broke off or did
//! not come (`Opilio-Fault`, `Opilio-Phase`, `Opilio-Detail`; without an answer in a metadata record). Secrets are left
//! out, see [`TestCrawl::keeping_secrets`]. WARC files of other tools are replayed, too, also gzipped; their *revisit*
//! records are passed over.

mod cassette;
mod crawl;
mod diff;
mod log;
mod polite;
mod run;
mod snapshot;
mod stage;
mod web;

pub use cassette::CassetteError;
pub use crawl::{TestCrawl, crawl};
pub use log::{WebLog, WebRequest};
pub use run::TestRun;
pub use web::Web;

#[doc(no_inline)]
pub use opilio;
#[doc(no_inline)]
pub use opilio_sandbox as sandbox;

/// All that a test of a spider usually needs, the facade's prelude included.
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
    pub use opilio_sandbox::{Dialect, Fault, HostConfig, Limit, PageWriter, RefusalForm, Site, Trigger};
    pub use std::time::Duration;

    /// Sixty seconds, for `30 * MINUTE`.
    pub const MINUTE: Duration = Duration::from_secs(60);
    /// Sixty minutes.
    pub const HOUR: Duration = Duration::from_secs(3_600);
}
