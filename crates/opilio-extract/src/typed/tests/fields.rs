//! Tests of CSS fields: parts of elements, types, nesting, lists, and the texts of faults.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, date};
use rust_decimal::Decimal;
use url::Url;

use super::{faults, page};
use crate::{Extract, Price};

#[test]
fn a_field_is_the_text_of_the_first_match_or_another_part_of_it() {
    #[derive(Extract)]
    struct Parts {
        #[css("p")]
        text: String,
        #[css("p", own_text)]
        own: String,
        #[css("p", raw)]
        raw: String,
        #[css("p", html)]
        html: String,
        #[css("p", attr = "title")]
        title: String,
        #[css("h1", one)]
        one: String,
    }
    let page = page("<h1>H</h1><p>  a <b>b</b>\n c</p><p title=T>d</p>");
    let parts: Parts = page.extract().unwrap();
    assert_eq!((parts.text.as_str(), parts.own.as_str(), parts.raw.as_str()), ("a b c", "a c", "  a b\n c"));
    assert_eq!((parts.html.as_str(), parts.title.as_str()), ("<p>  a <b>b</b>\n c</p>", "T"));
    assert_eq!(parts.one, "H");
}

#[test]
fn all_types_are_read() {
    #[derive(Extract, Debug, PartialEq)]
    struct Types {
        #[css("i")]
        u8: u8,
        #[css("i")]
        i64: i64,
        #[css("f")]
        f64: f64,
        #[css("f")]
        f32: f32,
        #[css("f")]
        decimal: Decimal,
        #[css("b")]
        flag: bool,
        #[css("input", attr = "checked")]
        checked: bool,
        #[css("a")]
        link: Url,
        #[css("a", attr = "data-u")]
        other: Url,
        #[css("s")]
        price: Price,
        #[css("time", attr = "datetime")]
        at: Timestamp,
        #[css("time", attr = "datetime")]
        day: Date,
        #[css("time", attr = "datetime")]
        local: DateTime,
        #[css("u")]
        clock: Time,
    }
    let html = "<i>42</i><f>-1,234.5</f><b>Yes</b><input checked><a href='../x#f' data-u='/y'>words</a>
        <s>12,50 €</s><time datetime='2026-11-30T08:00:00+01:00'></time><u>08:15</u>";
    let types: Types = page(html).extract().unwrap();
    assert_eq!((types.u8, types.i64, types.f64, types.f32), (42, 42, -1234.5, -1234.5));
    assert_eq!((types.decimal.to_string().as_str(), types.flag, types.checked), ("-1234.5", true, true));
    assert_eq!(
        (types.link.as_str(), types.other.as_str()),
        ("https://shop.example/x", "https://shop.example/y")
    );
    assert_eq!(types.price.to_string(), "12.50 EUR");
    assert_eq!((types.at.to_string().as_str(), types.day), ("2026-11-30T07:00:00Z", date(2026, 11, 30)));
    assert_eq!(
        (types.local.to_string().as_str(), types.clock.to_string().as_str()),
        ("2026-11-30T08:00:00", "08:15:00")
    );
}

#[test]
fn options_defaults_and_lists_say_what_nothing_is() {
    #[derive(Extract, Debug, PartialEq)]
    struct Row {
        #[css("x")]
        text: Option<String>,
        #[css("x")]
        number: Option<u8>,
        #[css("x", attr = "a")]
        attr: Option<String>,
        #[css("x", attr = "a")]
        attr_number: Option<u8>,
        #[css("x", default = "d".to_owned())]
        default: String,
        #[css("x", attr = "a", default = 7)]
        default_number: u8,
        #[css("x")]
        list: Vec<String>,
        #[css("x", attr = "a")]
        attrs: Vec<String>,
        #[css("x", attr = "a")]
        attr_numbers: Vec<u8>,
    }
    let nothing = Row {
        text: None,
        number: None,
        attr: None,
        attr_number: None,
        default: "d".to_owned(),
        default_number: 7,
        list: vec![],
        attrs: vec![],
        attr_numbers: vec![],
    };
    assert_eq!(page("").extract::<Row>().unwrap(), nothing);
    assert_eq!(page("<x> \u{a0}\n</x>").extract::<Row>().unwrap(), nothing);
    let empty = Row { attr: Some(String::new()), attrs: vec![String::new()], ..nothing };
    assert_eq!(page("<x a=''></x>").extract::<Row>().unwrap(), empty);
}

