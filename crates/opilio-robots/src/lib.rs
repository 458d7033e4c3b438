//! Readers of robots.txt and of sitemaps. They turn the bytes of a file into rules, or into URLs to crawl.
//!
//! - [`Robots`] reads a robots.txt (RFC 9309) and says which paths are allowed.
//! - [`sitemap::read`] streams the entries of a sitemap: XML, index, text, RSS, Atom, gzipped or not.
//!
//! This crate fetches nothing and has neither clock nor runtime. Its callers decide when to fetch a
//! robots.txt, how long it is valid, and how to treat an unreachable one.

#[doc(hidden)]
pub mod fuzz;
mod rules;
pub mod sitemap;

pub use rules::{ROBOTS_BYTES_MAX, Robots, STARRED_MAX, Summary, product_token};
