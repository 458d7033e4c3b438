//! Renders the pages of the shop from the catalog: HTML, JSON, robots.txt and the sitemap. The pages that only tests of
//! extraction need are in `samples`.

use std::fmt::Write as _;

use serde_json::json;

use crate::catalog::{Catalog, LISTING_PAGE_SIZE, Product, pages};
use crate::edition::Edition;
use crate::route::Route;
use crate::{samples, structured};

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const XML: &str = "application/xml";

/// A shop as its pages show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shop<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) edition: Edition,
    /// The scheme and authority in the URLs of the sitemap.
    pub(crate) base: &'a str,
}

/// Returns the content type and the body for a route. For a route that is not a page, the body is a short line.
pub(crate) fn render(route: &Route, shop: Shop<'_>) -> (&'static str, String) {
    let Shop { catalog, edition, base } = shop;
    match route {
        Route::Home => (HTML, home(catalog)),
        Route::Listing { page, category } => (HTML, listing(shop, *page, category.as_deref())),
        Route::Product(id) => match catalog.product(*id) {
            Some(found) => (HTML, product(catalog, edition, found)),
            None => (TEXT, "not found\n".to_owned()),
        },
        Route::Deals => (HTML, deals(catalog)),
        Route::Sample(sample) => (HTML, samples::render(sample, catalog)),
        Route::ApiList { page, per_page } => (JSON, api_list(catalog, *page, *per_page)),
        Route::ApiProduct(id) => (JSON, json!(catalog.product(*id)).to_string()),
        Route::Robots => (TEXT, robots(base)),
        Route::Sitemap => (XML, sitemap(catalog, base)),
        Route::Orders => (JSON, "{}".to_owned()),
        Route::Redirect { to, .. } => (TEXT, format!("see {to}\n")),
        Route::BadRequest(why) => (TEXT, format!("bad request: {why}\n")),
        Route::NotFound => (TEXT, "not found\n".to_owned()),
    }
}

/// Returns the content type of a route, for an answer without a body.
pub(crate) fn content_type(route: &Route) -> &'static str {
    match route {
        Route::Home | Route::Listing { .. } | Route::Product(_) | Route::Deals | Route::Sample(_) => HTML,
        Route::ApiList { .. } | Route::ApiProduct(_) | Route::Orders => JSON,
        Route::Sitemap => XML,
        Route::Robots | Route::Redirect { .. } | Route::BadRequest(_) | Route::NotFound => TEXT,
    }
}

/// Returns a small page that contains a title and a sentence.
pub(crate) fn small_page(title: &str, sentence: &str) -> String {
    let sentence = escape(sentence);
    document(title, &format!("<h1>{}</h1>\n<p>{sentence}</p>\n", escape(title)))
}

fn home(catalog: &Catalog) -> String {
    let body = format!(
        "<h1>Catalog108</h1>\n<p>{} products.</p>\n<ul>\n<li><a href=\"/products\">All products</a></li>\n\
         <li><a href=\"/deals\">Deals</a></li>\n</ul>\n",
        catalog.products().len()
    );
    document("Catalog108", &body)
}

fn listing(shop: Shop<'_>, page: u32, category: Option<&str>) -> String {
    let catalog = shop.catalog;
    let title = category.map_or_else(|| "All products".to_owned(), |name| format!("Category {name}"));
    let mut body = format!("<h1>{}</h1>\n<nav class=\"categories\">\n", escape(&title));
    for name in Catalog::categories() {
        push(
            &mut body,
            format_args!("<a class=\"category\" href=\"/products?category={name}\">{name}</a>\n"),
        );
    }
    body.push_str("</nav>\n<ol class=\"products\">\n");
    let before = (page - 1) as usize * LISTING_PAGE_SIZE as usize;
    let shown = catalog.of_category(category).skip(before);
    for product in shown.take(LISTING_PAGE_SIZE as usize) {
        body.push_str(&card(product, shop.edition));
    }
    body.push_str("</ol>\n<nav class=\"pages\">\n");
    if page > 1 {
        push(
            &mut body,
            format_args!(
                "<a rel=\"prev\" class=\"prev\" href=\"{}\">Previous</a>\n",
                listing_href(page - 1, category)
            ),
        );
    }
    let last = catalog.listing_pages(category);
    push(&mut body, format_args!("<span>Page {page} of {last}</span>\n"));
    if page < last {
        push(
            &mut body,
            format_args!(
                "<a rel=\"next\" class=\"next\" href=\"{}\">Next</a>\n",
                listing_href(page + 1, category)
            ),
        );
    }
    body.push_str("</nav>\n");
    document(&title, &body)
}

