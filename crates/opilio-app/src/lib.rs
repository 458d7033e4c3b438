//! The program around a spider: the code that `opilio crawl` and a spider's own program have in common.
//!
//! This crate knows clap, the terminal and signals, which the crates below it do not. It contains no rule of
//! politeness: it reads settings for the engine and prints the engine's results.

mod app;
mod cache;
mod command;
pub mod descriptors;
pub mod exit;
mod filled;
pub mod logs;
mod observed;
pub mod output;
pub mod program;
pub mod progress;
pub mod report_file;
mod requested;
pub mod settings;
pub mod signal;
pub mod state;
pub mod status_line;
pub mod summary;
pub mod unit;
pub mod watch;

pub use app::{App, PROGRAM_MARK, main};
/// Re-exported for programs that define flags of their own.
pub use clap;
pub use command::SpiderCommand;
