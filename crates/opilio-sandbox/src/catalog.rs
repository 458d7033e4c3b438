//! The products and deals of the sandbox's shop. They are the same in every run and on every machine.
//!
//! Tests compare the results of a crawl with this data. The module `pages` renders the data as HTML or JSON.

use std::sync::{Arc, LazyLock};

use serde::Serialize;

/// The number of products in [`Catalog::standard`].
pub const PRODUCTS_DEFAULT: u32 = 520;

/// The number of products on one page of the listing.
pub const LISTING_PAGE_SIZE: u32 = 20;

/// One product. Ids start at 1 and have no gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The product's id: its position in the catalog, counted from 1.
    pub id: u32,
    /// The product's name in title case, for instance `Black Wooden Cable`.
    pub name: String,
    /// The product's name as the URL contains it, for instance `black-wooden-cable`.
    pub slug: String,
    /// The regular price in cents.
    pub price_cents: u64,
    /// The ISO 4217 code of the currency.
    pub currency: &'static str,
    /// The category, which is in [`Catalog::categories`].
    pub category: &'static str,
    /// The number of pieces in stock; 0 means sold out.
    pub stock: u32,
    /// The stock keeping unit (SKU), which is unique.
    pub sku: String,
    /// The rating in tenths of a star, 10 to 50.
    pub rating_tenths: u8,
    /// The description: a sentence that contains characters which HTML must escape.
    pub description: String,
    /// The ids of the products that the product's page links to.
    pub related: Vec<u32>,
    /// The product's deal on `/deals`. Every tenth product has a deal.
    pub deal: Option<Deal>,
}

impl Product {
    /// Returns the path of the product's page, for instance `/products/334-black-wooden-cable`.
    pub fn path(&self) -> String {
        format!("/products/{}-{}", self.id, self.slug)
    }

    /// Returns the regular price in units with two decimals, for instance `12.05`.
    pub fn price(&self) -> String {
        decimal(self.price_cents)
    }

    /// Returns the rating in stars with one decimal, for instance `4.3`.
    pub fn rating(&self) -> String {
        format!("{}.{}", self.rating_tenths / 10, self.rating_tenths % 10)
    }
}

/// A product as the JSON API shows it.
#[derive(Serialize)]
struct ProductJson<'a> {
    id: u32,
    name: &'a str,
    slug: &'a str,
    url: String,
    price: f64,
    currency: &'static str,
    category: &'static str,
    stock: u32,
    sku: &'a str,
    rating: f64,
    description: &'a str,
}

impl Serialize for Product {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ProductJson {
            id: self.id,
            name: &self.name,
            slug: &self.slug,
            url: self.path(),
            price: self.price_cents as f64 / 100.0,
            currency: self.currency,
            category: self.category,
            stock: self.stock,
            sku: &self.sku,
            rating: f64::from(self.rating_tenths) / 10.0,
            description: &self.description,
        }
        .serialize(serializer)
    }
}

/// A reduced price for a limited time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deal {
    /// The reduced price in cents.
    pub new_price_cents: u64,
    /// The reduction in percent.
    pub percent: u8,
    /// The last day of the deal, `YYYY-MM-DD`.
    pub expires: String,
}

impl Deal {
    /// Returns the reduced price in units with two decimals.
    pub fn new_price(&self) -> String {
        decimal(self.new_price_cents)
    }
}

/// All products of a shop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    products: Vec<Product>,
}

impl Catalog {
    /// Builds a catalog of `count` products. Up to 2431 products, all names differ.
    pub fn new(count: u32) -> Self {
        Self { products: (1..=count).map(|id| product(id, count)).collect() }
    }

    /// Returns the shared catalog of [`PRODUCTS_DEFAULT`] products.
    pub fn standard() -> Arc<Self> {
        static STANDARD: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::new(PRODUCTS_DEFAULT)));
        Arc::clone(&STANDARD)
    }

    /// Returns all products, in the order of their ids.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// Returns the product with this id.
    pub fn product(&self, id: u32) -> Option<&Product> {
        let index = usize::try_from(id.checked_sub(1)?).ok()?;
        self.products.get(index)
    }

    /// Iterates over the products that have a deal, in the order of their ids.
    pub fn deals(&self) -> impl Iterator<Item = (&Product, &Deal)> {
        self.products.iter().filter_map(|product| product.deal.as_ref().map(|deal| (product, deal)))
    }

    /// Returns the names of the categories.
    pub fn categories() -> &'static [&'static str] {
        &CATEGORIES
    }

    /// Iterates over the products of a category (or of all categories), in the order of their ids.
    pub fn of_category<'a>(&'a self, category: Option<&'a str>) -> impl Iterator<Item = &'a Product> {
        self.products.iter().filter(move |product| category.is_none_or(|wanted| product.category == wanted))
    }

    /// Returns the number of listing pages of a category, or of all categories together; at least 1.
    pub fn listing_pages(&self, category: Option<&str>) -> u32 {
        let count = self
            .products
            .iter()
            .filter(|product| category.is_none_or(|wanted| product.category == wanted))
            .count();
        pages(count, LISTING_PAGE_SIZE)
    }
}

/// Returns the number of pages for `count` entries with `size` entries on each page, at least 1.
pub(crate) fn pages(count: usize, size: u32) -> u32 {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    count.div_ceil(size.max(1)).max(1)
}

