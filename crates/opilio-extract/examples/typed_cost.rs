//! Measures the cost of reading structs: six CSS fields compared with the same code written by hand, and fields
//! without selectors compared with reading links. Also measures what counting the coverage of the fields adds to both.
//!
//! Run with `cargo run --release -p opilio-extract --features derive --example typed_cost [FILE]`. The fields without
//! selectors are read from the HTML in the file, if one is given.

#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use opilio_extract::typed::coverage;
use opilio_extract::{Document, Extract};
use url::Url;

#[derive(Extract)]
#[expect(dead_code, reason = "reading the fields is measured")]
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
#[expect(dead_code, reason = "reading the fields is measured")]
struct Streamed {
    #[ld("Product", "name")]
    name: String,
    #[ld("Product", "sku")]
    sku: String,
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

/// Returns the times that several ways of reading need for one page. The rounds of all ways alternate, so that what
/// else the machine does affects all of them; of each way, the fastest round counts.
fn times<const N: usize>(html: &bytes::Bytes, mut ways: [&mut dyn FnMut(Document); N]) -> [Duration; N] {
    const PAGES: u32 = 100;
    const ROUNDS: usize = 60;
    let url = Url::parse("https://shop.example/kettle").expect("a constant");
    let mut fastest = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        for (way, fastest) in ways.iter_mut().zip(&mut fastest) {
            let begin = spent();
            for _ in 0..PAGES {
                way(Document::new(url.clone(), Some("text/html; charset=utf-8"), html.clone()));
            }
            *fastest = (*fastest).min((spent() - begin) / PAGES);
        }
    }
    fastest
}

/// Returns the processor time that this thread has used, if the system reports it; else the time that has passed.
fn spent() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGIN.elapsed(), Duration::from_nanos)
}

fn main() {
    let page: bytes::Bytes = match std::env::args().nth(1) {
        Some(file) => std::fs::read(file).expect("the file is there").into(),
        None => html().into(),
    };
    without_selectors(&page);
    with_selectors(&html().into());
}

fn without_selectors(page: &bytes::Bytes) {
    let [links, both, fields, counted] = times(
        page,
        [
            &mut |page| drop(black_box(page.links())),
            &mut |page| {
                drop(black_box(page.links()));
                drop(black_box(streamed(&page)));
                assert!(!page.has_dom());
            },
            &mut |page| drop(black_box(streamed(&page))),
            &mut |page| drop(black_box(coverage::during(|| streamed(&page)))),
        ],
    );
    let added = both.saturating_sub(links);
    println!("links {links:?}; links and fields without selectors {both:?}: {:.3}", ratio(both, links));
    println!("  of a crawl's {CRAWL:?} a page: {:.3}", ratio(CRAWL + added, CRAWL));
    println!("fields without selectors {fields:?}, and counted {counted:?}: {:.3}", ratio(counted, fields));
}

fn with_selectors(page: &bytes::Bytes) {
    let [hand, derived, counted] = times(
        page,
        [
            &mut |page| drop(black_box(by_hand(&page))),
            &mut |page| drop(black_box(page.extract::<Derived>().ok())),
            &mut |page| drop(black_box(coverage::during(|| page.extract::<Derived>().ok()))),
        ],
    );
    println!("six CSS fields by hand {hand:?}; derived {derived:?}: {:.3}", ratio(derived, hand));
    println!("derived, and counted {counted:?}: {:.3}", ratio(counted, derived));
}

fn streamed(page: &Document) -> Option<Streamed> {
    page.extract().ok()
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

/// The processor time of a whole crawl for one page, on the machine on which the ratios were last taken: requests,
/// links and the store, for pages of 20 kB (`cargo xtask bench --only W1`).
const CRAWL: Duration = Duration::from_micros(135);
