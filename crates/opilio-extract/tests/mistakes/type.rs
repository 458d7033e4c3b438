//! A mistake: type.
use opilio_extract::Extract;
#[derive(Extract)]
struct Product {
    #[css("a")]
    a: std::net::IpAddr,
}

fn main() {}
