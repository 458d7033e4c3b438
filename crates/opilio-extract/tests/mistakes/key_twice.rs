//! A mistake: a key is written twice.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", re = "a", re = "b")]
    link: String,
}

fn main() {}
