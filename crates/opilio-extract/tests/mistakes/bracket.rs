//! A mistake: a bracket in a selector is not closed.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("ul > li[data-id")]
    id: String,
}

fn main() {}
