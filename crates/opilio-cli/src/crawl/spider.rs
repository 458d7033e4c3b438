//! The spider of `opilio crawl`: an item for each page, and every link.

use std::collections::HashSet;
use std::str::FromStr;
use std::sync::Arc;

use opilio::extract::Document;
use opilio::{Found, Page, ParseError, Request, Spider};
use serde::ser::{Serialize, SerializeMap, Serializer};
use url::Url;

/// Describes each page, and asks for all its links; the crawl's scope picks from them.
#[derive(Debug)]
pub(crate) struct PageSpider {
    seeds: Vec<Url>,
    fields: Arc<[Field]>,
    with_canonical: bool,
    /// Whether bodies are kept as files.
    files: bool,
    /// The sitemaps of the seeds' robots.txt are seeds, too.
    sitemaps: bool,
}

impl PageSpider {
    /// Begins at these URLs, and adds these fields.
    pub(crate) fn new(seeds: Vec<Url>, fields: Vec<Field>) -> Self {
        Self { seeds, fields: fields.into(), with_canonical: false, files: false, sitemaps: false }
    }

    /// Adds the canonical name of each page.
    pub(crate) fn with_canonical(self) -> Self {
        Self { with_canonical: true, ..self }
    }

    /// Keeps each body as a file, too.
    pub(crate) fn with_files(self) -> Self {
        Self { files: true, ..self }
    }

    /// Begins at the sitemaps that the robots.txt of the seeds' origins name, too.
    pub(crate) fn sitemaps(mut self, sitemaps: bool) -> Self {
        self.sitemaps = sitemaps;
        self
    }

    /// The text of each field's first match. Builds no DOM without fields, nor for what is no markup.
    fn select(&self, page: &Page<()>) -> Result<Vec<Option<String>>, ParseError> {
        if !is_markup(page) {
            return Ok(vec![None; self.fields.len()]);
        }
        self.fields.iter().map(|field| Ok(page.css(&field.selector)?.text())).collect()
    }
}

impl Spider for PageSpider {
    type Item = PageItem;
    type Step = ();

    fn name(&self) -> &str {
        "opilio-crawl"
    }

    fn seeds(&self) -> Vec<Request<()>> {
        let mut seeds: Vec<_> = self.seeds.iter().map(|url| Request::get(url, ())).collect();
        if self.sitemaps {
            let mut origins = HashSet::new();
            let firsts = self.seeds.iter().filter(|url| origins.insert(url.origin()));
            seeds.extend(firsts.map(|url| Request::sitemaps_of(url, ())));
        }
        seeds
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        // First, since title and links are read from the DOM where there is one.
        let selected = self.select(page)?;
        let links = page.links();
        let file = self.files.then(|| found.file(page).path());
        found.item(PageItem {
            url: page.origin().to_owned(),
            final_url: page.url().to_string(),
            status: page.status(),
            title: page.title().map(str::to_owned),
            depth: page.depth(),
            bytes: page.body().len(),
            links: links.len(),
            canonical: self.with_canonical.then(|| page.canonical().map(String::from)),
            file,
            fields: Arc::clone(&self.fields),
            selected,
        });
        found.links(page, links, ());
        Ok(())
    }
}

/// One line of the output.
#[derive(Debug)]
pub(crate) struct PageItem {
    url: String,
    final_url: String,
    status: u16,
    title: Option<String>,
    depth: u16,
    bytes: usize,
    links: usize,
    /// Only where it was asked for.
    canonical: Option<Option<String>>,
    /// Where the body is, if it is kept.
    file: Option<String>,
    fields: Arc<[Field]>,
    /// As many as there are fields.
    selected: Vec<Option<String>>,
}

impl Serialize for PageItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("url", &self.url)?;
        map.serialize_entry("final_url", &self.final_url)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("title", &self.title)?;
        map.serialize_entry("depth", &self.depth)?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.serialize_entry("links", &self.links)?;
        if let Some(canonical) = &self.canonical {
            map.serialize_entry("canonical", canonical)?;
        }
        if let Some(file) = &self.file {
            map.serialize_entry("file", file)?;
        }
        for (field, text) in self.fields.iter().zip(&self.selected) {
            map.serialize_entry(&field.name, text)?;
        }
        map.end()
    }
}

/// A field that the user asks for: `NAME=SELECTOR`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    selector: String,
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, selector) =
            text.split_once('=').ok_or("write it as NAME=SELECTOR, such as price=.price")?;
        let (name, selector) = (name.trim(), selector.trim());
        if name.is_empty() {
            return Err("the name before = is empty".to_owned());
        }
        if OWN_FIELDS.contains(&name) {
            return Err(format!("every page has a field {name:?} already: choose another name"));
        }
        // Asked of an empty page, since a selector is the same for all pages.
        let Ok(nowhere) = Url::parse("http://localhost/") else { return Err("internal".to_owned()) };
        Document::new(nowhere, None, Default::default()).css(selector).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), selector: selector.to_owned() })
    }
}

/// Refuses fields of one name, since an object has room for one.
///
/// # Errors
/// When a name is there twice.
pub(crate) fn check_names(fields: &[Field]) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    match fields.iter().find(|field| !names.insert(&field.name)) {
        Some(field) => Err(anyhow::anyhow!("--css: there are two fields {:?}", field.name)),
        None => Ok(()),
    }
}

fn is_markup(page: &Page<()>) -> bool {
    let kind = page.header("content-type").map(str::to_ascii_lowercase);
    kind.is_none_or(|kind| kind.contains("html") || kind.contains("xml"))
}

/// The fields that every page has; `canonical` only where pages are merged by it, `file` only where bodies are
/// kept, and `alias` is for lines of aliases.
const OWN_FIELDS: [&str; 10] =
    ["url", "final_url", "status", "title", "depth", "bytes", "links", "canonical", "file", "alias"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio::parse_page;

    fn items(fields: &[&str], html: &str) -> (Vec<serde_json::Value>, usize) {
        let url = Url::parse("http://shop.example/a").unwrap();
        let fields = fields.iter().map(|field| field.parse().unwrap()).collect();
        let spider = PageSpider::new(vec![url.clone()], fields);
        let found = parse_page(&spider, &Page::from_html(url, (), html.to_owned())).unwrap();
        (found.items().iter().map(|item| serde_json::to_value(item).unwrap()).collect(), found.requested())
    }

    #[test]
    fn a_page_is_one_object() {
        let html = r#"<title> A </title><a href=b>b</a><a href="c" rel=nofollow>c</a><p class=x>one</p><p class=x>two</p>"#;
        let (items, requested) = items(&["x=.x", "y=.y"], html);
        assert_eq!(
            items,
            [serde_json::json!({
                "url": "http://shop.example/a", "final_url": "http://shop.example/a", "status": 200, "title": "A",
                "depth": 0, "bytes": html.len(), "links": 2, "x": "one", "y": null,
            })]
        );
        assert_eq!(requested, 1, "nofollow is heeded");
    }

    #[test]
    fn fields_are_checked_when_they_are_read() {
        for (text, part) in [
            ("price", "NAME=SELECTOR"),
            ("=.x", "empty"),
            ("title=h1", "\"title\" already"),
            ("x=a[", "CSS selector `a[`"),
        ] {
            let error = text.parse::<Field>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!("a=a[href=b]".parse::<Field>().unwrap().selector, "a[href=b]");
    }
}
