//! Tests of reading fields from documents, with one test per behaviour.

#![allow(clippy::unwrap_used, reason = "tests")]

mod coverage;
mod fields;
mod linked;
mod numbers;
mod sources;
mod written;

use crate::{Document, Extract};

/// Returns a page of this HTML.
fn page(html: &str) -> Document {
    Document::new("https://shop.example/dir/page".parse().unwrap(), Some("text/html"), html.to_owned().into())
}

/// Returns a document whose body is this JSON.
fn json(body: &str) -> Document {
    let url = "https://shop.example/api".parse().unwrap();
    Document::new(url, Some("application/json"), body.to_owned().into())
}

/// Returns the texts of the faults of all fields of `T` that cannot be read.
fn faults<T: Extract>(document: &Document) -> Vec<String> {
    let Err(faults) = document.extract::<T>() else { panic!("all fields were read") };
    faults.faults().iter().map(ToString::to_string).collect()
}
