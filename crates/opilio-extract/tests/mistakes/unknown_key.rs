//! A mistake: unknown key.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", atr = "href")]
    link: String,
}

fn main() {}
