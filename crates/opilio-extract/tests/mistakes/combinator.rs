//! A mistake: a selector begins with a combinator.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("> li")]
    first: String,
}

fn main() {}
