//! Tests of the real binary with the real sandbox, on loopback. They check its output, its messages, its exit
//! codes, and the requests that the sandbox received.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]

mod cache;
mod config;
mod crawl;
mod csv;
mod depth;
mod expect;
mod explain;
mod fetch;
mod hints;
mod hostile;
mod identity;
mod input;
mod keep;
mod kill;
mod markup;
mod memory;
mod patience;
mod program;
mod project;
mod proxy;
mod redirects;
mod resume;
mod robots;
mod said;
mod sandbox;
mod sitemap;
mod stop;
mod support;
mod tools;
mod who;
mod wire;
