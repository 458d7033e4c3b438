//! Pages for tests of extraction: prices of five countries, dates, markup without end tags, and a page that scripts
//! would fill. Nothing in the shop links to these pages, so a crawl of the shop does not reach them.

use crate::catalog::{Catalog, Product};
use crate::pages::{document, escape, push};

/// A page for tests of extraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SamplePage {
    /// The prices of a market, at `/prices/us` and so on.
    Prices(Market),
    /// The dates, at `/dates`.
    Dates,
    /// A page without end tags, at `/unclosed`.
    Unclosed,
    /// A page that scripts would fill, at `/scripted`.
    Scripted,
}

impl SamplePage {
    /// Finds the page at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            "/dates" => Some(Self::Dates),
            "/unclosed" => Some(Self::Unclosed),
            "/scripted" => Some(Self::Scripted),
            _ => Market::ALL.into_iter().find(|market| market.path() == path).map(Self::Prices),
        }
    }
}

/// Renders a page.
pub(crate) fn render(sample: &SamplePage, catalog: &Catalog) -> String {
    match sample {
        SamplePage::Prices(market) => prices(*market, catalog),
        SamplePage::Dates => dates(),
        SamplePage::Unclosed => unclosed(catalog),
        SamplePage::Scripted => scripted(),
    }
}

/// A country with its own form of prices. The page at [`Market::path`] shows all products with prices in this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Market {
    /// `$1,234.50`
    UnitedStates,
    /// `1.234,50 €`, and whole amounts without cents: `1.234 €`.
    Germany,
    /// `1 234,50 €`, with a narrow no-break space in the number and a no-break space after it.
    France,
    /// `CHF 1’234.50`, and whole amounts with a dash in place of the cents: `CHF 1’234.–`.
    Switzerland,
    /// `₹1,23,450.00`
    India,
}

impl Market {
    /// All markets.
    pub const ALL: [Self; 5] =
        [Self::UnitedStates, Self::Germany, Self::France, Self::Switzerland, Self::India];

    /// Returns the path of the page with the market's prices.
    pub fn path(self) -> &'static str {
        match self {
            Self::UnitedStates => "/prices/us",
            Self::Germany => "/prices/de",
            Self::France => "/prices/fr",
            Self::Switzerland => "/prices/ch",
            Self::India => "/prices/in",
        }
    }

    /// Returns the ISO 4217 code of the market's currency.
    pub fn currency(self) -> &'static str {
        match self {
            Self::UnitedStates => "USD",
            Self::Germany | Self::France => "EUR",
            Self::Switzerland => "CHF",
            Self::India => "INR",
        }
    }

    /// Returns the price of a product in this market, in hundredths of the currency's unit. The prices are higher
    /// than in the shop, so that most of them have thousands.
    pub fn cents(self, product: &Product) -> u64 {
        let factor = if self == Self::India { 1000 } else { 10 };
        product.price_cents * factor
    }

    /// Returns the price of a product as the market's page shows it.
    pub fn price(self, product: &Product) -> String {
        let cents = self.cents(product);
        let (whole, cents) = (cents / 100, cents % 100);
        match self {
            Self::UnitedStates => format!("${}.{cents:02}", grouped(whole, ",", 3)),
            Self::Germany if cents == 0 => format!("{} €", grouped(whole, ".", 3)),
            Self::Germany => format!("{},{cents:02} €", grouped(whole, ".", 3)),
            Self::France => format!("{},{cents:02}\u{a0}€", grouped(whole, "\u{202f}", 3)),
            Self::Switzerland if cents == 0 => format!("CHF {}.–", grouped(whole, "’", 3)),
            Self::Switzerland => format!("CHF {}.{cents:02}", grouped(whole, "’", 3)),
            Self::India => format!("₹{}.{cents:02}", grouped(whole, ",", 2)),
        }
    }
}

