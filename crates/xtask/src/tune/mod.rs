//! Scenarios of politeness in virtual time: the real gate, the real reading of headers and the real
//! retry decision against the sandbox's rules, over many seeds.
//!
//! Limits that a server does not state have to be learnt. One run does not show how well that works, so the
//! goals are asserted for the worst of all seeds.

mod fair;
mod scenarios;
mod world;

pub(crate) use scenarios::run;
