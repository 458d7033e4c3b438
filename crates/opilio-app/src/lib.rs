//! The program around a spider: what `opilio crawl` and a spider's own program have in common.
//!
//! It knows clap, the terminal and signals; the crates below it do not. No rule of politeness is here: what the
//! engine decides, this only words.

mod app;
pub mod descriptors;
pub mod exit;
pub mod logs;
pub mod output;
pub mod program;
pub mod progress;
pub mod report_file;
pub mod settings;
pub mod signal;
pub mod state;
pub mod summary;
pub mod unit;
pub mod watch;

pub use app::{App, main};
/// Flags of a program's own are written with it.
pub use clap;
