//! A mistake: the function of the key `with` does not return a `Result`.
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
