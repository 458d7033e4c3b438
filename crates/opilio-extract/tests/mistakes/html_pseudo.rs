//! A mistake: html pseudo.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("div.body::html")]
    body: String,
}

fn main() {}
