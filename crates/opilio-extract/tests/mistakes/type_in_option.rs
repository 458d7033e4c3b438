//! A mistake: type in option.
use opilio_extract::Extract;
struct Other;

#[derive(Extract)]
struct Product {
    #[css("a")]
    a: Option<Other>,
}

fn main() {}
