//! A mistake: a field has a `default`, but its type does not implement `Default`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Nothing {
    #[css("b")]
    b: String,
}

#[derive(Extract)]
struct Product {
    #[css("a", default)]
    a: Nothing,
}

fn main() {}
