//! A mistake: tuple.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product(String);

fn main() {}
