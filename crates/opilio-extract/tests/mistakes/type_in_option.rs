//! A mistake: a field is an `Option` of a type that cannot be read.
use opilio_extract::Extract;
struct Other;

#[derive(Extract)]
struct Product {
    #[css("a")]
    a: Option<Other>,
}

fn main() {}
