//! A mistake: a field has no source.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    name: String,
}

fn main() {}
