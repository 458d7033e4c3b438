//! A mistake: one on vec.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", one)]
    links: Vec<String>,
}

fn main() {}
