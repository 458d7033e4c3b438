//! A mistake: a `String` has the key `number`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", number = "1,234.56")]
    a: String,
}

fn main() {}
