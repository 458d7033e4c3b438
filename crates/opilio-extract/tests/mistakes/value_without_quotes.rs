//! A mistake: a value in the brackets of a selector has no quotes.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a[data-x=1]")]
    x: String,
}

fn main() {}
