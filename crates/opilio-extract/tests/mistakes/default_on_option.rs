//! A mistake: default on option.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", default)]
    link: Option<String>,
}

fn main() {}