/// Writes a number with a separator before its last three digits, and before each `size` digits to the left of them.
fn grouped(number: u64, separator: &str, size: usize) -> String {
    let digits = number.to_string();
    let (front, last) = digits.split_at(digits.len().saturating_sub(3));
    let mut groups = vec![last];
    let mut front = front;
    while !front.is_empty() {
        let (rest, group) = front.split_at(front.len().saturating_sub(size));
        groups.push(group);
        front = rest;
    }
    groups.reverse();
    groups.join(separator)
}

fn prices(market: Market, catalog: &Catalog) -> String {
    let mut body = "<h1>Prices</h1>\n<ul class=\"prices\">\n".to_owned();
    for product in catalog.products() {
        push(
            &mut body,
            format_args!(
                "<li class=\"offer\" data-sku=\"{}\"><a href=\"{}\">{}</a> <span class=\"price\">{}</span></li>\n",
                escape(&product.sku),
                product.path(),
                escape(&product.name),
                market.price(product)
            ),
        );
    }
    body.push_str("</ul>\n");
    document("Prices", &body)
}

/// A minute on the page `/dates`, as it is written there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenDate {
    /// The time, in seconds since the Unix epoch.
    pub unix_seconds: i64,
    /// The form in which it is written, which is the class of its element.
    pub form: DateForm,
    /// The time as it is written.
    pub text: String,
}

/// A form of dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateForm {
    /// RFC 3339 in UTC: `2026-10-25T00:30:00Z`. The class is `utc`.
    Utc,
    /// RFC 3339 with the offset of Berlin: `2026-10-25T02:31:00+02:00`. The class is `offset`.
    Offset,
    /// RFC 2822: `Sun, 25 Oct 2026 00:32:00 +0000`. The class is `mail`.
    Mail,
    /// Day first, and the time of Berlin with its offset: `25.10.2026 02:33 +0200`. The class is `german`.
    German,
    /// Month first, in UTC, by a clock of twelve hours: `10/25/2026 12:34 AM`. The class is `american`.
    American,
    /// Seconds since the Unix epoch. The class is `unix`.
    Unix,
}

impl DateForm {
    /// All forms.
    pub const ALL: [Self; 6] =
        [Self::Utc, Self::Offset, Self::Mail, Self::German, Self::American, Self::Unix];

    /// Returns the class of the elements in this form.
    pub fn class(self) -> &'static str {
        match self {
            Self::Utc => "utc",
            Self::Offset => "offset",
            Self::Mail => "mail",
            Self::German => "german",
            Self::American => "american",
            Self::Unix => "unix",
        }
    }
}

impl WrittenDate {
    /// Returns the sixty minutes of one hour, in turn in each of the [forms](DateForm). In the middle of this hour,
    /// at 2026-10-25T01:00Z, the clocks of Berlin go back from three to two, so each local time occurs twice there.
    pub fn all() -> Vec<Self> {
        let written = |(minute, form): (i64, DateForm)| {
            let (hour, of_hour) = ((30 + minute) / 60, (30 + minute) % 60);
            let unix_seconds = HOUR_START + minute * 60;
            let (local, offset) = if hour == 0 { (2, 2) } else { (2, 1) };
            let text = match form {
                DateForm::Utc => format!("2026-10-25T{hour:02}:{of_hour:02}:00Z"),
                DateForm::Offset => format!("2026-10-25T{local:02}:{of_hour:02}:00+{offset:02}:00"),
                DateForm::Mail => format!("Sun, 25 Oct 2026 {hour:02}:{of_hour:02}:00 +0000"),
                DateForm::German => format!("25.10.2026 {local:02}:{of_hour:02} +{offset:02}00"),
                DateForm::American => {
                    format!("10/25/2026 {:02}:{of_hour:02} AM", if hour == 0 { 12 } else { hour })
                }
                DateForm::Unix => unix_seconds.to_string(),
            };
            Self { unix_seconds, form, text }
        };
        (0..60).zip(DateForm::ALL.into_iter().cycle()).map(written).collect()
    }
}

/// 2026-10-25T00:30:00Z.
const HOUR_START: i64 = 1_792_888_200;

fn dates() -> String {
    let mut body = "<h1>Departures</h1>\n<ol class=\"dates\">\n".to_owned();
    for date in WrittenDate::all() {
        push(&mut body, format_args!("<li class=\"{}\">{}</li>\n", date.form.class(), date.text));
    }
    body.push_str("</ol>\n");
    document("Departures", &body)
}

