//! Reads structs from pages. The structs derive `Extract`, and an attribute of each field says where a page
//! has its value.

use std::time::{SystemTime, UNIX_EPOCH};

use opilio_extract::typed::{ExtractEach, ExtractFaults, PageAround, together};
use opilio_extract::{Extract, jiff};

use super::Page;

impl<Step> Page<Step> {
    /// Reads a struct that derives `Extract`. The attribute above each field says where the page has the value.
    ///
    /// ```
    /// # mod opilio { pub use opilio_spider::*; pub use opilio_extract as extract; }
    /// use opilio::Page;
    /// use opilio::extract::{Extract, Price};
    ///
    /// #[derive(Extract)]
    /// struct Product {
    ///     #[css("h1")]
    ///     name: String,
    ///     #[css(".price")]
    ///     price: Price,
    ///     #[page(depth)]
    ///     depth: u16,
    /// }
    ///
    /// let html = "<h1>Kettle</h1> <p class=price>12,50 €</p>";
    /// let page = Page::from_html("https://shop.example/1".parse()?, (), html);
    /// let product: Product = page.extract()?;
    /// assert_eq!((product.name.as_str(), product.depth), ("Kettle", 0));
    /// assert_eq!(product.price.to_string(), "12.50 EUR");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When fields cannot be read: the error names all of them. If `parse` of a spider returns this error (by `?`),
    /// the page ends as a failure with reason `parse_error` and the text of the error.
    pub fn extract<T: Extract>(&self) -> Result<T, ExtractFaults> {
        self.document.extract_in(self)
    }

    /// Reads one value for each element that `#[extract(each = "SELECTOR")]` of the struct matches, in
    /// document order.
    ///
    /// # Errors
    /// When a field of any of these values cannot be read.
    pub fn extract_all<T: ExtractEach>(&self) -> Result<Vec<T>, ExtractFaults> {
        together(self.extract_each())
    }

    /// Reads one value for each element that `#[extract(each = "SELECTOR")]` of the struct matches, in document
    /// order. Each value has its own result.
    pub fn extract_each<T: ExtractEach>(&self) -> Vec<Result<T, ExtractFaults>> {
        self.document.extract_each_in(self)
    }
}

impl<Step> PageAround for Page<Step> {
    fn requested_url(&self) -> &str {
        &self.requested_url
    }

    fn depth(&self) -> u16 {
        self.depth
    }

    /// Returns when the page was fetched, by the crawl's clock; for an answer from a cache, the time in its
    /// field `Date`.
    fn fetched_at(&self) -> Option<jiff::Timestamp> {
        let date = || {
            let date: SystemTime = httpdate::parse_http_date(self.header("date")?).ok()?;
            i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
        };
        jiff::Timestamp::from_millisecond(self.fetched_unix_millis().or_else(date)?).ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.header(name)
    }

    fn is_cut(&self) -> bool {
        self.is_cut()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use http::HeaderMap;
    use opilio_extract::Extract;
    use opilio_extract::jiff::Timestamp;

    use crate::page::{Answer, Page, PageFacts};

    #[derive(Extract, Debug)]
    struct Facts {
        #[page(url)]
        url: url::Url,
        #[page(requested_url)]
        requested_url: String,
        #[page(depth)]
        depth: u16,
        #[page(fetched_at)]
        fetched_at: Timestamp,
        #[page(header = "etag")]
        etag: Option<String>,
        #[css("h1")]
        title: Option<String>,
    }

    fn page(unix_millis: Option<i64>, cut: bool) -> Page<()> {
        let headers = [("date", "Mon, 30 Nov 2026 08:00:00 GMT"), ("etag", "\"1\"")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let answer = Answer {
            url: "https://a.example/b".parse().unwrap(),
            status: 200,
            headers: HeaderMap::from_iter(headers),
            body: "<h1>T</h1>".into(),
            cut,
            permit: None,
            elapsed: Duration::ZERO,
            fetched_unix_millis: unix_millis,
        };
        let facts = PageFacts {
            requested_url: "https://a.example/a".into(),
            depth: 2,
            attempts: 1,
            referrer: None,
            user_agent: "x".into(),
            session: None,
            known_hash: None,
            is_repeated: false,
        };
        Page::new(answer, (), facts)
    }

    #[test]
    fn facts_of_the_page_are_fields() {
        let facts: Facts = page(Some(1_000), false).extract().unwrap();
        assert_eq!(
            (facts.url.path(), facts.requested_url.as_str(), facts.depth),
            ("/b", "https://a.example/a", 2)
        );
        assert_eq!((facts.etag.as_deref(), facts.title.as_deref()), (Some("\"1\""), Some("T")));
        assert_eq!(facts.fetched_at.as_second(), 1);
        let cached: Facts = page(None, false).extract().unwrap();
        assert_eq!(cached.fetched_at.to_string(), "2026-11-30T08:00:00Z");
    }

    #[test]
    fn a_fault_says_that_the_body_was_cut_and_becomes_a_parse_error() {
        #[derive(Extract, Debug)]
        #[extract(each = "h1")]
        struct Missing {
            #[css("p")]
            #[expect(dead_code, reason = "it is not there")]
            text: String,
        }
        let page = page(None, true);
        let error = crate::ParseError::from(page.extract::<Missing>().unwrap_err()).to_string();
        assert!(
            error.starts_with("a field cannot be read on https://a.example/b: Missing.text: nothing"),
            "{error}"
        );
        assert!(error.contains("(the body was cut at its limit)"), "{error}");
        assert_eq!(page.extract_all::<Missing>().unwrap_err().faults()[0].field, "Missing[0].text");
        assert_eq!(page.extract_each::<Missing>().len(), 1);
    }
}
