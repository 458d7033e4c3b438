//! A mistake: a struct with several mistakes, all of which are reported at once.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("h1::text")]
    name: String,
    price: f64,
    #[css("a[", attr = "href")]
    link: Option<String>,
    #[css("b", defualt)]
    b: String,
}

fn main() {}
