//! The types that users of Opilio write spiders with, and the rules that turn a spider's results into records.
//!
//! A [`Spider`] names the seeds ([`Request`]) and turns [`Page`]s into [`Found`]. This crate also holds the rules
//! between a spider and the store: which requests belong to the crawl ([`Scope`], [`TrapRules`]), which record is
//! stored for a request ([`admission`]), which data a record holds for the spider ([`data`]), where a redirect leads
//! ([`redirect`]), which URLs a sitemap lists ([`listing`]), and how duplicates of a page are recognised
//! ([`naming`]).
//!
//! The code of this crate only computes and never waits: it has no actors, no runtime and no sockets. The actors in
//! `opilio-engine` call this code. The crate `opilio` re-exports the types that users need; the engine uses the
//! modules below.
//!
//! | module | turns | into |
//! | --- | --- | --- |
//! | [`admission`] | requests | records for the store, or the reason of a refusal |
//! | [`data`] | the options of a request | the bytes that its record holds, and back |
//! | [`step`] | a spider's step | the form in which the store keeps it, and back |
//! | [`prepared`] | a leased record | the request to send, and how its answer is read |
//! | [`reading`] | an answer | the items and requests of the spider |
//! | [`context`] | a lease and its step | the facts that are kept until the result of the lease is stored |
//! | [`redirect`] | an answer that redirects | the record of the redirect's target, or why the chain ends |
//! | [`listing`] | a sitemap | records |
//! | [`memo`] | the state (`HostMemo`) and robots.txt rules of a host | the bytes that the store keeps, and back |
//! | [`counts`] | the counts of shards and of the store | the totals of all runs |
//! | [`coverage`] | what `parse` found for the fields of structs | the counts of all runs, and whether they are as expected |
//! | [`run_history`] | the notes of earlier runs | the state that this run begins with, and the notes of this run |
//! | [`results`] | the items and requests of the spider | the result of a lease |
//! | [`parsed`] | a lease and the results of its page | how the store records the end of the lease |
//! | [`naming`], [`same`], [`taken`] | a page | its names: the values by which duplicates are recognised |
//! | [`attempts`] | the leases that a host has started | those leases that newer robots.txt rules forbid |
//! | [`rules`] | an answer to a request for robots.txt | the leases that the host may start |
//! | [`slow`] | the time that `parse` took | whether pages of this step are parsed on another thread |
//! | [`state`] | the place where a crawl is stored | an open store |
//! | [`known`] | admissions | a warning if one URL is requested with two steps |

pub mod admission;
pub mod attempts;
pub mod context;
pub mod counts;
pub mod coverage;
pub mod data;
mod each_page;
mod error;
mod header;
mod host_settings;
pub mod known;
pub mod listing;
pub mod memo;
pub mod naming;
mod page;
mod page_builder;
pub mod parsed;
mod pattern;
pub mod prepared;
pub mod reading;
pub mod redirect;
mod report;
mod request;
pub mod results;
pub mod rules;
pub mod run_history;
pub mod same;
mod scope;
mod session;
pub mod slow;
mod snapshot;
mod spider;
pub mod state;
pub mod step;
pub mod taken;
mod trap;

pub use admission::SeedError;
pub use coverage::{Expectation, Shortfall, ShortfallReason};
pub use each_page::EachPage;
pub use error::CrawlError;
pub use header::{BadHeader, header};
pub use host_settings::{HostSettings, HostTable};
pub use opilio_core::BadHostPattern;
pub use opilio_extract::FieldCounts;
pub use page::{Answer, BodyShare, Failure, Page, PageFacts};
pub use page_builder::{BadPage, PageBuilder};
pub use pattern::PatternError;
pub use report::{CrawlReport, FAILURES_MAX, FAILURES_NAMED, FailureRecord, Progress, Stopped, Unwritten};
pub use request::{BadUrl, Request, Target};
pub use scope::{Elsewhere, Follow, Hosts, Scope};
pub use session::{BadSession, Login, Logins, Session, is_credential, log_in};
pub use snapshot::{HostStatus, PartSnapshot, Snapshot};
pub use spider::{Found, ParseError, Spider, parse_page, read_failure};
pub use step::StepError;
pub use trap::TrapRules;
