//! A mistake: key twice.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", re = "a", re = "b")]
    link: String,
}

fn main() {}
