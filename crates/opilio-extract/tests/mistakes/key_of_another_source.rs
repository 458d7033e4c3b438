//! A mistake: key of another source.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[ld("Product", "name", attr = "x")]
    name: String,
}

fn main() {}
