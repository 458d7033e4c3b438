//! A mistake: two pieces.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", attr = "href", html)]
    link: String,
}

fn main() {}
