//! Parsers for the notations in which a user says what to read from a page: CSS selectors, paths into JSON, forms of
//! numbers.
//!
//! `#[derive(Extract)]` checks these notations when a program is compiled, and `opilio-extract` parses them when the
//! program runs. Both use this crate, so notations that compile also work at run time, and errors have the same text
//! in both.
//!
//! This crate does not read pages.

mod not_css;
mod number_form;
mod path;
mod selector;

pub use not_css::NotCss;
pub use number_form::NumberForm;
pub use path::{PathMistake, Segment, read_path};
pub use selector::{SelectorMistake, check_selector};
