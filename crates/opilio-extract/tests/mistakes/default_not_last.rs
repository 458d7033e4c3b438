//! A mistake: default not last.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", default)]
    #[css("b")]
    link: String,
}

fn main() {}
