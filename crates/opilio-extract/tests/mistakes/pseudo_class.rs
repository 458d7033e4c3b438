//! A mistake: pseudo class.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("ul li:hover b")]
    b: String,
}

fn main() {}