/// The number of products on the page `/unclosed`.
pub const UNCLOSED_SIZE: usize = 20;

/// Renders a page in which `li`, `dt`, `dd` and `p` have no end tags. HTML says where such elements end.
fn unclosed(catalog: &Catalog) -> String {
    let shown = || catalog.products().iter().take(UNCLOSED_SIZE);
    let mut body = "<h1>Stock</h1>\n<ul class=\"skus\">\n".to_owned();
    for product in shown() {
        push(&mut body, format_args!("<li>{}\n", escape(&product.sku)));
    }
    body.push_str("</ul>\n<dl class=\"stocks\">\n");
    for product in shown() {
        push(&mut body, format_args!("<dt>{}\n<dd>{}\n", escape(&product.name), product.stock));
    }
    body.push_str("</dl>\n<div class=\"descriptions\">\n");
    for product in shown() {
        push(&mut body, format_args!("<p>{}\n", escape(&product.description)));
    }
    body.push_str("</div>\n");
    document("Stock", &body)
}

/// Renders a page that has no content of its own: a browser would load the products from the API.
fn scripted() -> String {
    let body = "<div id=\"app\"></div>\n<script>\n\
                fetch(\"/api/products?page=1\").then(answer => answer.json()).then(({ products }) => {\n  \
                document.getElementById(\"app\").innerHTML =\n    \
                products.map(product => `<h2 class=\"name\">${product.name}</h2>`).join(\"\");\n\
                });\n</script>\n";
    document("Products", body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn each_market_writes_prices_in_its_form() {
        let catalog = Catalog::standard();
        let mut product = catalog.product(1).unwrap().clone();
        let mut written = |cents: u64| {
            product.price_cents = cents;
            Market::ALL.map(|market| market.price(&product))
        };
        assert_eq!(
            written(12_345),
            ["$1,234.50", "1.234,50 €", "1\u{202f}234,50\u{a0}€", "CHF 1’234.50", "₹1,23,450.00"]
        );
        assert_eq!(written(12_340)[1], "1.234 €");
        assert_eq!(written(12_340)[3], "CHF 1’234.–");
        assert_eq!(written(199), ["$19.90", "19,90 €", "19,90\u{a0}€", "CHF 19.90", "₹1,990.00"]);
    }

    #[test]
    fn the_dates_are_the_minutes_of_an_hour() {
        let all = WrittenDate::all();
        assert_eq!(all.len(), 60);
        assert!(all.windows(2).all(|pair| pair[1].unix_seconds - pair[0].unix_seconds == 60));
        let texts: Vec<_> = [0, 1, 2, 3, 4, 5, 31, 33].map(|at: usize| all[at].text.as_str()).into();
        assert_eq!(
            texts,
            [
                "2026-10-25T00:30:00Z",
                "2026-10-25T02:31:00+02:00",
                "Sun, 25 Oct 2026 00:32:00 +0000",
                "25.10.2026 02:33 +0200",
                "10/25/2026 12:34 AM",
                "1792888500",
                "2026-10-25T02:01:00+01:00",
                "25.10.2026 02:03 +0100",
            ]
        );
    }

    #[test]
    fn sample_pages_are_found_by_their_paths_and_show_the_products() {
        let catalog = Catalog::standard();
        let page = |path: &str| render(&SamplePage::at(path).unwrap(), &catalog);
        for market in Market::ALL {
            assert_eq!(page(market.path()).matches("class=\"offer\"").count(), 520);
        }
        assert_eq!(page("/dates").matches("<li class").count(), 60);
        let unclosed = page("/unclosed");
        assert_eq!(unclosed.matches("<dd>").count(), UNCLOSED_SIZE);
        assert!(!unclosed.contains("</li>") && !unclosed.contains("</dd>") && !unclosed.contains("</p>"));
        assert!(!page("/scripted").contains("C108-"));
        assert_eq!(SamplePage::at("/prices/xx"), None);
    }
}
