//! A mistake: a source is written above the struct instead of a field.
use opilio_extract::Extract;
#[derive(Extract)]
#[css(".card")]
struct Product {
    #[css("a")]
    a: String,
}

fn main() {}
