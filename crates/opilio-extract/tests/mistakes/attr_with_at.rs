//! A mistake: the name of an attribute is written with `@`, as in XPath.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", attr = "@href")]
    link: String,
}

fn main() {}
