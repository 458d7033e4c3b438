//! A mistake: a selector contains jQuery's `:eq`.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("li:eq(2)")]
    third: String,
}

fn main() {}
