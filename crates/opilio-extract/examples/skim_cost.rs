//! Compares the cost of `Document::skim` and `Document::css` with that of a bare scraper.
//!
//! Run it with `cargo run --release -p opilio-extract --example skim_cost [FILE.html]`. Without a file, it reads a
//! generated page of 20 kB with 33 links. The variants run in turn, many times; for each variant, the shortest time
//! counts.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a program for people")]

use bytes::Bytes;
use opilio_extract::Document;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};
use url::Url;

/// A way of reading the page, to be measured.
type Way<'a> = Box<dyn Fn() + 'a>;

const ROUNDS: usize = 40;
const PAGES_PER_ROUND: u32 = 200;

fn main() {
    let page = std::env::args().nth(1).map_or_else(synthetic, |path| std::fs::read(path).unwrap());
    let body = Bytes::from(page);
    let url = Url::parse("http://127.0.0.1:8080/products/1-black-wooden-cable").unwrap();
    let document = || Document::new(url.clone(), Some("text/html; charset=utf-8"), body.clone());
    println!("{} bytes, {} links", body.len(), document().links().len());

    let mut ways: [(&str, Way<'_>, Duration); 5] = [
        ("bare scraper", Box::new(|| drop(black_box(bare_dom(&body)))), Duration::MAX),
        ("skim", Box::new(|| assert!(!document().skim().links.is_empty())), Duration::MAX),
        ("skim + links", Box::new(|| drop(black_box(document().links()))), Duration::MAX),
        ("css", Box::new(|| drop(black_box(document().css("h1").unwrap().text()))), Duration::MAX),
        (
            "css + links",
            Box::new(|| {
                let document = document();
                black_box(document.css("h1").unwrap().text());
                black_box(document.links());
            }),
            Duration::MAX,
        ),
    ];
    for _ in 0..ROUNDS {
        for (_, run, least) in &mut ways {
            let start = Instant::now();
            (0..PAGES_PER_ROUND).for_each(|_| run());
            *least = (*least).min(start.elapsed() / PAGES_PER_ROUND);
        }
    }
    let floor = ways[0].2.as_secs_f64();
    for (name, _, least) in &ways {
        println!("{name:<14} {:>8.1} us  {:.2} x", least.as_secs_f64() * 1e6, least.as_secs_f64() / floor);
    }
}

/// Reads the first heading with a DOM, as a minimal crawler would.
fn bare_dom(body: &[u8]) -> Option<String> {
    let html = scraper::Html::parse_document(&String::from_utf8_lossy(body));
    HEADING.with(|heading| html.select(heading).next().map(|h1| h1.text().collect()))
}

thread_local! {
    static HEADING: scraper::Selector = scraper::Selector::parse("h1").unwrap();
}

/// Makes a page with about 330 elements, like those of a shop.
fn synthetic() -> Vec<u8> {
    let mut page = String::from(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Black wooden cable &amp; more</title>\
         <link rel=stylesheet href=/s.css><script>var a = '<a href=/no>';</script></head><body><h1>Cable</h1>",
    );
    for n in 0..33 {
        let _ = write!(
            page,
            "<div class=\"card product-{n}\" id=\"p{n}\"><h3 class=\"name\"><a class=\"link\" \
             href=\"/products/{n}-black-wooden-cable?page={n}#top\">Product number {n}</a></h3>\
             <p class=\"text\">{}</p><span class=\"price\">{n}.99</span><ul><li>one</li><li>two</li></ul>\
             <img src=\"/i/{n}.png\" alt=\"picture\"></div>",
            "Lorem ipsum dolor sit amet, consectetur adipiscing elit. ".repeat(6)
        );
    }
    page.push_str("</body></html>");
    page.into_bytes()
}
