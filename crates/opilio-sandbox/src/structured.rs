//! The structured data of a product's page: JSON-LD and microdata, in the shapes in which web sites contain them,
//! some of them broken on purpose.

use serde_json::{Value, json};

use crate::catalog::Product;
use crate::pages::escape;

/// The shape of the structured data of a product's page. It depends on the last digit of the product's id, so each
/// shape occurs in a tenth of the products.
///
/// Each page has JSON-LD or microdata that can be read: where one of them is broken or absent, the other is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structured {
    /// JSON-LD: the product is in a `@graph`, beside the page and the shop.
    Graph,
    /// JSON-LD: a plain object.
    Plain,
    /// JSON-LD: an `AggregateOffer` with a lowest and a highest price, around the offer.
    Aggregate,
    /// JSON-LD that breaks off in the middle of a string. Only the microdata can be read.
    CutOff,
    /// JSON-LD: a list of types that are URLs, and a list of offers.
    Lists,
    /// JSON-LD: two broken blocks before a good one, and a block about the breadcrumbs.
    BesideBroken,
    /// JSON-LD with a line break inside of a string and a comma before a closing bracket. Strict parsers refuse it,
    /// but its meaning is clear.
    Sloppy,
    /// JSON-LD inside of comments and CDATA.
    Wrapped,
    /// No JSON-LD at all, only microdata.
    Absent,
    /// Plain JSON-LD. The microdata lacks its `itemscope`, so its properties belong to no item.
    Unscoped,
}

impl Structured {
    /// Returns the shape of the structured data of the product with this id.
    pub fn of(id: u32) -> Self {
        match id % 10 {
            0 => Self::Graph,
            1 => Self::Plain,
            2 => Self::Aggregate,
            3 => Self::CutOff,
            4 => Self::Lists,
            5 => Self::BesideBroken,
            6 => Self::Sloppy,
            7 => Self::Wrapped,
            8 => Self::Absent,
            _ => Self::Unscoped,
        }
    }

    /// Returns whether a page of this shape has JSON-LD from which the product can be read.
    pub fn has_json_ld(self) -> bool {
        !matches!(self, Self::CutOff | Self::Absent)
    }

    /// Returns whether a page of this shape has microdata from which the product can be read.
    pub fn has_microdata(self) -> bool {
        self != Self::Unscoped
    }
}

/// Returns the JSON-LD blocks of a product's page, as elements of its head.
pub(crate) fn json_ld(product: &Product) -> String {
    let plain = described(product);
    let blocks = match Structured::of(product.id) {
        Structured::Plain | Structured::Unscoped => vec![plain.to_string()],
        Structured::Graph => {
            let page = json!({ "@type": "WebPage", "name": "A page" });
            let shop = json!({ "@type": "Organization", "name": "Catalog108" });
            vec![json!({ "@context": CONTEXT, "@graph": [page, shop, plain] }).to_string()]
        }
        Structured::Aggregate => {
            let mut product_of_many = plain.clone();
            product_of_many["offers"] = json!({
                "@type": "AggregateOffer",
                "priceCurrency": product.currency,
                "lowPrice": product.price(),
                "highPrice": product.price(),
                "offerCount": 1,
                "offers": [plain["offers"]],
            });
            vec![product_of_many.to_string()]
        }
        Structured::CutOff => {
            let text = plain.to_string();
            let middle = text.find(&product.sku).map_or(text.len() / 2, |at| at + 3);
            vec![text[..middle].to_owned()]
        }
        Structured::Lists => {
            let mut lists = plain.clone();
            lists["@type"] = json!(["https://schema.org/Product", "https://schema.org/IndividualProduct"]);
            lists["offers"] = json!([plain["offers"]]);
            vec![json!([lists]).to_string()]
        }
        Structured::BesideBroken => {
            let crumbs = json!({ "@context": CONTEXT, "@type": "BreadcrumbList", "itemListElement": [] });
            let broken = ["{\"@type\": \"Product\", \"sku\": }", "{{ product | json }}"];
            let good = [crumbs.to_string(), plain.to_string()];
            broken.into_iter().map(str::to_owned).chain(good).collect()
        }
        Structured::Sloppy => {
            let text = plain.to_string().replacen(", for ", ",\nfor ", 1);
            vec![format!("{},}}", text.strip_suffix('}').unwrap_or(&text))]
        }
        Structured::Wrapped => vec![format!("//<![CDATA[\n{plain}\n//]]>")],
        Structured::Absent => Vec::new(),
    };
    blocks.iter().map(|block| script(block)).collect()
}

/// Returns the microdata of a product's page: elements of its body that show nothing.
pub(crate) fn microdata(product: &Product) -> String {
    let has_scope = Structured::of(product.id).has_microdata();
    let scope = if has_scope { " itemscope itemtype=\"https://schema.org/Product\"" } else { "" };
    format!(
        "<div{scope}>\n<meta itemprop=\"sku\" content=\"{}\">\n<meta itemprop=\"name\" content=\"{}\">\n\
         <div itemprop=\"offers\" itemscope itemtype=\"https://schema.org/Offer\">\n\
         <meta itemprop=\"price\" content=\"{}\">\n<meta itemprop=\"priceCurrency\" content=\"{}\">\n</div>\n</div>\n",
        escape(&product.sku),
        escape(&product.name),
        product.price(),
        product.currency,
    )
}

const CONTEXT: &str = "https://schema.org";

fn described(product: &Product) -> Value {
    json!({
        "@context": CONTEXT,
        "@type": "Product",
        "name": product.name,
        "sku": product.sku,
        "description": product.description,
        "category": product.category,
        "offers": { "@type": "Offer", "price": product.price(), "priceCurrency": product.currency },
    })
}

/// Returns the element that contains a block. Scripts decode no entities, so nothing is escaped; the catalog has no text
/// that ends a script.
fn script(block: &str) -> String {
    format!("<script type=\"application/ld+json\">{block}</script>\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::Catalog;

    #[test]
    fn each_shape_is_as_broken_as_it_says() {
        let catalog = Catalog::standard();
        for id in 1..=10 {
            let html = json_ld(catalog.product(id).unwrap());
            let blocks = html.split("json\">").skip(1).map(|rest| rest.split("</script>").next().unwrap());
            let read: Vec<bool> = blocks.map(|block| serde_json::from_str::<Value>(block).is_ok()).collect();
            let expected: &[bool] = match Structured::of(id) {
                Structured::Absent => &[],
                Structured::BesideBroken => &[false, false, true, true],
                Structured::CutOff | Structured::Sloppy | Structured::Wrapped => &[false],
                Structured::Graph
                | Structured::Plain
                | Structured::Aggregate
                | Structured::Lists
                | Structured::Unscoped => &[true],
            };
            assert_eq!(read, expected, "{html}");
        }
    }
}
