//! Five common bugs of spiders, each planted in a spider, and the test that finds it.
#![allow(clippy::unwrap_used, reason = "tests")]

use opilio_testkit::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Slip {
    None,
    /// Products are requested with the step of listing pages.
    WrongStep,
    /// The link to the next listing page is forgotten.
    LostLink,
    /// The calendar's link to the next month is followed without end.
    EndlessCalendar,
    /// The selector of the price no longer matches.
    DroppedField,
    /// An order is marked as safe to repeat.
    PostSentTwice,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Step {
    Listing,
    Product,
    Calendar,
    Order,
}

#[derive(Debug, Serialize)]
struct Product {
    sku: String,
    price: Option<String>,
}

struct Shop(Slip);

impl Spider for Shop {
    type Item = Product;
    type Step = Step;

    fn seeds(&self) -> Vec<Request<Step>> {
        vec![
            Request::get("https://shop.example/lamps", Step::Listing),
            Request::get("https://shop.example/events?month=1", Step::Calendar),
        ]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match page.step() {
            Step::Listing => {
                let product = if self.0 == Slip::WrongStep { Step::Listing } else { Step::Product };
                found.follow(page, "a.product", product)?;
                if self.0 != Slip::LostLink {
                    found.follow(page, "a.next", Step::Listing)?;
                }
            }
            Step::Product => {
                let price = if self.0 == Slip::DroppedField { ".prize" } else { ".price" };
                let sku = page.css(".sku")?.need()?.text();
                let order = Request::post("/order", Step::Order).form([("sku", &sku)]);
                let twice = self.0 == Slip::PostSentTwice;
                found.request(if twice { order.safe_to_repeat() } else { order });
                found.item(Product { sku, price: page.css(price)?.text() });
            }
            Step::Calendar => {
                let until = if self.0 == Slip::EndlessCalendar { u32::MAX } else { 6 };
                let month =
                    page.url().query().and_then(|query| query.strip_prefix("month=")?.parse::<u32>().ok());
                if month.is_some_and(|month| month < until) {
                    found.follow(page, "a.next", Step::Calendar)?;
                }
            }
            Step::Order => {}
        }
        Ok(())
    }
}

/// Returns a shop with six lamps on three listing pages, and an endless calendar. The server carries out the
/// first order, then resets the connection.
fn shop() -> Web {
    let write = |path: &str| {
        let number = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.parse::<u32>().ok());
        if let Some(n) = number("/lamps/") {
            return Some(format!("<p class=sku>{n}</p><p class=price>{n}.50</p>"));
        }
        if let Some(month) = number("/events?month=") {
            return Some(format!("<a class=next href=?month={}>next</a>", month + 1));
        }
        let page = if path == "/lamps" { 0 } else { number("/lamps?page=")? };
        let [first, second] = [2 * page + 1, 2 * page + 2];
        let next = if page < 2 {
            format!("<a class=next href=/lamps?page={}>next</a>", page + 1)
        } else {
            String::new()
        };
        Some(format!(
            "<a class=product href=/lamps/{first}>a</a><a class=product href=/lamps/{second}>b</a>{next}"
        ))
    };
    let rules = HostConfig::new().fault(Trigger::PathTimes("/order".into(), 1), Fault::Reset);
    Web::new().site(rules).written(write).page("/order", "<p>Thank you</p>")
}

/// Makes the checks that a user's tests of this spider would make.
fn check(slip: Slip) -> Result<(), String> {
    let checked = std::panic::catch_unwind(|| {
        let run = crawl(Shop(slip)).on(shop()).max_requests(200).run();
        run.log.assert_nothing_sent_twice();
        run.log.assert_requested("/lamps?page=2");
        let lamps = (1..=6).map(|n| json!({ "sku": n.to_string(), "price": format!("{n}.50") }));
        if run.items.len() == 6 {
            run.assert_filled("price", 1.0);
        }
        run.assert_items(lamps);
        run.log.assert_polite();
    });
    checked.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap())
}

#[test]
fn a_spider_without_a_slip_passes() {
    check(Slip::None).unwrap();
}

#[test]
fn a_wrong_step_is_caught() {
    let words = check(Slip::WrongStep).unwrap_err();
    assert!(words.contains(r#"- missing: {"price":"1.50","sku":"1"}"#), "{words}");
}

#[test]
fn a_lost_link_is_caught() {
    let words = check(Slip::LostLink).unwrap_err();
    assert!(words.starts_with("/lamps?page=2 was not requested; of"), "{words}");
}

#[test]
fn a_calendar_without_an_end_is_caught() {
    let words = check(Slip::EndlessCalendar).unwrap_err();
    assert!(
        words.starts_with("the crawl sent 200 requests and had more to send: it may have no end"),
        "{words}"
    );
    assert!(words.contains("GET https://shop.example/events?month=1"), "{words}");
}

#[test]
fn a_dropped_field_is_caught() {
    let words = check(Slip::DroppedField).unwrap_err();
    assert!(words.starts_with("price is filled in 0.0 % of 6 items, not in 100.0 %"), "{words}");
}

#[test]
fn a_post_that_is_sent_twice_is_caught() {
    let words = check(Slip::PostSentTwice).unwrap_err();
    assert!(
        words.starts_with(
            "requests that change something were sent twice:\n  POST https://shop.example/order at "
        ),
        "{words}"
    );
    assert!(words.contains("not answered\n  POST") && words.contains("answered by 200"), "{words}");
}
