//! Scenarios of politeness in virtual time, each with many seeds. The host's state machine, the code that reads HTTP
//! headers and the retry decision are those of a real crawl; the server is simulated by the crate `opilio-sandbox`.
//!
//! The crawler has to learn limits that a server does not state. A single run does not show how well the crawler
//! learns, so the requirements have to be met in the worst run over all seeds.

mod fair;
mod scenarios;
mod world;

pub(crate) use scenarios::run;
