//! A mistake: a selector contains a pseudo-class that depends on a user.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("ul li:hover b")]
    b: String,
}

fn main() {}
