//! The spider of `opilio crawl`. It makes an item for each page and a request for each link.

use std::collections::HashSet;
use std::sync::Arc;

use opilio::extract::typed::coverage::{self, FieldFound};
use opilio::extract::typed::{ExtractPlan, FieldPlan, FieldShape, ValueKind};
use opilio::extract::{FieldError, LINKS_MAX, NamedField, Value};
use opilio::robots::sitemap::{self, Bounds, Entry, SitemapEntryKind};
use opilio::{Found, Page, ParseError, Request, Spider};
use serde::ser::{Serialize, SerializeMap, Serializer};
use url::Url;

/// A spider that describes each page and requests all its links. The scope of the crawl decides which of these
/// links are fetched.
#[derive(Debug)]
pub(crate) struct PageSpider {
    seeds: Vec<Url>,
    fields: Arc<[NamedField]>,
    /// The plan under which the report counts how often the fields are filled.
    plan: &'static ExtractPlan,
    with_canonical: bool,
    /// Whether the bodies of pages are kept as files.
    files: bool,
    /// Whether the spider also reads the sitemaps that the robots.txt files of the seeds' origins name.
    sitemaps: bool,
    /// The sitemaps that the user named. Their pages are crawled, too.
    named: Vec<Url>,
    /// Whether the items are written as CSV.
    as_csv: bool,
}

impl PageSpider {
    /// Makes a spider that begins at these seeds and adds these fields to each item.
    pub(crate) fn new(seeds: Vec<Url>, fields: Vec<NamedField>) -> Self {
        Self {
            seeds,
            plan: plan(&fields),
            fields: fields.into(),
            with_canonical: false,
            files: false,
            sitemaps: false,
            named: Vec::new(),
            as_csv: false,
        }
    }

    /// Makes the items fit for CSV, where each row has the same columns.
    pub(crate) fn with_csv(self) -> Self {
        Self { as_csv: true, ..self }
    }

    /// Adds the page's canonical URL to each item.
    pub(crate) fn with_canonical(self) -> Self {
        Self { with_canonical: true, ..self }
    }

    /// Keeps the body of each page as a file.
    pub(crate) fn with_files(self) -> Self {
        Self { files: true, ..self }
    }

    /// Sets whether the spider also reads the sitemaps that the robots.txt files of the seeds' origins name.
    pub(crate) fn sitemaps(mut self, sitemaps: bool) -> Self {
        self.sitemaps = sitemaps;
        self
    }

    /// Sets sitemaps that the spider reads, too.
    pub(crate) fn sitemaps_at(mut self, sitemaps: Vec<Url>) -> Self {
        self.named = sitemaps;
        self
    }

    /// Returns the names of an item's fields, in order, with the extra field of alias lines.
    pub(crate) fn columns(&self) -> Vec<String> {
        let own = ["url", "final_url", "status", "title", "depth", "bytes", "links"];
        let some = [("canonical", self.with_canonical), ("file", self.files)];
        let some = some.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
        let names = own.into_iter().chain(some).map(str::to_owned);
        names.chain(self.fields.iter().map(|named| named.name.clone())).chain(["alias".to_owned()]).collect()
    }

    /// Returns the value of each field that the user asked for. Builds no DOM (document tree) if there are no such
    /// fields or the page is neither HTML nor XML.
    fn select(&self, page: &Page<()>) -> Result<Vec<Value>, ParseError> {
        if !page.document().is_markup() {
            return Ok(self.fields.iter().map(|named| named.field.nothing()).collect());
        }
        if self.fields.is_empty() {
            return Ok(Vec::new());
        }
        let read: Vec<_> = self.fields.iter().map(|named| named.field.read(page.document())).collect();
        coverage::count(
            self.plan,
            read.iter().map(|value| value.as_ref().map_or(FieldFound::Unreadable, found_in)),
        );
        Ok(read.into_iter().collect::<Result<_, _>>()?)
    }
}

impl Spider for PageSpider {
    type Item = PageItem;
    type Step = ();

    fn name(&self) -> &str {
        "opilio-crawl"
    }

    /// Returns a text with all fields that only some crawls have. A resumed crawl must have the same text.
    fn item_layout(&self) -> String {
        let fields = self.fields.iter().map(|NamedField { name, field }| match field.words() {
            words if words.is_empty() => format!("{name}={}", field.css()),
            words => format!("{name}[{words}]={}", field.css()),
        });
        let canonical = self.with_canonical.then(|| "the canonical URL".to_owned());
        let file = self.files.then(|| "the file of the body".to_owned());
        let all: Vec<String> = canonical.into_iter().chain(file).chain(fields).collect();
        let form = if self.as_csv { ", as CSV" } else { "" };
        let with = if all.is_empty() { String::new() } else { format!(" with {}", all.join(", ")) };
        format!("each page{with}{form}")
    }

