//! A mistake: not each.
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
