//! A mistake: paths into JSON are not valid.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[json("$.items[0]")]
    a: String,
    #[json("items.0.name")]
    b: String,
    #[ld("Product", "offers[0")]
    c: String,
}

fn main() {}
