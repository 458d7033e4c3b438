//! A mistake: a selector contains jQuery's `:contains`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("li:contains('SKU')")]
    sku: String,
}

fn main() {}
