//! A mistake: a selector contains Scrapy's `::attr`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a.next::attr(href)")]
    next: String,
}

fn main() {}
