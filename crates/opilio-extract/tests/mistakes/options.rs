//! A mistake: the options above structs are wrong.
use opilio_extract::Extract;
#[derive(Extract)]
#[extract(eech = ".card")]
struct A {
    #[css("a")]
    a: String,
}

#[derive(Extract)]
#[extract(key = "skv")]
struct B {
    #[css("a")]
    sku: String,
}

#[derive(Extract)]
#[extract(each = ".card::text")]
struct C {
    #[css("a")]
    a: String,
}

fn main() {}
