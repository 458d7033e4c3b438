//! The ways in which the benchmark's spider reads a page. Each is a row that is read from a page and written.
//!
//! The sources fit the pages of `site` and those of any other site with the same common markup: a product with JSON-LD,
//! `<meta>` elements, a heading and a `.product-info`.

use opilio::prelude::*;

/// A row that the spider reads from each page and writes.
pub(crate) trait PageReading: Serialize + Send + Sync + Sized + 'static {
    /// Reads the row from a page.
    ///
    /// # Errors
    /// When a field of the row cannot be read.
    fn read(page: &Page<()>) -> Result<Self, ParseError>;
}

/// URL and title, without a DOM.
#[derive(Serialize)]
pub(crate) struct LinksRow {
    url: String,
    title: String,
}

/// URL, title and the field `sku`, from the DOM.
#[derive(Serialize)]
pub(crate) struct DomRow {
    url: String,
    title: String,
    sku: String,
}

/// A row of nine fields from the JSON-LD and the `<meta>` elements of the page, and from the request. No DOM is built for it.
#[derive(Serialize, Extract)]
pub(crate) struct TypedRow {
    #[page(requested_url)]
    url: String,
    #[page(depth)]
    depth: u16,
    #[meta("og:title")]
    title: String,
    #[meta("og:type")]
    kind: String,
    #[meta("description")]
    description: String,
    #[ld("Product", "name")]
    name: String,
    #[ld("Product", "sku")]
    sku: String,
    #[ld("Product", "offers.priceCurrency")]
    currency: Option<String>,
    #[ld("Product", "offers.availability")]
    availability: Option<String>,
}

/// Six fields from the DOM, by `#[derive(Extract)]`.
#[derive(Serialize)]
pub(crate) struct CssDerived {
    url: String,
    #[serde(flatten)]
    fields: CssFields,
}

/// The same six fields, read by hand.
#[derive(Serialize)]
pub(crate) struct CssByHand {
    url: String,
    #[serde(flatten)]
    fields: CssFields,
}

#[derive(Serialize, Extract)]
struct CssFields {
    #[css("title")]
    title: String,
    #[css(".product h1")]
    name: String,
    #[css(".product-info .sku")]
    sku: String,
    #[css(".product-info .price")]
    price: String,
    #[css(".product-info .buy", attr = "data-sku")]
    buys: String,
    #[css(".product p")]
    about: String,
}

impl PageReading for LinksRow {
    fn read(page: &Page<()>) -> Result<Self, ParseError> {
        Ok(Self { url: page.requested_url().to_owned(), title: page.title().unwrap_or_default().to_owned() })
    }
}

impl PageReading for DomRow {
    fn read(page: &Page<()>) -> Result<Self, ParseError> {
        Ok(Self {
            url: page.requested_url().to_owned(),
            sku: page.css(".product-info .sku, body > .sku")?.text().unwrap_or_default(),
            title: page.css("title")?.text().unwrap_or_default(),
        })
    }
}

impl PageReading for TypedRow {
    fn read(page: &Page<()>) -> Result<Self, ParseError> {
        let row = page.extract()?;
        // The crawl fails, because its site expects a row of every page.
        assert!(!page.document().has_dom(), "the fields of {} were read from a DOM", page.url());
        Ok(row)
    }
}

impl PageReading for CssDerived {
    fn read(page: &Page<()>) -> Result<Self, ParseError> {
        Ok(Self { url: page.requested_url().to_owned(), fields: page.extract()? })
    }
}

impl PageReading for CssByHand {
    fn read(page: &Page<()>) -> Result<Self, ParseError> {
        let url = page.requested_url().to_owned();
        let first = |css: &str| wanted(css, page.css(css)?.text());
        let button = page.css(BUTTON)?.attr("data-sku").map(str::to_owned);
        let fields = CssFields {
            title: first("title")?,
            name: first(".product h1")?,
            sku: first(".product-info .sku")?,
            price: first(".product-info .price")?,
            buys: wanted(BUTTON, button)?,
            about: first(".product p")?,
        };
        Ok(Self { url, fields })
    }
}

fn wanted(css: &str, value: Option<String>) -> Result<String, ParseError> {
    value.ok_or_else(|| ParseError::new(format!("the page has no {css}")))
}

const BUTTON: &str = ".product-info .buy";
