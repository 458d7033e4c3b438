//! A mistake: a field has a type that cannot be read.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a")]
    a: std::net::IpAddr,
}

fn main() {}
