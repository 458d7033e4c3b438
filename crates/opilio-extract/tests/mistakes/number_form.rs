//! A mistake: the example of a form of numbers could mean two forms.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", number = "1,234")]
    a: u32,
}

fn main() {}
