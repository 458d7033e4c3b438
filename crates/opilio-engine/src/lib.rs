//! The actors of Opilio, and the builder that users meet.
//!
//! ```text
//! seeds ─► scheduler ─► shard ─► host ─► fetcher pool ─► host ─► spider runner ─► scheduler ─► exporter
//!              ▲                   │ the retry decision flows back as a message      │
//!              └───────────────────┴──────────────── leases, settled ◄───────────────┘
//! ```
//!
//! The decisions are in `opilio-core`; what is here carries messages, timers and bytes.

mod clock;
mod crawler;
mod death;
mod error;
mod exporter;
mod extra;
mod fetcher;
mod host;
mod job;
mod launch;
mod login;
mod memory;
mod message;
mod outbox;
mod page;
mod past;
mod pattern;
mod report;
mod request;
mod runner;
mod scheduler;
mod scope;
#[cfg(test)]
mod session_tests;
mod settings;
mod shard;
mod signals;
mod spider;
mod step;
mod supervisor;
#[cfg(test)]
mod tests;
mod trap;

pub use crawler::{Crawl, Crawler, Handle};
pub use error::CrawlError;
pub use job::{EachPage, Job, crawl};
pub use login::{BadSession, Session};
/// The least that a crawl can be limited to: see [`Crawler::memory_limit`].
pub const MEMORY_LIMIT_MIN: u64 = opilio_core::intake::Intake::LIMIT_BYTES_MIN;

#[cfg(feature = "disk")]
pub use opilio_frontier::Durability;
pub use opilio_frontier::{Caps, HostCaps, Order};
pub use opilio_robots::sitemap::Entry as SitemapEntry;
pub use page::{Failure, Page};
pub use pattern::PatternError;
pub use report::{CrawlReport, FailureRecord, Stopped};
pub use request::{BadUrl, Request, Target};
pub use runner::SeedError;
pub use scope::{Follow, Scope};
pub use settings::{BadHeader, BadHostPattern, HostSettings, header};
pub use spider::{Found, ParseError, Spider, parse_page};
pub use step::StepError;
pub use supervisor::Progress;
pub use trap::TrapRules;
