//! A mistake: the key `attr` has no value.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", attr)]
    link: String,
}

fn main() {}
