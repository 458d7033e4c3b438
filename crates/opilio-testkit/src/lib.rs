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
