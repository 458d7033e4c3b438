//! What a site says to crawlers: bytes in, rules and seeds out.
//!
//! - [`Robots`] reads a robots.txt (RFC 9309) and says which paths are allowed.
//! - [`sitemap::read`] streams the entries of a sitemap: XML, index, text, RSS, Atom, gzipped or not.
//!
//! This crate fetches nothing, knows no clock and no runtime: when a robots.txt is fetched, how long
//! it holds and what an unreachable one means is decided by its callers.

#[doc(hidden)]
pub mod fuzz;
mod rules;
pub mod sitemap;

pub use rules::{ROBOTS_BYTES_MAX, Robots, STARRED_MAX, Summary, product_token};
