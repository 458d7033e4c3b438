//! A mistake: option of vec.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a")]
    a: Option<Vec<String>>,
}

fn main() {}