    fn seeds(&self) -> Vec<Request<()>> {
        let mut seeds: Vec<_> = self.seeds.iter().map(|url| Request::get(url, ())).collect();
        seeds.extend(self.named.iter().map(|url| Request::sitemap(url, ())));
        if self.sitemaps {
            let mut origins = HashSet::new();
            let firsts = self.seeds.iter().filter(|url| origins.insert(url.origin()));
            seeds.extend(firsts.map(|url| Request::sitemaps_of(url, ())));
        }
        seeds
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        // The fields are selected first: if that builds a DOM, title and links are then read from this DOM.
        let selected = self.select(page)?;
        let links = page.links();
        let listed = listed(page);
        let file = self.files.then(|| found.file(page).path());
        found.item(PageItem {
            url: page.requested_url().to_owned(),
            final_url: page.url().to_string(),
            status: page.status(),
            title: page.title().map(str::to_owned),
            depth: page.depth(),
            bytes: page.body().len(),
            links: links.len() + listed.len(),
            canonical: self.with_canonical.then(|| page.canonical().map(String::from)),
            file,
            fields: Arc::clone(&self.fields),
            selected,
        });
        found.links(page, links, ());
        if listed.len() > LINKS_MAX || is_packed(page) {
            // The sitemap is requested a second time as a sitemap: then all of it is read.
            found.request(Request::sitemap(page.url(), ()));
            return Ok(());
        }
        for entry in listed {
            found.request(match entry.kind {
                SitemapEntryKind::Sitemap => Request::sitemap(entry.loc, ()),
                SitemapEntryKind::Url => Request::get(entry.loc, ()),
            });
        }
        Ok(())
    }
}

/// Returns the entries of a seed that is a sitemap. A feed is not read here: it has links, and their targets are
/// read as pages.
fn listed(page: &Page<()>) -> Vec<Entry> {
    let body = page.body();
    let head = String::from_utf8_lossy(&body[..body.len().min(HEAD_BYTES)]).to_ascii_lowercase();
    let is_sitemap = ["urlset", "sitemapindex"].iter().any(|root| head.contains(root));
    if page.depth() > 0 || !is_sitemap {
        return Vec::new();
    }
    // If the sitemap is broken, the entries before the broken place are used, as for any sitemap.
    sitemap::read(&body[..], &Bounds::default()).map_while(Result::ok).collect()
}

/// Returns whether a seed may be a compressed sitemap. Does not decompress it, since a small file may contain a
/// huge text.
fn is_packed(page: &Page<()>) -> bool {
    let name = page.url().path().to_ascii_lowercase();
    let is_named = name.ends_with(".xml.gz") || name.ends_with(".gz") && name.contains("sitemap");
    page.depth() == 0 && is_named && page.body().starts_with(GZIP_MAGIC)
}

/// The item of one page: one line of the output.
#[derive(Debug)]
pub(crate) struct PageItem {
    url: String,
    final_url: String,
    status: u16,
    title: Option<String>,
    depth: u16,
    bytes: usize,
    links: usize,
    /// The canonical URL that the page names, if it names one. The outer `None` means that the crawl does not ask
    /// for it.
    canonical: Option<Option<String>>,
    /// The path of the file with the page's body, if bodies are kept.
    file: Option<String>,
    fields: Arc<[NamedField]>,
    /// The value of each field that the user asked for, in the order of `fields`.
    selected: Vec<Value>,
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
        for (field, value) in self.fields.iter().zip(&self.selected) {
            map.serialize_entry(&field.name, value)?;
        }
        map.end()
    }
}

/// Returns the plan of these fields. It lives as long as the process, as the plans of structs do.
fn plan(fields: &[NamedField]) -> &'static ExtractPlan {
    let plan = |named: &NamedField| {
        let shape = match named.field.nothing() {
            Value::Text(_) => FieldShape::Optional,
            Value::List(_) => FieldShape::List,
        };
        FieldPlan { name: named.name.clone().leak(), shape, kind: ValueKind::Text, sources: &[] }
    };
    let fields = fields.iter().map(plan).collect::<Vec<_>>().leak();
    Box::leak(Box::new(ExtractPlan { name: "page", each: None, key: None, fields }))
}

