//! A mistake: wrong function.
use opilio_extract::Extract;
fn g(_: &str) -> u8 {
    1
}

#[derive(Extract)]
struct Product {
    #[css("a", with = g)]
    a: u8,
}

fn main() {}
