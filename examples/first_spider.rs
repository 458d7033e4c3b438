//! A first spider: listing pages link to product pages, and each product is an item. `cargo run --example
//! first_spider`
#![allow(clippy::print_stdout, reason = "an example talks to a person")]

use opilio::prelude::*;

/// One item of the output: a product.
#[derive(Debug, Serialize)]
struct Product {
    name: String,
    price: String,
}

/// The kinds of pages. Each request carries the step of its page, so `parse` knows which kind of page it reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Step {
    Listing,
    Product,
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
                found.follow(page, "a.product", Step::Product)?;
                found.follow(page, "a.next", Step::Listing)?;
            }
            Step::Product => found.item(Product {
                name: page.css("h1")?.need()?.text(),
                price: page.css(".price")?.text().unwrap_or_default(),
            }),
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A local server with a shop to crawl.
    let shop =
        opilio_sandbox::Sandbox::builder().host(opilio_sandbox::HostConfig::new().products(60)).start()?;

    let report = Crawler::new(Shop { base: shop.base(0) })
        // A high rate, for a local server. By default a host gets one request a second.
        .host(HostPolicy::new().rate(per_second(500)).in_flight(8))
        .addresses(AddressPolicy::allow_all())
        .export(JsonLines::stdout())
        .run()
        .await?;
    println!("{report}");
    assert_eq!((report.items, report.failed()), (60, 0));
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example ends well");
}
