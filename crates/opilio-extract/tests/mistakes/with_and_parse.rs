//! A mistake: a source has both `with` and `parse`.
use opilio_extract::Extract;
fn f(_: &str) -> Result<u8, String> {
    Ok(1)
}

#[derive(Extract)]
struct Product {
    #[css("a", with = f, parse)]
    a: u8,
}

fn main() {}
