//! A mistake: scrapy attr.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a.next::attr(href)")]
    next: String,
}

fn main() {}
