//! A mistake: an enum derives `Extract`.
use opilio_extract::Extract;
#[derive(Extract)]
enum Product {
    A,
}

fn main() {}
