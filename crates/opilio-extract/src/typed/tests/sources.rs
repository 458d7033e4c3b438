//! Tests of sources without a selector, of alternative sources, and of the keys that make values of texts.

use jiff::Timestamp;
use jiff::civil::Date;
use rust_decimal::Decimal;
use url::Url;

use super::{faults, json, page};
use crate::typed::PageAround;
use crate::{Extract, Price};

#[test]
fn alternatives_are_asked_in_order() {
    #[derive(Extract)]
    struct Name {
        #[css("h2")]
        #[meta("og:title")]
        #[css("title")]
        name: String,
        #[css(".a")]
        #[css(".b")]
        all: Vec<String>,
        #[css(".number")]
        #[css("h2", default = 3)]
        number: u8,
    }
    let name: Name =
        page("<title>T</title><meta property=OG:Title content='M &amp; N'><h2></h2><p class=b>1")
            .extract()
            .unwrap();
    assert_eq!((name.name.as_str(), name.number), ("M & N", 3));
    assert_eq!(name.all, ["1"]);
    let both: Name = page("<h2>H</h2><p class=a>1<p class=b>2<p class=number>5").extract().unwrap();
    assert_eq!((both.name.as_str(), both.all.len(), both.number), ("H", 1, 5));
    // The first source has something that cannot be read. This is a fault, and the next source is not tried.
    assert_eq!(faults::<Name>(&page("<h2>4</h2><p class=number>x")).len(), 1);
}

#[test]
fn a_regular_expression_takes_a_part_or_another_element() {
    #[derive(Extract)]
    struct Parts {
        #[css("li", re = r"SKU: (\S+)")]
        sku: String,
        #[css("li", re = r"\d+")]
        whole: u32,
        #[css("li", re = r"Colou?r: (.*)")]
        colour: Option<String>,
        #[css("li", re = r"(\d+) cm")]
        sizes: Vec<u32>,
    }
    let parts: Parts = page("<li>New</li><li>SKU: A-1 x</li><li>7 cm</li><li>9 cm").extract().unwrap();
    assert_eq!((parts.sku.as_str(), parts.whole, parts.colour), ("A-1", 1, None));
    assert_eq!(parts.sizes, [7, 9]);
}

#[test]
fn functions_parsers_numbers_and_dates_make_values() {
    #[derive(Debug, PartialEq)]
    enum Stock {
        Some,
        None,
    }
    fn stock(text: &str) -> Result<Stock, String> {
        match text {
            "in stock" => Ok(Stock::Some),
            "sold out" => Ok(Stock::None),
            _ => Err(format!("{text} is no stock")),
        }
    }
    #[derive(Extract)]
    struct Values {
        #[css("a", with = stock)]
        stock: Stock,
        #[css("a", with = |text: &str| Ok::<_, String>(text.len()))]
        len: usize,
        #[css("b", parse)]
        address: std::net::Ipv4Addr,
        #[css("c", number = "1.234,56")]
        #[css("none", with = stock_price)]
        price: Price,
        #[css("c", number = "1.234,56")]
        amount: Decimal,
        #[css("d", date = "%d.%m.%Y")]
        day: Date,
        #[css("e", date = "%Y-%m-%d %H:%M %z")]
        at: Timestamp,
        #[css("b", parse)]
        all: Vec<std::net::Ipv4Addr>,
        #[css("none", parse)]
        none: Option<std::net::Ipv4Addr>,
        #[css("none", parse, default = std::net::Ipv4Addr::LOCALHOST)]
        default: std::net::Ipv4Addr,
    }
    fn stock_price(_: &str) -> Result<Price, String> {
        Err("no".to_owned())
    }
    let html = "<a>in stock</a><b> 127.0.0.1 </b><c>1.299</c><d>1.3.2026</d><e>2026-11-30 08:00 +0100</e>";
    let values: Values = page(html).extract().unwrap();
    assert_eq!((values.stock, values.len, values.address.octets()[3]), (Stock::Some, 8, 1));
    assert_eq!((values.price.to_string().as_str(), values.amount.to_string().as_str()), ("1299", "1299"));
    assert_eq!(
        (values.day.to_string().as_str(), values.at.to_string().as_str()),
        ("2026-03-01", "2026-11-30T07:00:00Z")
    );
    assert_eq!((values.all.len(), values.none, values.default.octets()[0]), (1, None, 127));
    assert_eq!(
        faults::<Values>(&page("<a>soon</a><b>x</b><c>12.50</c><d>2026</d><e>2026-11-30 08:00</e>")),
        [
            "Values.stock: css(\"a\") is \"soon\", not a value that its function takes: soon is no stock",
            "Values.address: css(\"b\") is \"x\", not a value that its function takes: invalid IPv4 address syntax",
            "Values.price: css(\"c\") is \"12.50\", not a price such as \"12.50 €\": numbers there are said to be written as \"1.234,56\"",
            "Values.amount: css(\"c\") is \"12.50\", not a number of at most 28 digits: numbers there are said to be written as \"1.234,56\"",
            "Values.day: css(\"d\") is \"2026\", not a date: dates there are said to be written as \"%d.%m.%Y\"",
            "Values.at: css(\"e\") is \"2026-11-30 08:00\", not an instant: a date with a time and an offset: dates there are said to be written as \"%Y-%m-%d %H:%M %z\"",
            "Values.all[0]: css(\"b\") is \"x\", not a value that its function takes: invalid IPv4 address syntax",
        ]
    );
}

