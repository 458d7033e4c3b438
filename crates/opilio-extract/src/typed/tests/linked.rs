//! Tests of JSON-LD in the many shapes in which pages contain it.

use super::page;
use crate::{Extract, Price};

#[derive(Extract)]
struct Product {
    #[ld("Product", "name")]
    name: Option<String>,
    #[ld("Product", "offers.price")]
    #[ld("Product", "offers.priceSpecification.price")]
    #[ld("Product", "offers.lowPrice")]
    price: Option<Price>,
}

fn script(json: &str) -> String {
    format!("<script type=\"application/ld+json\">{json}</script>")
}

/// Each case: the JSON-LD blocks of a page, and the name and the price that are read for its product.
const SHAPES: &[(&[&str], Option<&str>, Option<&str>)] = &[
    // Plain objects, and the different ways of writing a type.
    (
        &[r#"{"@type":"Product","name":"A","offers":{"@type":"Offer","price":"1.50"}}"#],
        Some("A"),
        Some("1.50"),
    ),
    (&[r#"{"@type":"http://schema.org/Product","name":"A","offers":{"price":1.5}}"#], Some("A"), Some("1.5")),
    (&[r#"{"@type":"https://schema.org/Product/","name":"A"}"#], Some("A"), None),
    (&[r#"{"@type":"schema:Product","name":"A"}"#], Some("A"), None),
    (&[r#"{"@type":["Thing","Product"],"name":"A"}"#], Some("A"), None),
    (&[r#"{"@type":["https://schema.org/Product","Car"],"name":"A"}"#], Some("A"), None),
    (&[r#"{"@type":"ProductGroup","name":"A"}"#], None, None),
    (&[r#"{"@type":"Organization","name":"O"}"#], None, None),
    // Lists and graphs of objects.
    (&[r#"[{"@type":"Organization","name":"O"},{"@type":"Product","name":"A"}]"#], Some("A"), None),
    (
        &[
            r#"{"@context":"https://schema.org","@graph":[{"@type":"WebSite","name":"W"},{"@type":"Product","name":"A"}]}"#,
        ],
        Some("A"),
        None,
    ),
    (&[r#"{"@graph":{"@type":"Product","name":"A"}}"#], Some("A"), None),
    (&[r#"[[{"@type":"Product","name":"A"}]]"#], Some("A"), None),
    (&[r#"{"@type":"WebPage","name":"W","mainEntity":{"@type":"Product","name":"A"}}"#], Some("A"), None),
    (
        &[
            r#"{"@type":"ItemList","itemListElement":[{"@type":"ListItem","item":{"@type":"Product","name":"A"}},{"@type":"ListItem","item":{"@type":"Product","name":"B"}}]}"#,
        ],
        Some("A"),
        None,
    ),
    // Products that are mentioned inside of other objects come after the page's own product.
    (
        &[
            r#"{"@type":"WebPage","related":{"@type":"Product","name":"R","offers":{"price":"9"}}}"#,
            r#"{"@type":"Product","name":"A"}"#,
        ],
        Some("A"),
        None,
    ),
    // Objects with offers.
    (&[r#"{"@type":"Product","offers":[{"price":"2.00"},{"price":"3.00"}]}"#], None, Some("2.00")),
    (
        &[r#"{"@type":"Product","offers":{"@type":"AggregateOffer","lowPrice":"1.00","highPrice":"5.00"}}"#],
        None,
        Some("1.00"),
    ),
    (
        &[r#"{"@type":"Product","offers":{"@type":"AggregateOffer","lowPrice":1.0,"offers":[{"price":2}]}}"#],
        None,
        Some("1.0"),
    ),
    (
        &[r#"{"@type":"Product","offers":{"priceSpecification":[{"price":"4.20","priceCurrency":"EUR"}]}}"#],
        None,
        Some("4.20"),
    ),
    (&[r#"{"@type":"Product","offers":{"price":null,"lowPrice":"7"}}"#], None, Some("7")),
    (&[r#"{"@type":"Product","offers":{"price":{"@value":"8.10"}}}"#], None, Some("8.10")),
    (&[r#"{"@type":"Product","offers":{"price":"€ 12,50"}}"#], None, Some("12.50 EUR")),
    (&[r#"{"@type":"Product","offers":{"price":"1.0E7"}}"#], None, Some("10000000")),
    // References to other objects.
    (
        &[
            r##"{"@graph":[{"@id":"#o","@type":"Offer","price":"6.00"},{"@type":"Product","name":"A","offers":{"@id":"#o"}}]}"##,
        ],
        Some("A"),
        Some("6.00"),
    ),
    (
        &[
            r##"{"@type":"Product","@id":"#p","name":"A"}"##,
            r##"{"@type":"Product","@id":"#p","offers":{"price":"3.10"}}"##,
        ],
        Some("A"),
        Some("3.10"),
    ),
    (
        &[
            r##"{"@type":"Product","@id":"#p","name":"A"}"##,
            r##"{"@type":"Product","@id":"#q","offers":{"price":"3.10"}}"##,
        ],
        Some("A"),
        None,
    ),
    (&[r##"{"@type":"Product","name":"A","offers":{"@id":"#gone"}}"##], Some("A"), None),
    // Several scripts, of which some are broken.
    (&["{", r#"{"@type":"Product","name":"A"}"#], Some("A"), None),
    (&["", "null", "[]", "3", r#"{"@type":"Product","name":"A"}"#], Some("A"), None),
    (&[r#"{"@type":"Organization"}{"@type":"Product","name":"A"}"#], Some("A"), None),
    // Text that is not JSON, but whose meaning is clear.
    (&["<!-- {\"@type\":\"Product\",\"name\":\"A\"} -->"], Some("A"), None),
    (&["//<![CDATA[\n{\"@type\":\"Product\",\"name\":\"A\"}\n//]]>"], Some("A"), None),
    (&["/*<![CDATA[*/ {\"@type\":\"Product\",\"name\":\"A\"} /*]]>*/"], Some("A"), None),
    (&["{\"@type\":\"Product\",\"name\":\"A\nB\t\"}"], Some("A\nB\t"), None),
    (&["{\"@type\":\"Product\",\"name\":\"A\",}"], Some("A"), None),
    (&["{\"@type\":\"Product\",\"tags\":[1,2, ],\"name\":\"A\" , }"], Some("A"), None),
    (&["{\"@type\":\"Product\", /* name, */ \"name\":\"A // B\" // ,\n}"], Some("A // B"), None),
    (&["{\"@type\":\"Product\",\"name\":\"It\\'s\"};"], Some("It's"), None),
    (&["\u{feff}{\"@type\":\"Product\",\"name\":\"A\"}"], Some("A"), None),
    (
        &["{&quot;@type&quot;:&quot;Product&quot;,&quot;name&quot;:&quot;A &amp; B&quot;}"],
        Some("A & B"),
        None,
    ),
    (&[r#"{"@type":"Product","name":"A &amp; B"}"#], Some("A &amp; B"), None),
    (&[r#"{"@type":"Product","name":"<b>A<\/b>"}"#], Some("<b>A</b>"), None),
    // Names that are not texts.
    (&[r#"{"@type":"Product","name":["A","B"]}"#], Some("A"), None),
    (&[r#"{"@type":"Product","name":{"@value":"A","@language":"en"}}"#], Some("A"), None),
    (&[r#"{"@type":"Product","name":7}"#], Some("7"), None),
    (&[r#"{"@type":null,"name":"A"}"#], None, None),
];

#[test]
fn json_ld_is_read_in_the_shapes_of_the_wild() {
    assert!(SHAPES.len() > 30);
    for (blocks, name, price) in SHAPES {
        let html: String = blocks.iter().map(|block| script(block)).collect();
        let product: Product = page(&html).extract().unwrap_or_else(|error| panic!("{html}: {error}"));
        assert_eq!(product.name.as_deref(), *name, "{html}");
        assert_eq!(product.price.map(|price| price.to_string()).as_deref(), *price, "{html}");
    }
}

#[test]
fn objects_of_json_ld_are_structs_and_prices() {
    #[derive(Extract, Debug)]
    struct Page {
        #[ld("Product")]
        products: Vec<Item>,
        #[ld("Product", "offers")]
        price: Price,
        #[ld("Product", "offers.shipping.cost")]
        shipping: Option<Price>,
    }
    #[derive(Extract, Debug)]
    struct Item {
        #[json("name")]
        name: String,
        #[json("offers")]
        offers: Vec<Offer>,
    }
    #[derive(Extract, Debug)]
    struct Offer {
        #[json("price")]
        price: rust_decimal::Decimal,
    }
    let blocks = [
        r#"{"@type":"Product","name":"A","offers":{"price":"1299.00","priceCurrency":"USD"}}"#,
        r#"{"@type":"Product","name":"B","offers":[{"price":1},{"price":"2"}]}"#,
    ];
    let page_of = |blocks: &[&str]| page(&blocks.iter().map(|block| script(block)).collect::<String>());
    let read: Page = page_of(&blocks).extract().unwrap();
    assert_eq!(
        (read.products[1].name.as_str(), read.products[1].offers[1].price.to_string().as_str()),
        ("B", "2")
    );
    assert_eq!(
        (read.price.to_string().as_str(), read.price.currency.unwrap().code()),
        ("1299.00 USD", Some("USD"))
    );
    assert!(read.shipping.is_none());
    let bad = page_of(&["{,", r#"{"@type":"Product","name":"A","offers":{"price":"ask us"}}"#]);
    assert_eq!(
        super::faults::<Page>(&bad),
        [
            "Page.products[0].offers[0].price: json(\"price\") is \"ask us\", not a number of at most 28 digits: take the number out of the text by `re`, if it stands in one",
            "Page.price: ld(\"Product\", \"offers\") is \"an object\", not a price such as \"12.50 €\": take the price out of the text by `re`, if it stands in one",
        ]
    );
    let none = super::faults::<Page>(&page_of(&["{,"]));
    assert_eq!(
        none,
        [
            "Page.price: nothing is there: ld(\"Product\", \"offers\"): a block of JSON-LD is broken and was left out"
        ]
    );
}
