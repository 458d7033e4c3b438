//! A test of the coverage of fields: it adds up over kills and resumes, and expectations judge the sum.
use opilio_testkit::prelude::*;

#[derive(Extract, Serialize)]
struct Product {
    #[css("h1.name")]
    name: String,
    #[css("b.discount")]
    discount: Option<String>,
}

struct Shop;
impl Spider for Shop {
    type Item = Product;
    type Step = bool;
    fn seeds(&self) -> Vec<Request<bool>> {
        vec![Request::get("https://shop.example/products", false)]
    }
    fn parse(&self, page: &Page<bool>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match page.step() {
            true => found.item(page.extract()?),
            false => drop(found.follow(page, "a.product", true)?),
        }
        Ok(())
    }
}

#[test]
fn fields_are_counted_once_however_often_the_crawl_is_killed() {
    let expecting =
        |crawler: Crawler<Shop>| crawler.expect_filled("name", 1.0).expect_filled("discount", 0.5);
    let run = crawl(Shop)
        .on(Web::new().site(HostConfig::new()))
        .with(expecting)
        .killed_after(5)
        .killed_after(9)
        .killed_after(17)
        .run();
    let counts = |name: &str| (run.report.coverage[name].filled, run.report.coverage[name].total());
    assert_eq!((counts("Product.name"), counts("Product.discount")), ((20, 20), (0, 20)));
    let missed: Vec<String> = run.report.shortfalls.iter().map(ToString::to_string).collect();
    assert_eq!(missed, ["discount was filled in 0 % (0 of 20), and 50 % are expected"]);
}
