//! A mistake: no default.
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