#[test]
fn json_is_read_by_paths_from_bodies_and_elements() {
    #[derive(Extract, Debug, PartialEq)]
    struct Row {
        #[json("id")]
        id: u64,
        #[json("price")]
        price: Decimal,
        #[json("tags[]")]
        tags: Vec<String>,
        #[json("none")]
        none: Option<String>,
        #[json("text")]
        text: String,
    }
    #[derive(Extract, Debug, PartialEq)]
    struct Api {
        #[json("page")]
        page: u32,
        #[json("rows")]
        rows: Vec<Row>,
        #[json("rows[1].id")]
        second: u64,
        #[json("rows.price")]
        prices: Vec<Decimal>,
        #[json("ok")]
        ok: bool,
    }
    let body = r#"{"page": 2, "ok": true, "rows": [
        {"id": 18446744073709551615, "price": 12.10, "tags": ["a", "b"], "none": null, "text": ""},
        {"id": "7", "price": "3.50", "tags": [], "text": 5}]}"#;
    let api: Api = json(body).extract().unwrap();
    assert_eq!((api.page, api.second, api.ok), (2, 7, true));
    assert_eq!((api.rows[0].id, api.rows[0].price.to_string().as_str()), (u64::MAX, "12.1"));
    assert_eq!(
        (api.rows[0].tags.len(), api.rows[0].none.as_deref(), api.rows[0].text.as_str()),
        (2, None, "")
    );
    assert_eq!((api.prices.len(), api.rows[1].text.as_str()), (2, "5"));

    #[derive(Extract, Debug)]
    struct State {
        #[json_in("script#state", "shop.rows[0].id", re = r"STATE = (\{.*\});")]
        assigned: u32,
        #[json_in("script[type='application/json']", "shop.name")]
        name: String,
        #[json_in("script", "rows", re = "none")]
        none: Vec<Row>,
    }
    let html = r#"<script id=state>x(); window.STATE = {"shop": {"rows": [{"id": 5}]}}; y();</script>
        <script type=application/json>{"shop": {"name": "S"}}</script>"#;
    let state: State = page(html).extract().unwrap();
    assert_eq!((state.assigned, state.name.as_str(), state.none.len()), (5, "S", 0));

    let said = faults::<Api>(&json("{\"page\": 1.5, "));
    assert!(
        said[0].starts_with("Api.page: json(\"page\") cannot be read: the body is no JSON: EOF"),
        "{said:?}"
    );
    let said = faults::<State>(&page("<script id=state>STATE = {x};</script>"));
    assert!(
        said[0]
            .contains("json_in(\"script#state\", \"shop.rows[0].id\") cannot be read: key must be a string"),
        "{said:?}"
    );
    let said = faults::<Api>(&json(
        r#"{"page": {}, "rows": [{"id": 1e30, "price": [], "text": {}}, 4], "second": 1}"#,
    ));
    assert_eq!(
        said[..3],
        [
            "Api.page: json(\"page\") is \"an object\", not a whole number from 0 to 4294967295",
            "Api.rows[0].id: json(\"id\") is \"1e+30\", not a whole number from 0 to 18446744073709551615: JSON does not hold all its digits",
            "Api.rows[0].price: nothing is there: json(\"price\")",
        ],
        "{said:?}"
    );
}

