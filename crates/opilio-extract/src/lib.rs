//! Reads title, links and selected text from documents.
//!
//! [`Document`] is the entry point. Every part is read when it is first needed, and only once: an unused body
//! is never decoded, and an unused DOM is never built. Title and links come from one pass over the text without a
//! DOM ([`Document::skim`]). CSS selectors build the DOM ([`Document::css`]), and from then on title and
//! links are read from it, too. XML always has a DOM: selectors work on it in the same way, and the entries
//! of a feed are its links. A body without a meaningful Content-Type is classified by its first bytes
//! ([`Document::kind`]).
//!
//! Everything is limited, since servers choose the content: the number of links of a page, the length of a
//! link, and depth and size of the DOM.
//!
//! This crate does not fetch, does not read robots.txt, and does not canonicalize URLs.
//!
//! ```
//! # mod opilio { pub use opilio_extract as extract; }
//! use opilio::extract::Document;
//! use url::Url;
//!
//! let url = Url::parse("https://shop.example/cables/")?;
//! let body = r#"<title>Cables</title> <a href="334-black">Black <b>cable</b></a>"#;
//! let page = Document::new(url, Some("text/html; charset=utf-8"), body.into());
//!
//! assert_eq!(page.title(), Some("Cables"));
//! assert_eq!(page.links()[0].url.as_str(), "https://shop.example/cables/334-black");
//! assert_eq!(page.css("a")?.text().as_deref(), Some("Black cable"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod base;
mod decode;
mod directives;
mod document;
mod dom;
mod entities;
mod error;
mod feed;
mod field;
mod field_counts;
mod form;
#[doc(hidden)]
pub mod fuzz;
mod link;
mod markup;
mod media;
mod prescan;
mod refresh;
mod select;
mod skim;
mod sniff;
mod srcset;
mod text;
#[cfg(feature = "derive")]
pub mod typed;
mod xml;

#[cfg(test)]
mod tests;

pub use directives::{Directives, MetaRobots};
pub use document::Document;
pub use error::{ExtractError, Flaw, NoMatch, SelectorError};
pub use field::{Count, Field, FieldError, FieldReadError, NamedField, Part, Value};
pub use field_counts::FieldCounts;
pub use form::{Form, FormError, Submission};
#[cfg(feature = "derive")]
pub use jiff;
pub use link::{LINK_BYTES_MAX, LINKS_MAX, Link, LinkKind, RawLink, join};
pub use media::Kind;
#[cfg(feature = "derive")]
#[doc(hidden)]
pub use opilio_extract_derive::Extract as ExtractOfFacade;
#[cfg(feature = "derive")]
#[doc(inline)]
pub use opilio_extract_derive::ExtractHere as Extract;
#[doc(inline)]
pub use opilio_extract_grammar::NotCss;
#[cfg(feature = "derive")]
pub use rust_decimal::Decimal;
pub use select::{Element, Iter, Matches};
pub use skim::{Cut, Skim, TITLE_BYTES_MAX};
#[cfg(feature = "derive")]
pub use typed::{Currency, Extract, ExtractEach, ExtractFaults, FieldFault, Price};

/// The code of the derive macro names this crate `opilio_extract`. With this alias, it also compiles in this crate's
/// own tests.
#[cfg(all(test, feature = "derive"))]
extern crate self as opilio_extract;
