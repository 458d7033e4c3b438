//! A mistake: a selector ends in `::html`, which is not CSS.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("div.body::html")]
    body: String,
}

fn main() {}
