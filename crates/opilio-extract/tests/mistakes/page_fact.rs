//! A mistake: the fact of a page is misspelt or missing.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[page(dept)]
    a: u16,
    #[page]
    b: u16,
}

fn main() {}
