//! A mistake: source above struct.
use opilio_extract::Extract;
#[derive(Extract)]
#[css(".card")]
struct Product {
    #[css("a")]
    a: String,
}

fn main() {}
