//! The notations in which a user says what to read from a page: CSS selectors, paths into JSON, forms of numbers.
//!
//! `#[derive(Extract)]` checks them when a program is compiled, and `opilio-extract` reads them when it runs. Both
//! use this crate, so what compiles also runs, and both give the same reasons.
//!
//! Nothing here reads a page.

mod not_css;
mod number_form;
mod path;
mod selector;

pub use not_css::NotCss;
pub use number_form::NumberForm;
pub use path::{PathMistake, Segment, read_path};
pub use selector::{SelectorMistake, check_selector};
