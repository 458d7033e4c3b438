//! Tests of the commands of a spider's program, run as a process against the sandbox.
//!
//! The process that the tests start is this test binary itself: its tests `the_program` are the programs, if an
//! environment variable is set.

#![allow(clippy::unwrap_used, reason = "tests")]
#![cfg(unix)]

mod check;
mod drift;
mod parse;
mod record;
mod requests;
mod run;
mod schema;
mod shop;
mod support;
