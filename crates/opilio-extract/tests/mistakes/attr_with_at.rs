//! A mistake: attr with at.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", attr = "@href")]
    link: String,
}

fn main() {}
