//! A mistake: number form.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", number = "1,234")]
    a: u32,
}

fn main() {}
