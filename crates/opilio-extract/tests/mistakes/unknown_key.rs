//! A mistake: the name of a key is misspelt.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", atr = "href")]
    link: String,
}

fn main() {}