#[test]
fn what_must_be_there_and_is_not_is_told_apart_from_what_is_empty() {
    #[derive(Extract)]
    #[expect(dead_code, reason = "nothing is read")]
    struct Row {
        #[css("h1")]
        missing: String,
        #[css("x")]
        #[css("y", re = "z(.*)")]
        empty: String,
        #[css("x", attr = "a")]
        number: u8,
        #[css("x", attr = "a")]
        flag: bool,
        #[css("li", one)]
        one: String,
    }
    assert_eq!(
        faults::<Row>(&page("<x a></x><y>k</y><li>1<li>2")),
        [
            "Row.missing: nothing is there: css(\"h1\")",
            "Row.empty: css(\"x\"), css(\"y\"), re = \"z(.*)\" is there and empty",
            "Row.number: css(\"x\", attr = \"a\") is there and empty",
            "Row.one: css(\"li\", one) matches 2 elements, of which there should be one",
        ]
    );
}

#[test]
fn structs_nest_and_faults_name_the_way_to_them() {
    #[derive(Extract, Debug, PartialEq)]
    struct Shop {
        #[css("header")]
        head: Head,
        #[css(".offer")]
        offers: Vec<Offer>,
        #[css("footer")]
        foot: Option<Head>,
    }
    #[derive(Extract, Debug, PartialEq)]
    struct Head {
        #[css(":scope > h1")]
        title: String,
    }
    #[derive(Extract, Debug, PartialEq)]
    struct Offer {
        #[css(":scope", attr = "id")]
        id: u32,
        #[css("b")]
        tags: Vec<u8>,
    }
    let good = "<h1>No</h1><header><h1>Yes</h1></header><p class=offer id=1><b>1</b><b>2</b></p><p class=offer id=2>";
    let shop: Shop = page(good).extract().unwrap();
    assert_eq!((shop.head.title.as_str(), shop.foot), ("Yes", None));
    assert_eq!(shop.offers, [Offer { id: 1, tags: vec![1, 2] }, Offer { id: 2, tags: vec![] }]);

    let bad = "<header><p><h1>Yes</h1></p></header><p class=offer id=1><b>1</b><b>x</b><b>300</b></p><p class=offer>";
    let bad = bad.replace("<p><h1>", "<div><h1>");
    assert_eq!(
        faults::<Shop>(&page(&bad)),
        [
            "Shop.head.title: nothing is there: css(\":scope > h1\")",
            "Shop.offers[0].tags[1]: css(\"b\") is \"x\", not a whole number from 0 to 255: take the number out of the text by `re`, if it stands in one",
            "Shop.offers[0].tags[2]: css(\"b\") is \"300\", not a whole number from 0 to 255",
            "Shop.offers[1].id: nothing is there: css(\":scope\", attr = \"id\")",
        ]
    );
}

#[test]
fn a_struct_of_a_list_is_read_for_each_element() {
    #[derive(Extract, Debug, PartialEq)]
    #[extract(each = ".card", key = "id")]
    struct Card {
        #[css(":scope", attr = "id")]
        id: u8,
    }
    let cards = page("<p class=card id=1><p class=card id=x><ul><li class=card id=3></ul>");
    assert_eq!(cards.extract::<Card>().unwrap(), Card { id: 1 });
    let each = cards.extract_each::<Card>();
    assert!(each[0] == Ok(Card { id: 1 }) && each[2] == Ok(Card { id: 3 }) && each.len() == 3);
    let error = cards.extract_all::<Card>().unwrap_err();
    assert_eq!(error.faults()[0].field, "Card[1].id");
    let below = cards.css("ul").unwrap().first().unwrap();
    assert_eq!(below.extract_all::<Card>().unwrap(), [Card { id: 3 }]);
    assert_eq!(below.css("li").unwrap().first().unwrap().extract::<Card>().unwrap(), Card { id: 3 });
    assert_eq!(page("").extract_all::<Card>().unwrap(), []);
    assert_eq!(faults::<Card>(&page("<p>")), ["Card: nothing is there: each = \".card\""]);
    assert_eq!((Card::PLAN.key, Card::PLAN.fields[0].name), (Some("id"), "id"));
}

