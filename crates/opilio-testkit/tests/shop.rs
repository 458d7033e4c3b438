//! Tests of extraction from the pages of the sandbox's shop: structured data in every shape, the prices of five
//! countries, dates, markup without end tags, a page that scripts would fill, and the second edition of the shop.
#![allow(clippy::unwrap_used, reason = "tests")]

use opilio_testkit::opilio::extract::jiff::{Timestamp, civil::DateTime};
use opilio_testkit::prelude::*;
use opilio_testkit::sandbox::{Ask, Catalog, DateForm, Host, Market, Structured, UNCLOSED_SIZE, WrittenDate};

/// The same fields of a product, from each kind of source.
#[derive(Debug, PartialEq, Extract, Serialize, Deserialize)]
struct Product {
    #[page(url)]
    url: String,
    #[ld("Product", "sku")]
    linked_sku: Option<String>,
    #[ld("Product", "offers.price")]
    #[ld("Product", "offers.lowPrice")]
    linked_price: Option<Price>,
    #[micro("Product", "sku")]
    micro_sku: Option<String>,
    #[micro("Product", "offers")]
    micro_price: Option<Price>,
    #[css("h1.name")]
    name: Option<String>,
    #[css("p.price")]
    price: Option<Price>,
    #[css("dd.stock")]
    stock: Option<u32>,
    #[css("dd.category")]
    category: Option<String>,
}

/// Reads all products of the shop.
struct Shop;

impl Spider for Shop {
    type Item = Product;
    type Step = u8;

    fn seeds(&self) -> Vec<Request<u8>> {
        vec![Request::get("https://shop.example/products", 0)]
    }

    fn parse(&self, page: &Page<u8>, found: &mut Found<Self>) -> Result<(), ParseError> {
        if *page.step() == 0 {
            found.follow(page, "a.product", 1)?;
            found.follow(page, "a.next", 0)?;
        } else {
            found.item(page.extract()?);
        }
        Ok(())
    }
}

fn crawled(config: HostConfig) -> Vec<Product> {
    let fast = HostPolicy::new().rate(per_second(1_000));
    let run = crawl(Shop).host(fast).on(Web::new().at("https://shop.example").site(config)).run();
    run.assert_finished();
    run.items_as()
}

/// Returns the page of the shop at this path.
fn page(path: &str) -> Page<()> {
    let mut host = Host::new(HostConfig::new());
    let answer = host.arrive(Duration::ZERO, &Ask::get(path));
    assert_eq!(answer.status, 200, "{path}");
    let html = String::from_utf8(answer.body.to_vec()).unwrap();
    Page::builder(format!("https://shop.example{path}")).html(html).build().unwrap()
}

#[test]
fn each_product_is_read_from_the_structured_data_that_is_not_broken() {
    let items = crawled(HostConfig::new());
    let catalog = Catalog::standard();
    assert_eq!(items.len(), catalog.products().len());
    for item in items {
        let url = Url::parse(&item.url).unwrap();
        let product = catalog.products().iter().find(|product| product.path() == url.path()).unwrap();
        let shape = Structured::of(product.id);
        let amount = Some(product.price().parse::<Decimal>().unwrap());
        let linked = shape.has_json_ld().then_some(product.sku.as_str());
        let micro = shape.has_microdata().then_some(product.sku.as_str());
        assert_eq!(item.linked_sku.as_deref(), linked, "{shape:?}");
        assert_eq!(
            item.linked_price.map(|price| price.amount),
            amount.filter(|_| linked.is_some()),
            "{shape:?}"
        );
        assert_eq!(item.micro_sku.as_deref(), micro, "{shape:?}");
        let expected = amount.filter(|_| micro.is_some());
        assert_eq!(item.micro_price.map(|price| price.amount), expected, "{shape:?}");
        assert_eq!(item.price.map(|price| price.amount), amount);
        assert_eq!(item.name.as_deref(), Some(product.name.as_str()));
        assert_eq!(item.stock, Some(product.stock));
    }
}

#[test]
fn in_the_second_edition_three_fields_are_empty_and_no_others() {
    let first = crawled(HostConfig::new().products(30));
    let second = crawled(HostConfig::new().products(30).edition(Edition::Second));
    assert_eq!((first.len(), second.len()), (30, 30));
    assert!(first.iter().all(|item| item.name.is_some() && item.price.is_some() && item.stock.is_some()));
    let mut emptied = first;
    for item in &mut emptied {
        (item.name, item.price, item.stock) = (None, None, None);
    }
    emptied.sort_by(|a, b| a.url.cmp(&b.url));
    let mut second = second;
    second.sort_by(|a, b| a.url.cmp(&b.url));
    assert_eq!(second, emptied);
}