struct Context;

impl PageAround for Context {
    fn requested_url(&self) -> &str {
        "https://shop.example/asked"
    }

    fn depth(&self) -> u16 {
        3
    }

    fn fetched_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(1_800_000_000).ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        name.eq_ignore_ascii_case("last-modified").then_some("Mon, 30 Nov 2026 08:00:00 GMT")
    }

    fn is_cut(&self) -> bool {
        true
    }
}

#[derive(Extract)]
struct Facts {
    #[page(url)]
    url: Url,
    #[page(requested_url)]
    requested: String,
    #[page(origin)]
    origin: String,
    #[page(depth)]
    depth: u8,
    #[page(fetched_at)]
    fetched_at: Timestamp,
    #[page(header = "Last-Modified")]
    modified: Timestamp,
    #[page(header = "x-none")]
    none: Option<String>,
    #[page(url, re = "/([a-z]+)$")]
    slug: String,
}

#[test]
fn facts_of_a_page_are_fields() {
    let page = page("<p>");
    let facts: Facts = page.extract_in(&Context).unwrap();
    assert_eq!(facts.requested, facts.origin);
    assert_eq!(
        (facts.url.path(), facts.origin.as_str(), facts.depth),
        ("/dir/page", "https://shop.example/asked", 3)
    );
    assert_eq!((facts.fetched_at.as_second(), facts.none), (1_800_000_000, None));
    assert_eq!((facts.modified.to_string().as_str(), facts.slug.as_str()), ("2026-11-30T08:00:00Z", "page"));
    assert!(faults::<Facts>(&page)[0].contains("known of a fetched page only"));
}

#[test]
fn sources_without_a_selector_build_no_dom() {
    #[derive(Extract)]
    struct Fast {
        #[ld("Product", "name")]
        name: String,
        #[meta("description")]
        text: String,
        #[page(url)]
        url: Url,
        #[micro("Product", "name")]
        none: Option<String>,
    }
    let html = r#"<meta name=description content=D><script type="application/ld+json">{"@type":"Product","name":"N"}</script>"#;
    let page = page(html);
    let fast: Fast = page.extract().unwrap();
    assert_eq!(
        (fast.name.as_str(), fast.text.as_str(), fast.url.path(), fast.none),
        ("N", "D", "/dir/page", None)
    );
    assert!(!page.has_dom());
    assert!(page.title().is_none() && !page.has_dom());
}

#[test]
fn metas_and_scripts_are_found_where_a_browser_finds_them() {
    #[derive(Extract)]
    struct Metas {
        #[meta("a")]
        all: Vec<String>,
        #[ld("T", "n")]
        ld: Vec<u8>,
    }
    for (html, metas, ld) in [
        (
            "<meta name=a content=1><META NAME='A' CONTENT='2'><meta property=a content=3><meta name=b content=4>",
            vec!["1", "2", "3"],
            0,
        ),
        (
            "<!-- <meta name=a content=1> --><!--><meta name=a content=2><!-- > --!><meta name=a content=3>-->",
            vec!["2"],
            0,
        ),
        ("<script>'<meta name=a content=1>'</script><style><meta name=a content=2></style>", vec![], 0),
        ("<textarea><meta name=a content=1></textarea><title><meta name=a content=2></title>", vec![], 0),
        ("<template><meta name=a content=1></template><meta name=a content=2>", vec!["2"], 0),
        ("<noscript><meta name=a content=1></noscript>", vec!["1"], 0),
        ("<p title='<meta name=a content=1>'><meta name=a content='>'>", vec![">"], 0),
        ("<meta name=a><meta content=1 name=a><meta name=a content><meta name=a content=2", vec!["1", ""], 0),
        (
            "<meta name = a content = x/y><meta/name='a'/content=z><meta name=a/content=w>",
            vec!["x/y", "z"],
            0,
        ),
        ("<script type='application/ld+json; charset=utf-8'>{\"@type\":\"T\",\"n\":1}</SCRIPT >", vec![], 1),
        ("<script type=application/ld+json>{\"@type\":\"T\",\"n\":1}", vec![], 1),
        ("<script type=application/ld+jsonx>{\"@type\":\"T\",\"n\":1}</script>", vec![], 0),
        ("<!-- <script type=application/ld+json>{\"@type\":\"T\",\"n\":1}</script> -->", vec![], 0),
        ("<div <meta name=a content=1>", vec![], 0),
        ("a < b <meta name=a content=1> c </ d><meta name=a content=2>", vec!["1", "2"], 0),
    ] {
        let found: Metas = page(html).extract().unwrap();
        assert_eq!(
            (found.all, found.ld.len()),
            (metas.iter().map(ToString::to_string).collect(), ld),
            "{html}"
        );
    }
}

