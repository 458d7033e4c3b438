//! A mistake: a `Vec` has a `default`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", default)]
    link: Vec<String>,
}

fn main() {}
