//! A mistake: `default` is written at a source that is not the last source of its field.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", default)]
    #[css("b")]
    link: String,
}

fn main() {}
