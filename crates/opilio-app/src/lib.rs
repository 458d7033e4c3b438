//! The program around a spider: the common part of `opilio crawl` and a spider's own program.
//!
//! It knows clap, the terminal and signals; the crates below it do not. It holds no rule of politeness: it
//! reads settings for the engine and prints the engine's results.

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
/// A program's own flags are written with it.
pub use clap;
