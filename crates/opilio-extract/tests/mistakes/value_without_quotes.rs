//! A mistake: value without quotes.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a[data-x=1]")]
    x: String,
}

fn main() {}
