//! A mistake: empty selector.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("")]
    name: String,
}

fn main() {}
