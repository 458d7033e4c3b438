//! The actors of Opilio, and the builder with which users start a crawl.
//!
//! ```text
//! seeds ─► scheduler ─► shard ─► host ─► fetcher pool ─► host ─► spider runner ─► scheduler ─► exporter
//!              ▲                   │ the retry decision flows back as a message      │
//!              └───────────────────┴──────────────── leases, settled ◄───────────────┘
//! ```
//!
//! The decisions are made in the crate `opilio-core`. This crate passes on messages, timers and bytes.

mod backlog;
mod clock;
mod context;
mod crawler;
mod death;
mod exporter;
mod fetcher;
mod host;
mod job;
mod launch;
mod memory;
mod message;
mod outbox;
mod port;
mod prepared;
mod runner;
mod scheduler;
#[cfg(test)]
mod session_tests;
mod settings;
mod shard;
mod signals;
mod supervisor;
#[cfg(test)]
mod tests;

pub use crawler::{Crawl, Crawler, Handle};
pub use job::{Job, crawl};
pub use launch::LOG_OF_REPORT;
/// The smallest memory limit that a crawl may have, in bytes: see [`Crawler::memory_limit`].
pub const MEMORY_LIMIT_MIN: u64 = opilio_core::intake::Intake::LIMIT_BYTES_MIN;

pub use message::OrderAnswer;
#[cfg(feature = "disk")]
pub use opilio_frontier::Durability;
pub use opilio_frontier::{Caps, HostCaps, Order};
pub use opilio_robots::sitemap::Entry as SitemapEntry;
pub use opilio_spider::{
    BadHeader, BadHostPattern, BadPage, BadSession, BadUrl, CrawlError, CrawlReport, EachPage, Elsewhere,
    Expectation, FAILURES_NAMED, Failure, FailureRecord, FieldCounts, Follow, Found, HostSettings,
    HostStatus, Page, PageBuilder, ParseError, PartSnapshot, PatternError, Progress, Request, Scope,
    SeedError, Session, Shortfall, ShortfallReason, Snapshot, Spider, StepError, Stopped, Target, TrapRules,
    Unwritten, header, parse_page, read_failure,
};
