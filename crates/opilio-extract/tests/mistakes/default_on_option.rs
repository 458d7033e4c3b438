//! A mistake: an `Option` has a `default`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", default)]
    link: Option<String>,
}

fn main() {}
