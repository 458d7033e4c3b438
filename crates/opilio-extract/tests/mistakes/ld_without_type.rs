//! A mistake: the type of the JSON-LD object is missing.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[ld("sku")]
    sku: String,
    #[micro("offers.price")]
    price: String,
}

fn main() {}
