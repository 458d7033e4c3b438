//! A mistake: a selector is written in XPath.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("//a/@href")]
    link: String,
}

fn main() {}
