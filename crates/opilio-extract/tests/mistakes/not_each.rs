//! A mistake: a struct without `each` is read several times from a page, and one without `Extract` is read.
use opilio_extract::{Document, Extract};
#[derive(Extract)]
struct A {
    #[css("a")]
    a: String,
}

struct B;

fn read(page: &Document) {
    let _ = page.extract_all::<A>();
    let _ = page.extract::<B>();
}

fn main() {}