/// Returns what the report counts for a value: a text without content is nothing.
fn found_in(value: &Value) -> FieldFound {
    let is_there = match value {
        Value::Text(text) => text.as_ref().is_some_and(|text| !text.trim().is_empty()),
        Value::List(texts) => texts.iter().any(|text| !text.trim().is_empty()),
    };
    if is_there { FieldFound::Value } else { FieldFound::Nothing }
}

/// Reads the description of a field that the user asks for.
///
/// # Errors
/// When the text does not describe a field, or the field has the name of a fixed field.
pub(crate) fn field(text: &str) -> Result<NamedField, String> {
    let field: NamedField = text.parse().map_err(|error: FieldError| error.to_string())?;
    if OWN_FIELDS.contains(&&*field.name) {
        return Err(format!("every page has a field {:?} already: choose another name", field.name));
    }
    Ok(field)
}

/// Returns an error if two fields have the same name: a JSON object can hold only one of them.
///
/// # Errors
/// When a name occurs twice. The error states the name.
pub(crate) fn check_names(fields: &[NamedField]) -> anyhow::Result<()> {
    let mut names = HashSet::new();
    match fields.iter().find(|field| !names.insert(&field.name)) {
        Some(field) => Err(anyhow::anyhow!("--css: there are two fields {:?}", field.name)),
        None => Ok(()),
    }
}

/// The number of bytes at the begin of a page in which the root element of a sitemap is searched. An XML
/// declaration and a comment may come before that element.
const HEAD_BYTES: usize = 1024;
const GZIP_MAGIC: &[u8] = &[0x1F, 0x8B];

/// The names of the fixed fields. `canonical` exists only if pages are merged by their canonical URL, `file` only
/// if bodies are kept, and `alias` only on the lines of aliases.
const OWN_FIELDS: [&str; 10] =
    ["url", "final_url", "status", "title", "depth", "bytes", "links", "canonical", "file", "alias"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio::parse_page;

    fn items(fields: &[&str], html: &str) -> (Vec<serde_json::Value>, usize) {
        let url = Url::parse("http://shop.example/a").unwrap();
        let fields = fields.iter().map(|text| field(text).unwrap()).collect();
        let spider = PageSpider::new(vec![url.clone()], fields);
        let found = parse_page(&spider, &Page::from_html(url, (), html.to_owned())).unwrap();
        (found.items().iter().map(|item| serde_json::to_value(item).unwrap()).collect(), found.requested())
    }

    #[test]
    fn a_page_is_one_object() {
        let html = r#"<title> A </title><a href=b>b</a><a href="c" rel=nofollow>c</a><p class=x>one</p><p class=x>two</p>"#;
        let (items, requested) = items(&["x=.x", "y=.y", "z[all]=.x", "to[attr=href, all]=a"], html);
        assert_eq!(
            items,
            [serde_json::json!({
                "url": "http://shop.example/a", "final_url": "http://shop.example/a", "status": 200, "title": "A",
                "depth": 0, "bytes": html.len(), "links": 2, "x": "one", "y": null,
                "z": ["one", "two"], "to": ["b", "c"],
            })]
        );
        assert_eq!(requested, 1, "nofollow is heeded");
    }

    #[test]
    fn the_examples_of_the_help_are_fields() {
        let help = crate::crawl::args::CSS_LONG_HELP.lines().filter_map(|line| line.split_once("--css "));
        let help = help.filter(|(before, _)| before.trim().is_empty()).map(|(_, example)| example);
        let examples: Vec<&str> = help
            .map(|example| match example.strip_prefix('\'') {
                Some(quoted) => quoted.split('\'').next().unwrap(),
                None => example.split(' ').next().unwrap(),
            })
            .collect();
        assert!(examples.len() >= 5, "{examples:?}");
        examples
            .iter()
            .for_each(|example| assert!(field(example).is_ok(), "{example}: {:?}", field(example)));
    }

    #[test]
    fn fields_are_checked_when_they_are_read() {
        for (text, part) in [
            ("price", "NAME=SELECTOR"),
            ("=.x", "empty"),
            ("title=h1", "\"title\" already"),
            ("title[attr=x]=h1", "\"title\" already"),
            ("x=a[", "CSS selector `a[`"),
        ] {
            let error = field(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(field("a=a[href=b]").unwrap().field.css(), "a[href=b]");
    }
}
