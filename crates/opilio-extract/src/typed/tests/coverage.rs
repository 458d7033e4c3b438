//! Tests of counting what was found for each field.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{json, page};
use crate::typed::coverage::{Coverage, FIELDS_MAX, during};
use crate::typed::{ExtractPlan, FieldPlan, FieldShape, ValueKind};
use crate::{Extract, FieldCounts};

/// Returns the counts of a field, in the order filled, empty, defaulted, unreadable.
fn counts(coverage: &Coverage, name: &str) -> [u64; 4] {
    let (owner, field) = name.split_once('.').unwrap();
    let all = coverage.structs().iter().filter(|all| all.plan().name == owner);
    let one = all.flat_map(|all| all.fields()).filter(|(plan, _)| plan.name == field);
    let FieldCounts { filled, empty, defaulted, unreadable } =
        one.fold(FieldCounts::default(), |all, (_, more)| all.plus(more));
    [filled, empty, defaulted, unreadable]
}

#[derive(Extract)]
#[extract(each = ".card")]
#[expect(dead_code, reason = "only the counts matter")]
struct Card {
    #[css("h2")]
    name: String,
    #[css(".price")]
    price: Option<u32>,
    #[css(".stock", default)]
    stock: u32,
    #[css("li")]
    tags: Vec<String>,
    #[css(".review")]
    reviews: Vec<Review>,
}

#[derive(Extract)]
#[expect(dead_code, reason = "only the counts matter")]
struct Review {
    #[css("p")]
    text: Option<String>,
}

#[test]
fn each_value_counts_once_for_each_field() {
    let page = page(
        "<div class=card><h2>A</h2><b class=price>5</b><b class=stock>1</b><li>x<li>y
            <div class=review><p>good</p></div><div class=review></div></div>
         <div class=card><h2>B</h2><b class=price>on request</b></div>
         <div class=card></div>",
    );
    let (cards, coverage) = during(|| page.extract_each::<Card>());
    assert_eq!(cards.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(counts(&coverage, "Card.name"), [2, 1, 0, 0]);
    assert_eq!(counts(&coverage, "Card.price"), [1, 1, 0, 1]);
    assert_eq!(counts(&coverage, "Card.stock"), [1, 0, 2, 0]);
    assert_eq!(counts(&coverage, "Card.tags"), [1, 2, 0, 0]);
    assert_eq!(counts(&coverage, "Card.reviews"), [1, 2, 0, 0]);
    assert_eq!(counts(&coverage, "Review.text"), [1, 1, 0, 0]);
}

#[test]
fn a_struct_that_was_looked_for_is_named_although_nothing_was_found() {
    let page = page("<p>no cards");
    for coverage in
        [during(|| page.extract_all::<Card>().is_ok()).1, during(|| page.extract::<Card>().is_ok()).1]
    {
        let names: Vec<&str> = coverage.structs().iter().map(|all| all.plan().name).collect();
        assert_eq!(names, ["Card", "Review"]);
        assert_eq!(counts(&coverage, "Card.name"), [0; 4]);
    }
}

#[test]
fn json_is_counted_like_elements() {
    #[derive(Extract)]
    #[expect(dead_code, reason = "only the counts matter")]
    struct Line {
        #[json("name")]
        name: Option<String>,
    }
    #[derive(Extract)]
    #[expect(dead_code, reason = "only the counts matter")]
    struct Order {
        #[json("lines[*]")]
        lines: Vec<Line>,
    }
    let (_, coverage) =
        during(|| json(r#"{"lines": [{"name": "a"}, {"name": null}, {}]}"#).extract::<Order>().is_ok());
    assert_eq!(counts(&coverage, "Order.lines"), [1, 0, 0, 0]);
    assert_eq!(counts(&coverage, "Line.name"), [1, 2, 0, 0]);
}

#[test]
fn inner_work_counts_for_outer_work_once_and_a_panic_does_not_change_that() {
    let page = page("<div class=card><h2>A</h2></div>");
    let read = || page.extract_all::<Card>().is_ok();
    let (inner, outer) = during(|| {
        read();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            during(|| {
                read();
                panic!("of a user");
            })
        }));
        assert!(panicked.is_err());
        during(read).1
    });
    assert_eq!((counts(&inner, "Card.name"), counts(&outer, "Card.name")), ([1, 0, 0, 0], [3, 0, 0, 0]));
    read();
    assert!(during(|| ()).1.is_empty(), "what was read outside is not counted");
}

#[test]
fn structs_beyond_the_limit_are_not_counted() {
    fn plan(name: String, fields: usize) -> &'static ExtractPlan {
        let field = FieldPlan { name: "f", shape: FieldShape::Single, kind: ValueKind::Text, sources: &[] };
        let (name, fields) = (name.leak(), vec![field; fields].leak());
        Box::leak(Box::new(ExtractPlan { name, each: None, key: None, fields }))
    }
    let ((), coverage) = during(|| {
        for n in 0..10 {
            super::super::coverage::Counter::of(plan(format!("S{n}"), FIELDS_MAX / 4));
        }
    });
    assert_eq!(coverage.structs().len(), 4);
}

#[test]
fn an_empty_text_is_the_value_of_a_field_and_counts_as_empty() {
    #[derive(Extract)]
    struct Lamp {
        #[css("b.none")]
        #[css("p", attr = "data-name")]
        name: String,
        #[meta("description")]
        text: Option<String>,
        #[json_in("script", "brand", default = "no brand".to_owned())]
        brand: String,
        #[css("p", attr = "data-price", parse)]
        price: String,
        #[css("i", attr = "title")]
        tags: Vec<String>,
        #[css("u", attr = "title")]
        notes: Vec<String>,
        #[css("p", attr = "data-new")]
        new: bool,
    }
    let html = "<meta name=description content=''><p data-name='' data-price=' ' data-new=''>x</p><script>{\"brand\": \"\"}</script>\
                <b class=none></b><i title=''></i><i title=''></i><u title=''></u><u title=a></u>";
    let (lamp, coverage) = during(|| page(html).extract::<Lamp>());
    let lamp = lamp.unwrap();
    assert_eq!((&*lamp.name, lamp.text.as_deref(), &*lamp.brand), ("", Some(""), ""));
    assert_eq!(
        (lamp.price.trim(), lamp.tags, lamp.notes, lamp.new),
        ("", vec!["".into(); 2], vec!["".into(), "a".into()], true)
    );
    for field in ["name", "text", "brand", "price", "tags"] {
        assert_eq!(counts(&coverage, &format!("Lamp.{field}")), [0, 1, 0, 0], "{field}");
    }
    for field in ["notes", "new"] {
        assert_eq!(counts(&coverage, &format!("Lamp.{field}")), [1, 0, 0, 0], "{field}");
    }
    let (lamp, coverage) =
        during(|| page("<b class=none></b><p data-name=x data-price=1 data-new>").extract::<Lamp>());
    assert_eq!(lamp.unwrap().name, "x");
    assert_eq!(counts(&coverage, "Lamp.name"), [1, 0, 0, 0], "an empty element before the value is no value");
}
