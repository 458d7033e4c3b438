//! The spider. Listing pages and a JSON API both lead to product pages. Each product page is fetched once and
//! gives one item.

use opilio::prelude::*;

/// One line of `products.jsonl`. The attribute above each field says where a product page has the value.
#[derive(Debug, PartialEq, Extract, Serialize, Deserialize)]
#[extract(key = "sku")]
pub(crate) struct Product {
    #[page(url)]
    pub(crate) url: String,
    #[css("dd.sku")]
    sku: String,
    #[css("h1.name")]
    name: String,
    #[css("p.price")]
    price: Price,
    #[css("dd.category")]
    category: String,
    #[css("dd.stock")]
    stock: u32,
    #[css("p.description")]
    description: String,
}

/// An answer of the API. This example reads only the links to product pages; it could also take the items
/// from the answer.
#[derive(Extract)]
struct ApiPage {
    #[json("page")]
    page: u32,
    #[json("pages")]
    pages: u32,
    #[json("products.url")]
    products: Vec<Url>,
}

/// The kinds of pages. Each request carries the step of its page.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    Listing,
    Api,
    Product,
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
                let answer: ApiPage = page.extract()?;
                for product in answer.products {
                    found.link(page, product, Step::Product);
                }
                if answer.page < answer.pages {
                    found.link(page, format!("?page={}&per_page=100", answer.page + 1), Step::Api);
                }
            }
            Step::Product => found.item(page.extract()?),
        }
        Ok(())
    }
}