#[test]
fn microdata_is_read_as_the_standard_has_it() {
    #[derive(Extract)]
    struct Product {
        #[micro("Product", "name")]
        name: String,
        #[micro("Product", "offers.price")]
        price: Decimal,
        #[micro("Product", "offers")]
        offer: Price,
        #[micro("Product", "image")]
        images: Vec<Url>,
        #[micro("Product", "release")]
        release: Date,
        #[micro("Product", "weight")]
        weight: String,
        #[micro("Review", "author")]
        authors: Vec<String>,
    }
    let html = r#"<div itemscope itemtype="http://schema.org/Product" itemref="more gone">
        <h1 itemprop="name">Tea <b>pot</b></h1> <img itemprop=image src=/1.jpg> <a itemprop=image href=2.jpg>
        <div itemprop=offers itemscope itemtype=https://schema.org/Offer>
            <span itemprop=price content="12.50">12,50</span> <meta itemprop=priceCurrency content=EUR>
            <span itemprop=name>not of the product</span></div>
        <time itemprop=release datetime=2026-11-30>today</time>
        <div itemprop=review itemscope itemtype=http://schema.org/Review><i itemprop=author>A</i></div>
        </div> <p id=more itemprop=weight>1 kg</p>"#;
    let product: Product = page(html).extract().unwrap();
    assert_eq!((product.name.as_str(), product.price.to_string().as_str()), ("Tea pot", "12.50"));
    assert_eq!((product.offer.to_string().as_str(), product.weight.as_str()), ("12.50 EUR", "1 kg"));
    assert_eq!(product.images.iter().map(Url::path).collect::<Vec<_>>(), ["/1.jpg", "/dir/2.jpg"]);
    assert_eq!((product.release.to_string().as_str(), product.authors.len()), ("2026-11-30", 1));
}

#[test]
fn what_nests_is_bounded() {
    #[derive(Extract, Debug)]
    struct Nested {
        #[micro("T", "a")]
        #[expect(dead_code, reason = "it is only read")]
        micro: Vec<String>,
        #[css("div")]
        #[expect(dead_code, reason = "it is only read")]
        all: Vec<String>,
        #[ld("T", "a.b")]
        #[expect(dead_code, reason = "it is only read")]
        ld: Vec<String>,
    }
    let begun = std::time::Instant::now();
    let refs = "r ".repeat(5_000);
    let open = format!("<div itemscope itemtype=T itemref='{refs}' itemprop=a><div itemprop=a>").repeat(200);
    let references = "{\"@id\":\"x\"},".repeat(20_000);
    let ld = format!("<script type=application/ld+json>{{\"@type\":\"T\",\"a\":[{references}1]}}</script>");
    let html = format!("<div itemscope itemtype=T>{open}{}{ld}", "words ".repeat(30_000));
    let said = faults::<Nested>(&page(&html));
    assert_eq!(
        said[1..],
        ["Nested.all: css(\"div\") cannot be read: its texts together have more than 32 MiB"]
    );
    assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", begun.elapsed());
}
