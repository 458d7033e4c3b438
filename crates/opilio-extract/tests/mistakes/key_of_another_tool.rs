//! A mistake: key of another tool.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", regex = "(.*)")]
    a: String,
    #[css("a", href)]
    b: String,
}

fn main() {}
