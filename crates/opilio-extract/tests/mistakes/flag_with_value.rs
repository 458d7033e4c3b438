//! A mistake: flag with value.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", html = true)]
    link: String,
}

fn main() {}
