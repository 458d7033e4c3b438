//! A mistake: a `Vec` has the key `one`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", one)]
    links: Vec<String>,
}

fn main() {}
