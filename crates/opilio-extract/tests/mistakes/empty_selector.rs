//! A mistake: a selector is empty.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("")]
    name: String,
}

fn main() {}
