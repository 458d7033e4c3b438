//! The types that users of Opilio write spiders with, and the rules that turn their results into records.
//!
//! A [`Spider`] says where to begin ([`Request`]) and reads [`Page`]s into [`Found`]. From there to the store it
//! is this crate's: which requests belong to the crawl ([`Scope`], [`TrapRules`]), which record stands for a
//! request ([`admission`]), what a record carries for the spider ([`data`]), where a redirect leads ([`redirect`]), what a sitemap
//! lists ([`listing`]), and by which names pages are merged ([`naming`]).
//!
//! Everything here computes and waits for nothing: no actor, no runtime, no socket. The actors, in `opilio-engine`,
//! carry these values and run this code. What users need is re-exported by `opilio`; the modules below are what
//! the engine needs beside it.
//!
//! | module | turns | into |
//! | --- | --- | --- |
//! | [`admission`] | requests | records, or the reason why not |
//! | [`data`] | what is special about a request | the bytes that its record carries, and back |
//! | [`step`] | a spider's step | its kept form, and back |
//! | [`prepared`] | a leased record | the request that is sent, and what its answer is read as |
//! | [`reading`] | an answer | what the spider found in it |
//! | [`context`] | a lease and its step | what is kept of it until all that it gave is handed on |
//! | [`redirect`] | an answer that redirects | the next record of its chain, or why it ends |
//! | [`listing`] | a sitemap | records |
//! | [`memo`] | a passivated host's memo and rules | the bytes that the store keeps, and back |
//! | [`run_history`] | the notes of earlier runs | what this run begins with, and notes in its turn |
//! | [`naming`], [`same`], [`taken`] | a page | the names that it shares with other pages |
//! | [`rules`] | an answer to a request for robots.txt | what the host may start |
//! | [`slow`] | the time that `parse` took | whether pages of this step are parsed on another thread |
//! | [`known`] | admissions | a warning where one URL is requested with two steps |

pub mod admission;
pub mod context;
pub mod data;
mod error;
mod header;
mod host_settings;
pub mod known;
pub mod listing;
pub mod memo;
pub mod naming;
mod page;
mod pattern;
pub mod prepared;
pub mod reading;
pub mod redirect;
mod report;
mod request;
pub mod rules;
pub mod run_history;
pub mod same;
mod scope;
mod session;
pub mod slow;
mod spider;
pub mod step;
pub mod taken;
mod trap;

pub use admission::SeedError;
pub use error::CrawlError;
pub use header::{BadHeader, header};
pub use host_settings::{HostSettings, HostTable};
pub use opilio_core::BadHostPattern;
pub use page::{Answer, BodyShare, Failure, Page, PageFacts};
pub use pattern::PatternError;
pub use report::{CrawlReport, FAILURES_MAX, FAILURES_NAMED, FailureRecord, Stopped, Unwritten};
pub use request::{BadUrl, Request, Target};
pub use scope::{Elsewhere, Follow, Hosts, Scope};
pub use session::{BadSession, Login, Logins, Session, is_credential, log_in};
pub use spider::{Found, ParseError, Spider, parse_page};
pub use step::StepError;
pub use trap::TrapRules;
