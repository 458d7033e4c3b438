//! The program under test: a spider of the sandbox's shop.

use opilio_app::App;
use opilio_app::clap::Arg;
use opilio_engine::{Found, Page, ParseError, Request, Spider};
use opilio_extract::{Extract, Price};
use serde::{Deserialize, Serialize};

use super::support::ARGS;

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

/// Runs the program if the environment variable is set, and otherwise does nothing: the tests start it as a process.
#[test]
fn the_program() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let base = Arg::new("base").long("base").required(true).help("Where to begin");
    let app = App::with_flags([base], |flags| {
        Ok(Shop { base: flags.get_one::<String>("base").cloned().unwrap_or_default() })
    });
    let app = app.settings("[crawl]\nallow_private = true\n[default]\nrate = \"2000/s\"\nin_flight = 4\n");
    // A session is made by a method of the crawler, for which there is no setting.
    let app = app.crawler(|crawler| {
        let session = opilio_engine::Session::new().header("x-who", "alice").unwrap();
        crawler.session("alice", session)
    });
    let code = match app.extracts::<Product>().output("products.jsonl").run(args.split('\n')) {
        Ok(ended) => ended.tell().code(),
        Err(failure) => failure.tell(),
    };
    std::process::exit(code.into());
}
