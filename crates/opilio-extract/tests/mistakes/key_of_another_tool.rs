//! A mistake: a source has keys that other tools use.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", regex = "(.*)")]
    a: String,
    #[css("a", href)]
    b: String,
}

fn main() {}
