//! A mistake: a tuple struct derives `Extract`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product(String);

fn main() {}
