//! The spider: listing and JSON API both lead to product pages; each is fetched once, and is an item.

use opilio::prelude::*;

/// One line of `products.jsonl`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) url: String,
    pub(crate) sku: String,
    name: String,
    price: f64,
    category: String,
    stock: u32,
    description: String,
}

/// The kinds of pages. A step travels with its request.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    Listing,
    Api,
    Product,
}

/// An answer of the API. This example takes only the links to pages from it; it could take the items as well.
#[derive(Deserialize)]
struct ApiPage {
    page: u32,
    pages: u32,
    products: Vec<Product>,
}

pub(crate) struct Catalog108 {
    pub(crate) base: Url,
}

impl Spider for Catalog108 {
    type Item = Product;
    type Step = Step;

    fn seeds(&self) -> Vec<Request<Step>> {
        let listing = Request::get(format!("{}products", self.base), Step::Listing);
        vec![listing, Request::get(format!("{}api/products?page=1&per_page=100", self.base), Step::Api)]
    }

    fn parse(&self, page: &Page<Step>, found: &mut Found<Self>) -> Result<(), ParseError> {
        match page.step() {
            Step::Listing => {
                found.follow(page, "a.product", Step::Product)?;
                found.follow(page, "a.next", Step::Listing)?;
            }
            Step::Api => {
                let answer: ApiPage = page.json()?;
                for product in answer.products {
                    found.link(page, product.url, Step::Product);
                }
                if answer.page < answer.pages {
                    found.link(page, format!("?page={}&per_page=100", answer.page + 1), Step::Api);
                }
            }
            Step::Product => found.item(Product {
                url: page.url().to_string(),
                sku: field(page, "dd.sku")?,
                name: field(page, "h1.name")?,
                price: field(page, "p.price")?,
                category: field(page, "dd.category")?,
                stock: field(page, "dd.stock")?,
                description: field(page, "p.description")?,
            }),
        }
        Ok(())
    }
}

/// The text of an element, parsed. A missing element ends this page as `parse_error`.
fn field<T: std::str::FromStr>(page: &Page<Step>, selector: &str) -> Result<T, ParseError> {
    let value = page.css(selector)?.text().and_then(|text| text.trim_start_matches('$').parse().ok());
    value.ok_or_else(|| ParseError::new(format!("{selector} is missing or malformed")))
}
