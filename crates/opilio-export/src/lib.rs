//! Exporters: they write the items of a crawl to files and other places.
//!
//! An exporter has two halves. Its [`Encoder`] turns an item into bytes, on the shard that parsed the page.
//! Its [`Sink`] writes the bytes of all shards, on a thread of its own. An [`Export`] makes both; users give
//! it to the crawler:
//!
//! | export | writes |
//! | --- | --- |
//! | [`JsonLines`] | one JSON value a line, to a file, to stdout, to any writer |
//! | [`Csv`] | a header and one row an item, to the same places |
//! | [`Collect`] | JSON Lines into memory, for tests and small programs |
//!
//! [`FileStore`] stores whole bodies (images, documents) under the hash of their content.
//!
//! [`Prefix`] computes from the positions of several sinks which pages may be settled: all up to the last
//! page that every sink has written.

mod collect;
mod csv;
mod error;
mod export;
mod file;
mod files;
mod json_lines;
mod prefix;
mod sinks;
mod stream;

pub use collect::{Collect, Collected};
pub use csv::Csv;
pub use error::ExportError;
pub use export::{Encoder, Export, Sink};
pub use file::FileSink;
pub use files::{ContentHash, FileStore};
pub use json_lines::{JsonEncoder, JsonLines};
pub use prefix::{Advance, Prefix};
pub use sinks::{RowBatch, SinkAtWork, Sinks, Written};
pub use stream::StreamSink;
