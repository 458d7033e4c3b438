//! Scenarios of politeness in virtual time: the real gate, the real reading of headers and the real
//! retry decision against the sandbox's rules, over many seeds.
//!
//! What a server does not tell has to be learnt, and how well that works cannot be seen from one
//! run: the goals are asserted for the worst of all seeds.

mod fair;
mod scenarios;
mod world;

pub(crate) use scenarios::run;
