//! A mistake: the type of a field is an `Option` of a `Vec`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a")]
    a: Option<Vec<String>>,
}

fn main() {}
