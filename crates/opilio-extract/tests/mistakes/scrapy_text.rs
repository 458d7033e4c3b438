//! A mistake: a selector contains Scrapy's `::text`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("h1::text")]
    name: String,
}

fn main() {}
