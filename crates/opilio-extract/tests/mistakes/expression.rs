//! A mistake: regular expressions are not valid, or use look-around.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", re = "(a")]
    a: String,
    #[css("a", re = "(?<=x)a")]
    b: String,
}

fn main() {}
