//! The program under test: a spider of the sandbox's shop.

use opilio_engine::{Found, Page, ParseError, Request, Spider};
use opilio_extract::{Extract, Price};
use serde::{Deserialize, Serialize};

use super::support::run_program;

/// An item, as the tests read it.
#[derive(Debug, Extract, Serialize)]
#[extract(key = "sku")]
struct Product {
    #[css("dd.sku")]
    sku: String,
    #[css("h1.name")]
    name: String,
    #[css("p.price")]
    price: Price,
    #[css("dd.stock")]
    stock: Option<u32>,
    #[css("a.related")]
    related: Vec<Related>,
}

#[derive(Debug, Extract, Serialize)]
struct Related {
    #[css(":scope", re = "(.+)")]
    name: String,
    #[css(":scope", attr = "href")]
    url: url::Url,
}

#[derive(Clone, Serialize, Deserialize)]
enum Step {
    Listing,
    Product { from: String },
}

struct Shop {
    base: String,
}

impl Spider for Shop {
    type Item = Product;
    type Step = Step;

    fn seeds(&self) -> Vec<Request<Step>> {
        vec![Request::get(format!("{}/products", self.base), Step::Listing)]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match page.step() {
            Step::Listing => {
                if let Some(text) = page.css("h1.fails")?.text() {
                    return Err(ParseError::new(format!("it says {text}")));
                }
                found.follow(page, "a.product", Step::Product { from: page.url().path().to_owned() })?;
                found.follow(page, "a.next", Step::Listing)?;
            }
            Step::Product { .. } => found.item(page.extract()?),
        }
        Ok(())
    }
}

/// The program under test, which most tests start.
#[test]
fn the_program() {
    run_program(
        |base| Shop { base },
        |app| {
            // A session is made by a method of the crawler, for which there is no setting.
            let app = app.crawler(|crawler| {
                let session = opilio_engine::Session::new().header("x-who", "alice").unwrap();
                crawler.session("alice", session)
            });
            app.extracts::<Product>().output("products.jsonl")
        },
    );
}
