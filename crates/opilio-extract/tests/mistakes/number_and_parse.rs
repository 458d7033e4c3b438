//! A mistake: a source has both `number` and `parse`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", number = "1,234.56", parse)]
    a: u8,
}

fn main() {}
