//! A mistake: a key that takes no value has a value.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", html = true)]
    link: String,
}

fn main() {}