#[test]
fn a_struct_that_contains_itself_ends_with_the_page() {
    #[derive(Extract)]
    struct Comment {
        #[css(":scope > p")]
        text: String,
        #[css(":scope > div")]
        replies: Vec<Comment>,
    }
    let page = page("<div id=c><p>a</p><div><p>b</p></div><div><p>c</p><div><p>d</p></div></div></div>");
    let all: Comment = page.css("#c").unwrap().first().unwrap().extract().unwrap();
    assert_eq!((all.text.as_str(), all.replies.len()), ("a", 2));
    assert_eq!(all.replies[1].replies[0].text, "d");

    #[derive(Extract)]
    struct Endless {
        #[css(":scope")]
        #[expect(dead_code, reason = "it never ends")]
        again: Vec<Endless>,
    }
    assert!(faults::<Endless>(&page_of_nothing())[0].contains("contains itself"));
}

fn page_of_nothing() -> crate::Document {
    page("<p>x")
}

#[test]
fn a_url_is_that_of_the_element_and_words_are_none() {
    #[derive(Extract, Debug)]
    struct Links {
        #[css("a")]
        link: Url,
    }
    let base = page("<base href=//cdn.example/x/><a href=y>");
    assert_eq!(base.extract::<Links>().unwrap().link.as_str(), "https://cdn.example/x/y");
    for (html, reason) in [
        ("<a>more words</a>", "it has no href and no src"),
        ("<a href='mailto:x@y.example'>", "not a URL of http or https"),
        ("<a href='http://['>", "not a URL of http or https"),
    ] {
        let found = faults::<Links>(&page(html));
        assert!(found[0].contains(reason), "{found:?}");
    }
    assert_eq!(
        page("<a>https://x.example/y</a>").extract::<Links>().unwrap().link.as_str(),
        "https://x.example/y"
    );
}

#[test]
fn a_fault_is_bounded_and_in_one_line() {
    #[derive(Extract, Debug)]
    #[expect(dead_code, reason = "nothing is read")]
    struct Numbers {
        #[css("p")]
        first: u8,
        #[css("p")]
        all: Vec<u8>,
    }
    let text = format!("<p>a\u{1b}[31m\u{202e}{}\u{0}</p>", "é".repeat(200_000));
    let url = format!("https://user:secret@shop.example/{}", "x".repeat(9_000)).parse().unwrap();
    let page = crate::Document::new(url, Some("text/html"), text.repeat(30).into());
    let error = page.extract::<Numbers>().unwrap_err();
    let said = error.to_string();
    assert!(
        said.len() < 6_000 && !said.contains(char::is_control) && !said.contains("secret"),
        "{}",
        said.len()
    );
    assert!(said.contains(r"a\u{1b}[31m\u{202e}é") && said.contains("; and 11 more"), "{said}");
    assert_eq!(error.count(), 31);
}

#[test]
fn a_page_that_scripts_would_fill_is_told() {
    #[derive(Extract, Debug)]
    struct Title {
        #[css("h1")]
        #[expect(dead_code, reason = "it is not there")]
        title: String,
    }
    let said = |html: &str| page(html).extract::<Title>().unwrap_err().to_string();
    let script = "<script>app('a very long program that is no text of the page at all, and much longer than text')</script>";
    assert!(said(&format!("<div id=root></div>{script}")).contains("scripts seem to fill it"));
    assert!(!said(&format!("<p>{}</p>{script}", "words ".repeat(100))).contains("scripts"));
    assert!(said("").contains("the page is empty"));
}
