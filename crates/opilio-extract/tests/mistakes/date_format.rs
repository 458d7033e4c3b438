//! A mistake: date formats are written in the notation of another tool, or with an unknown directive.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a", date = "dd.MM.yyyy")]
    a: opilio_extract::jiff::civil::Date,
    #[css("a", date = "%d.%m.%E")]
    b: opilio_extract::jiff::civil::Date,
}

fn main() {}