/// Returns the link to a listing page. Each listing page has only one URL, so that a crawler fetches it once.
fn listing_href(page: u32, category: Option<&str>) -> String {
    match (page, category) {
        (1, None) => "/products".to_owned(),
        (1, Some(name)) => format!("/products?category={name}"),
        (page, None) => format!("/products?page={page}"),
        (page, Some(name)) => format!("/products?page={page}&amp;category={name}"),
    }
}

fn card(product: &Product, edition: Edition) -> String {
    format!(
        "<li><a class=\"product\" href=\"{}\"><span class=\"{}\">{}</span></a> <span class=\"{}\">${}</span></li>\n",
        product.path(),
        edition.class("name"),
        escape(&product.name),
        edition.class("price"),
        product.price()
    )
}

fn product(catalog: &Catalog, edition: Edition, product: &Product) -> String {
    let category = product.category;
    let name = escape(&product.name);
    let mut body = format!(
        "<nav class=\"breadcrumbs\"><a href=\"/\">Home</a> / <a href=\"/products\">Products</a> / \
         <a href=\"/products?category={category}\">{category}</a> / <span>{name}</span></nav>\n\
         <article class=\"product\" data-id=\"{}\">\n<h1 class=\"{}\">{name}</h1>\n\
         <p class=\"{}\" data-currency=\"{}\">${}</p>\n<dl>\n",
        product.id,
        edition.class("name"),
        edition.class("price"),
        product.currency,
        product.price(),
    );
    for (term, class, value) in [
        ("Currency", "currency", product.currency.to_owned()),
        ("Category", "category", category.to_owned()),
        ("In stock", "stock", product.stock.to_string()),
        ("SKU", "sku", product.sku.clone()),
        ("Rating", "rating", product.rating()),
    ] {
        let class = edition.class(class);
        push(&mut body, format_args!("<dt>{term}</dt><dd class=\"{class}\">{}</dd>\n", escape(&value)));
    }
    push(
        &mut body,
        format_args!("</dl>\n<p class=\"description\">{}</p>\n</article>\n", escape(&product.description)),
    );
    body.push_str("<aside><h2>Related</h2>\n<ul>\n");
    for other in product.related.iter().filter_map(|id| catalog.product(*id)) {
        push(
            &mut body,
            format_args!(
                "<li><a class=\"related\" href=\"{}\">{}</a></li>\n",
                other.path(),
                escape(&other.name)
            ),
        );
    }
    body.push_str("</ul>\n</aside>\n");
    body.push_str(&structured::microdata(product));
    document_with(&product.name, &structured::json_ld(product), &body)
}

fn deals(catalog: &Catalog) -> String {
    let mut body = "<h1>Deals</h1>\n<ul class=\"deals\">\n".to_owned();
    for (product, deal) in catalog.deals() {
        push(
            &mut body,
            format_args!(
                "<li class=\"deal\"><a class=\"product\" href=\"{}\">{}</a> <del class=\"old-price\">${}</del> \
             <ins class=\"new-price\">${}</ins> <b class=\"percent\">-{}%</b> until \
             <time class=\"expires\" datetime=\"{}\">{}</time></li>\n",
                product.path(),
                escape(&product.name),
                product.price(),
                deal.new_price(),
                deal.percent,
                deal.expires,
                deal.expires,
            ),
        );
    }
    body.push_str("</ul>\n");
    document("Deals", &body)
}

fn api_list(catalog: &Catalog, page: u32, per_page: u32) -> String {
    let all = catalog.products();
    let first = (page as usize - 1).saturating_mul(per_page as usize).min(all.len());
    let last = first.saturating_add(per_page as usize).min(all.len());
    json!({
        "page": page,
        "per_page": per_page,
        "total": all.len(),
        "pages": pages(all.len(), per_page),
        "products": &all[first..last],
    })
    .to_string()
}

fn robots(base: &str) -> String {
    format!("User-agent: *\nDisallow: /admin/\n\nSitemap: {base}/sitemap.xml\n")
}

fn sitemap(catalog: &Catalog, base: &str) -> String {
    let base = escape(base);
    let mut xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                   <urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n"
        .to_owned();
    for path in ["/", "/products", "/deals"] {
        push(&mut xml, format_args!("<url><loc>{base}{path}</loc></url>\n"));
    }
    for product in catalog.products() {
        push(&mut xml, format_args!("<url><loc>{base}{}</loc></url>\n", product.path()));
    }
    xml.push_str("</urlset>\n");
    xml
}

