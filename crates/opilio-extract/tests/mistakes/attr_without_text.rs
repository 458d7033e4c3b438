//! A mistake: attr without text.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", attr)]
    link: String,
}

fn main() {}
