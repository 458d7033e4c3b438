//! Measures the cost of reading structs: six CSS fields compared with the same code written by hand, and fields
//! without selectors compared with reading links. Also measures what counting the coverage of the fields adds to both.
//!
//! Run with `cargo run --release -p opilio-extract --features derive --example typed_cost`.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use opilio_extract::typed::coverage;
use opilio_extract::{Document, Extract};
use url::Url;

#[derive(Extract)]
struct Derived {
    #[css("h1.name")]
    name: String,
    #[css("p.price")]
    price: String,
    #[css("dd.sku")]
    sku: String,
    #[css("dd.stock")]
    stock: u32,
    #[css("p.description")]
    description: String,
    #[css("img.main", attr = "src")]
    image: String,
}

#[derive(Extract)]
struct Streamed {
    #[ld("Product", "name")]
    name: String,
    #[ld("Product", "offers.price")]
    price: String,
    #[meta("description")]
    description: String,
    #[page(url)]
    url: Url,
}

fn by_hand(page: &Document) -> Option<Derived> {
    let text = |css: &str| page.css(css).ok()?.text();
    Some(Derived {
        name: text("h1.name")?,
        price: text("p.price")?,
        sku: text("dd.sku")?,
        stock: text("dd.stock")?.parse().ok()?,
        description: text("p.description")?,
        image: page.css("img.main").ok()?.attr("src")?.to_owned(),
    })
}

fn html() -> String {
    let links: String = (0..60)
        .map(|n| format!("<li class=card><a href=/p/{n}>Product {n}</a> <b>{n}.99</b></li>\n"))
        .collect();
    format!(
        "<!doctype html><title>Kettle</title><meta name=description content='A kettle'>
        <script type=\"application/ld+json\">{{\"@context\":\"https://schema.org\",\"@type\":\"Product\",\"name\":\"Kettle\",
        \"image\":[\"/1.jpg\",\"/2.jpg\"],\"description\":\"It boils water.\",\"sku\":\"K-7\",\"offers\":{{\"@type\":\"Offer\",
        \"price\":\"12.50\",\"priceCurrency\":\"EUR\",\"availability\":\"https://schema.org/InStock\"}}}}</script>
        <nav><ul>{links}</ul></nav><h1 class=name>Kettle</h1><p class=price>12.50</p><img class=main src=/1.jpg>
        <dl><dt>SKU</dt><dd class=sku>K-7</dd><dt>Stock</dt><dd class=stock>7</dd></dl>
        <p class=description>{}</p>",
        "It boils water. ".repeat(100)
    )
}

/// Returns the time for one page: that of the fastest of several rounds.
fn time(mut read: impl FnMut(Document)) -> Duration {
    const PAGES: u32 = 200;
    let (url, html): (Url, bytes::Bytes) =
        (Url::parse("https://shop.example/kettle").expect("a constant"), html().into());
    let round = || {
        let begin = spent();
        for _ in 0..PAGES {
            read(Document::new(url.clone(), Some("text/html; charset=utf-8"), html.clone()));
        }
        (spent() - begin) / PAGES
    };
    std::iter::repeat_with(round).take(20).min().unwrap_or_default()
}

/// Returns the processor time that this thread has used, if the system reports it; else the time that has passed.
fn spent() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

fn main() {
    let links = time(|page| drop(black_box(page.links())));
    let both = time(|page| {
        drop(black_box(page.links()));
        drop(black_box(page.extract::<Streamed>().map(|s| (s.name, s.price, s.description, s.url))));
        assert!(!page.has_dom());
    });
    let hand = time(|page| {
        drop(black_box(by_hand(&page).map(|d| (d.name, d.price, d.sku, d.stock, d.description, d.image))))
    });
    let derived = time(|page| drop(black_box(page.extract::<Derived>().map(|d| d.stock))));
    let counted = time(|page| {
        drop(black_box(coverage::during(|| page.extract::<Derived>().map(|d| d.stock))));
    });
    let streamed = time(|page| drop(black_box(page.extract::<Streamed>().map(|s| s.price))));
    let streamed_counted = time(|page| {
        drop(black_box(coverage::during(|| page.extract::<Streamed>().map(|s| s.price))));
    });
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("links {links:?}; links and fields without selectors {both:?}: {:.3}", ratio(both, links));
    println!("six CSS fields by hand {hand:?}; derived {derived:?}: {:.3}", ratio(derived, hand));
    println!("derived, and counted {counted:?}: {:.3}", ratio(counted, derived));
    println!(
        "fields without selectors {streamed:?}, and counted {streamed_counted:?}: {:.3}",
        ratio(streamed_counted, streamed)
    );
}
