//! A mistake: a source has a key of another kind of source.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[ld("Product", "name", attr = "x")]
    name: String,
}

fn main() {}