pub(crate) fn document(title: &str, body: &str) -> String {
    document_with(title, "", body)
}

/// Returns a document with further elements in its head.
fn document_with(title: &str, head: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{} - Catalog108</title>\n\
         {head}</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// Appends a line. Writing to a string cannot fail.
pub(crate) fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(line);
}

/// Escapes text for HTML and XML, in content and in double-quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn page(target: &str) -> String {
        page_of(target, Edition::First)
    }

    fn page_of(target: &str, edition: Edition) -> String {
        let catalog = Catalog::standard();
        let route = Route::of(target, &catalog);
        let shop = Shop { catalog: &catalog, edition, base: "http://127.0.0.1:1" };
        let (kind, body) = render(&route, shop);
        assert_eq!(kind, content_type(&route));
        body
    }

    #[test]
    fn a_product_page_shows_every_field_escaped() {
        let html = page("/products/334-black-wooden-cable");
        let catalog = Catalog::standard();
        let product = catalog.product(334).unwrap();
        for part in [
            "<h1 class=\"name\">Black Wooden Cable</h1>",
            &format!("${}</p>", product.price()),
            "<dd class=\"sku\">C108-00334</dd>",
            &format!("<dd class=\"rating\">{}</dd>", product.rating()),
            "&quot;solid&quot; &amp; light, &lt; 2 kg, for &#39;every&#39; home",
            "href=\"/products?category=electronics\"",
        ] {
            assert!(html.contains(part), "{part} is missing");
        }
        assert_eq!(html.matches("class=\"related\"").count(), 3);
    }

    #[test]
    fn the_second_edition_has_the_same_content_in_other_classes() {
        for target in ["/products/334-black-wooden-cable", "/products?page=2"] {
            let mut first = page(target);
            for class in Edition::RENAMED {
                let (old, new) =
                    (format!("class=\"{class}\""), format!("class=\"{}\"", Edition::Second.class(class)));
                first = first.replace(&old, &new);
            }
            assert_eq!(page_of(target, Edition::Second), first);
            assert_ne!(page_of(target, Edition::Second), page(target));
        }
    }

    #[test]
    fn the_listing_leads_to_every_product_once() {
        let mut links = Vec::new();
        let mut target = "/products".to_owned();
        loop {
            let html = page(&target);
            for card in html.split("<a class=\"product\" href=\"").skip(1) {
                links.push(card.split('"').next().unwrap().to_owned());
            }
            match html.split("class=\"next\" href=\"").nth(1) {
                Some(rest) => target = rest.split('"').next().unwrap().replace("&amp;", "&"),
                None => break,
            }
        }
        let catalog = Catalog::standard();
        let expected: Vec<_> = catalog.products().iter().map(Product::path).collect();
        assert_eq!(links, expected);
    }

    #[test]
    fn a_category_keeps_its_name_from_page_to_page() {
        let html = page("/products?category=kitchen&page=2");
        assert!(html.contains("href=\"/products?category=kitchen\">Previous"));
        assert!(html.contains("href=\"/products?page=3&amp;category=kitchen\">Next"));
    }

    #[test]
    fn the_api_gives_every_product_once_and_then_nothing() {
        let mut ids = Vec::new();
        for number in 1..=7 {
            let text = page(&format!("/api/products?page={number}&per_page=100"));
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&json["total"], &json["pages"]), (&json!(520), &json!(6)));
            let products = json["products"].as_array().unwrap();
            ids.extend(products.iter().map(|p| p["id"].as_u64().unwrap()));
        }
        assert_eq!(ids, (1..=520).collect::<Vec<_>>());
        let one: serde_json::Value = serde_json::from_str(&page("/api/products/334")).unwrap();
        assert_eq!(one["url"], "/products/334-black-wooden-cable");
        page("/api/products?page=4294967295&per_page=100");
    }

    #[test]
    fn deals_robots_and_sitemap_are_complete() {
        assert_eq!(page("/deals").matches("class=\"deal\"").count(), 52);
        assert!(page("/deals").contains("datetime=\"2030-"));
        let robots = page("/robots.txt");
        assert!(robots.contains("Disallow: /admin/\n"));
        assert!(robots.contains("Sitemap: http://127.0.0.1:1/sitemap.xml"));
        assert_eq!(page("/sitemap.xml").matches("<loc>").count(), 523);
    }
}
