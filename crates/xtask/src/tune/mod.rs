//! Scenarios of politeness in virtual time, over many seeds. The gate, the reading of headers and the retry
//! decision are the real ones; the server is simulated by the sandbox's rules.
//!
//! The crawler has to learn limits that a server does not state. One run does not show how well it learns, so the
//! goals are asserted for the worst of all seeds.

mod fair;
mod scenarios;
mod world;

pub(crate) use scenarios::run;