#[test]
fn the_prices_of_five_countries_are_read_as_they_are_meant() {
    #[derive(Extract)]
    #[extract(each = "li.offer")]
    struct Offer {
        #[css(":scope", attr = "data-sku")]
        sku: String,
        #[css(".price")]
        price: Price,
    }

    /// An offer in Germany, where whole amounts have no cents: only a form says what `1.299 €` means.
    #[derive(Extract)]
    #[extract(each = "li.offer")]
    struct GermanOffer {
        #[css(":scope", attr = "data-sku")]
        sku: String,
        #[css(".price", number = "1.234,56")]
        price: Price,
    }

    let catalog = Catalog::standard();
    for market in Market::ALL {
        let page = page(market.path());
        let read: Vec<(String, Price)> = if market == Market::Germany {
            let offers: Vec<GermanOffer> = page.extract_all().unwrap();
            let guessed = page.extract_each::<Offer>();
            assert!(guessed.iter().any(Result::is_err), "no amount is ambiguous");
            for (guessed, offer) in guessed.into_iter().zip(&offers) {
                assert!(guessed.is_err() || guessed.unwrap().price == offer.price);
            }
            offers.into_iter().map(|offer| (offer.sku, offer.price)).collect()
        } else {
            let offers: Vec<Offer> = page.extract_all().unwrap();
            offers.into_iter().map(|offer| (offer.sku, offer.price)).collect()
        };
        assert_eq!(read.len(), catalog.products().len());
        for (product, (sku, price)) in catalog.products().iter().zip(read) {
            assert_eq!(sku, product.sku);
            let cents = i64::try_from(market.cents(product)).unwrap();
            assert_eq!(price.amount, Decimal::new(cents, 2), "{}", market.price(product));
            let currency = price.currency.unwrap();
            assert_eq!(currency.code().unwrap_or("USD"), market.currency());
        }
    }
}

#[test]
fn an_hour_of_dates_is_read_in_every_form() {
    #[derive(Extract)]
    struct Dates {
        #[css("li.utc")]
        utc: Vec<Timestamp>,
        #[css("li.offset")]
        offset: Vec<Timestamp>,
        #[css("li.mail")]
        mail: Vec<Timestamp>,
        #[css("li.german", date = "%d.%m.%Y %H:%M %z")]
        german: Vec<Timestamp>,
        #[css("li.american", date = "%m/%d/%Y %I:%M %p")]
        american: Vec<DateTime>,
        #[css("li.unix", date = "%s")]
        unix: Vec<Timestamp>,
    }

    let dates: Dates = page("/dates").extract().unwrap();
    let expected = |form: DateForm| -> Vec<i64> {
        let dates = WrittenDate::all().into_iter().filter(|date| date.form == form);
        dates.map(|date| date.unix_seconds).collect()
    };
    let american = dates.american.iter();
    // The American form has no offset; the page means UTC.
    let american: Vec<Timestamp> = american.map(|date| format!("{date}Z").parse().unwrap()).collect();
    for (form, read) in [
        (DateForm::Utc, dates.utc),
        (DateForm::Offset, dates.offset),
        (DateForm::Mail, dates.mail),
        (DateForm::German, dates.german),
        (DateForm::American, american),
        (DateForm::Unix, dates.unix),
    ] {
        let read: Vec<i64> = read.into_iter().map(Timestamp::as_second).collect();
        assert_eq!(read, expected(form), "{form:?}");
        assert_eq!(read.len(), 10);
    }
}

#[test]
fn elements_without_end_tags_have_the_texts_that_html_gives_them() {
    #[derive(Extract)]
    struct Stock {
        #[css(".skus li")]
        skus: Vec<String>,
        #[css(".stocks dt")]
        names: Vec<String>,
        #[css(".stocks dd")]
        stocks: Vec<u32>,
        #[css(".descriptions p")]
        descriptions: Vec<String>,
    }

    let stock: Stock = page("/unclosed").extract().unwrap();
    let catalog = Catalog::standard();
    let products = &catalog.products()[..UNCLOSED_SIZE];
    assert_eq!(stock.skus, products.iter().map(|p| p.sku.clone()).collect::<Vec<_>>());
    assert_eq!(stock.names, products.iter().map(|p| p.name.clone()).collect::<Vec<_>>());
    assert_eq!(stock.stocks, products.iter().map(|p| p.stock).collect::<Vec<_>>());
    assert_eq!(stock.descriptions, products.iter().map(|p| p.description.clone()).collect::<Vec<_>>());
}

#[test]
fn the_error_about_a_page_that_scripts_would_fill_says_so() {
    #[derive(Extract, Debug)]
    #[expect(dead_code, reason = "only the error matters")]
    struct Scripted {
        #[css("h2.name")]
        name: String,
    }

    let said = page("/scripted").extract::<Scripted>().unwrap_err().to_string();
    assert!(said.contains("Scripted.name") && said.contains("scripts seem to fill it"), "{said}");
}
