//! A mistake: enum.
use opilio_extract::Extract;
#[derive(Extract)]
enum Product {
    A,
}

fn main() {}
