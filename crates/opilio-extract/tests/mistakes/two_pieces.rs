//! A mistake: a source names two parts of an element.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", attr = "href", html)]
    link: String,
}

fn main() {}
