//! A mistake: default on vec.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", default)]
    link: Vec<String>,
}

fn main() {}