fn product(id: u32, count: u32) -> Product {
    let adjective = pick(&ADJECTIVES, id);
    let material = pick(&MATERIALS, id);
    let (noun, category) = *pick(&NOUNS, id);
    let scattered = scatter(id);
    let price_cents = 199 + u64::from(scattered % 24_800);
    Product {
        id,
        name: title_case(&[adjective, material, noun]),
        slug: format!("{adjective}-{material}-{noun}"),
        price_cents,
        currency: "USD",
        category,
        stock: (scattered >> 8) % 60,
        sku: format!("C108-{id:05}"),
        rating_tenths: 10 + ((scattered >> 16) % 41) as u8,
        description: format!(
            "A {adjective} {material} {noun}: \"solid\" & light, < {} kg, for 'every' home.",
            1 + id % 9
        ),
        related: [7, 31, 113]
            .iter()
            .map(|step| (id - 1 + step) % count + 1)
            .filter(|other| *other != id)
            .collect(),
        deal: id.is_multiple_of(10).then(|| deal(id, price_cents)),
    }
}

fn deal(id: u32, price_cents: u64) -> Deal {
    let percent = 10 + (id / 10 % 5) as u8 * 10;
    Deal {
        new_price_cents: price_cents * u64::from(100 - percent) / 100,
        percent,
        expires: format!("2030-{:02}-{:02}", 1 + id / 10 % 12, 1 + id / 10 % 28),
    }
}

/// Chooses a word from a list by a product's id. The lengths of the three lists (17, 13 and 11) have no common
/// factor, so three words give up to 17·13·11 different names.
fn pick<T>(words: &[T], id: u32) -> &T {
    &words[id as usize % words.len()]
}

/// Mixes the bits of an id in a fixed way, so that prices look arbitrary and are the same on every machine.
fn scatter(id: u32) -> u32 {
    let mut x = id.wrapping_mul(0x9E37_79B9);
    x ^= x >> 15;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^ (x >> 13)
}

fn title_case(words: &[&str]) -> String {
    let mut name = String::new();
    for word in words {
        if !name.is_empty() {
            name.push(' ');
        }
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    name
}

fn decimal(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

const ADJECTIVES: [&str; 17] = [
    "small", "red", "modern", "quiet", "round", "green", "rustic", "light", "folding", "white", "sturdy",
    "black", "elegant", "blue", "slim", "classic", "bright",
];

const MATERIALS: [&str; 13] = [
    "cotton", "steel", "granite", "leather", "bamboo", "ceramic", "copper", "glass", "rubber", "wooden",
    "linen", "marble", "plastic",
];

const NOUNS: [(&str, &str); 11] = [
    ("lamp", "lighting"),
    ("chair", "furniture"),
    ("bottle", "kitchen"),
    ("backpack", "travel"),
    ("cable", "electronics"),
    ("table", "furniture"),
    ("lantern", "lighting"),
    ("bowl", "kitchen"),
    ("speaker", "electronics"),
    ("notebook", "office"),
    ("pen", "office"),
];

const CATEGORIES: [&str; 6] = ["electronics", "furniture", "kitchen", "lighting", "office", "travel"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn product_334_is_the_black_wooden_cable() {
        let catalog = Catalog::standard();
        let product = catalog.product(334).unwrap();
        assert_eq!(product.path(), "/products/334-black-wooden-cable");
        assert_eq!(product.name, "Black Wooden Cable");
        assert_eq!(product.category, "electronics");
    }

    #[test]
    fn names_and_skus_are_unique_and_categories_are_listed() {
        let catalog = Catalog::new(2431);
        let names: HashSet<_> = catalog.products().iter().map(|p| &p.name).collect();
        let skus: HashSet<_> = catalog.products().iter().map(|p| &p.sku).collect();
        assert_eq!((names.len(), skus.len()), (2431, 2431));
        let all = catalog.products();
        assert!(all.iter().all(|p| CATEGORIES.contains(&p.category)));
        let by_category: usize = CATEGORIES.iter().map(|c| catalog.of_category(Some(c)).count()).sum();
        assert_eq!(by_category, 2431);
    }

    #[test]
    fn ids_have_no_gaps_and_stay_in_range() {
        let catalog = Catalog::new(3);
        assert_eq!(catalog.product(0), None);
        assert_eq!(catalog.product(4), None);
        for (product, id) in catalog.products().iter().zip(1..) {
            assert_eq!(product.id, id);
            assert!(product.related.iter().all(|other| (1..=3).contains(other)));
            assert!(!product.related.contains(&id));
        }
    }

    #[test]
    fn a_deal_is_cheaper_by_its_percent() {
        let catalog = Catalog::standard();
        assert_eq!(catalog.deals().count(), 52);
        for (product, deal) in catalog.deals() {
            let percent = u64::from(deal.percent);
            assert!((10..=50).contains(&percent));
            assert_eq!(deal.new_price_cents, product.price_cents * (100 - percent) / 100);
        }
    }

    #[test]
    fn an_empty_catalog_has_one_empty_page() {
        let catalog = Catalog::new(0);
        assert_eq!(catalog.listing_pages(None), 1);
        assert!(catalog.products().is_empty());
    }
}
