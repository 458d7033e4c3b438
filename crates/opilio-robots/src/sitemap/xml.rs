//! XML: sitemaps, indexes, RSS (2.0 and 1.0) and Atom.
//!
//! Elements are known by their local names. Namespaces are not resolved, since many sites write
//! wrong ones or none; what tells `<image:loc>` from the page's own `<loc>` is its place (a direct
//! child of the entry) and its prefix (the one that the entry has). Entities of a document type are
//! never expanded, so nothing grows.

use std::io;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::QName;

use super::source::{Source, explain};
use super::{Bounds, ChangeFreq, Entry, Kind, SitemapError, address};

/// Real sitemaps with all their extensions nest about six deep.
const DEPTH_MAX: usize = 64;

/// A walk through one document.
pub(super) struct Walk<'a> {
    reader: Reader<Source<'a>>,
    buffer: Vec<u8>,
    field_bytes_max: usize,
    depth: usize,
    dialect: Option<Dialect>,
    draft: Option<Draft>,
}

/// What the root element says that this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sitemap,
    Rss,
    Atom,
}

/// What an element within an entry is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Loc,
    /// An address if there is no better one: RSS `guid`.
    FallbackLoc,
    LastMod,
    /// A date if there is no better one: Atom `published`.
    FallbackLastMod,
    ChangeFreq,
    Priority,
}

/// The entry that is being read.
struct Draft {
    depth: usize,
    prefix: String,
    kind: Kind,
    /// The element being read and its text so far; `None` once the text is too long to be kept.
    field: Option<(Field, Option<String>)>,
    values: Vec<(Field, String)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: Source<'a>, bounds: &Bounds) -> Self {
        let mut reader = Reader::from_reader(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        // `?a=1&b=2` without `&amp;` is the commonest mistake in sitemaps.
        config.allow_dangling_amp = true;
        Self {
            reader,
            buffer: Vec::new(),
            field_bytes_max: bounds.field_bytes_max,
            depth: 0,
            dialect: None,
            draft: None,
        }
    }

    /// Reads on to the end of the next entry that has an address.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, SitemapError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            buffer.clear();
            self.reader.get_mut().mark();
            let event = match self.reader.read_event_into(&mut buffer) {
                Ok(event) => event,
                Err(error) => return Err(self.error(error)),
            };
            match event {
                Event::Start(element) => self.start(&element)?,
                Event::End(_) => {
                    if let Some(entry) = self.end() {
                        self.buffer = buffer;
                        return Ok(Some(entry));
                    }
                    // What follows the root is not part of the sitemap.
                    if self.depth == 0 {
                        return Ok(None);
                    }
                }
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.text(&text),
                Event::GeneralRef(reference) => self.reference(&reference),
                Event::Eof => return self.eof(),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), SitemapError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.malformed(format!("elements nest deeper than {DEPTH_MAX}")));
        }
        let Some(dialect) = self.dialect else {
            self.dialect = Some(dialect_of(element.name())?);
            return Ok(());
        };
        let Some(draft) = &mut self.draft else {
            self.draft = entry_kind(dialect, element.name()).map(|kind| Draft {
                depth: self.depth,
                prefix: prefix(element.name()).to_owned(),
                kind,
                field: None,
                values: Vec::new(),
            });
            return Ok(());
        };
        if self.depth == draft.depth + 1 {
            draft.field = field_of(dialect, &draft.prefix, element).map(|(field, text)| (field, Some(text)));
        }
        Ok(())
    }

    /// Closes an element; gives the entry if it was one and has an address.
    fn end(&mut self) -> Option<Entry> {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        let draft = self.draft.as_mut()?;
        if depth == draft.depth + 1
            && let Some((field, Some(text))) = draft.field.take()
            && text.len() <= self.field_bytes_max
            // The first of several values counts.
            && !draft.values.iter().any(|(known, _)| *known == field)
            && !text.trim().is_empty()
        {
            draft.values.push((field, text));
        }
        if depth != draft.depth {
            return None;
        }
        self.draft.take()?.finish()
    }

    fn text(&mut self, text: &str) {
        if let Some(draft) = &mut self.draft
            && self.depth == draft.depth + 1
            && let Some((_, kept)) = &mut draft.field
            && let Some(value) = kept
        {
            // White space around a value may be long: what is there before it begins is not kept.
            let text = if value.is_empty() { text.trim_start() } else { text };
            if value.len() + text.trim_end().len() > self.field_bytes_max {
                *kept = None;
            } else {
                value.push_str(&text[..text.len().min(self.field_bytes_max - value.len())]);
            }
        }
    }

    /// A character, one of XML's own five entities, or else text as it stands: an entity that a
    /// document type declares is not ours to expand, and `&copy=1;` was an ampersand.
    fn reference(&mut self, reference: &BytesRef<'_>) {
        match (reference.resolve_char_ref(), resolve_xml_entity(reference)) {
            (Ok(Some(character)), _) => self.text(character.encode_utf8(&mut [0; 4])),
            (_, Some(text)) => self.text(text),
            _ => self.text(&format!("&{};", &**reference)),
        }
    }

    fn eof(&self) -> Result<Option<Entry>, SitemapError> {
        match self.dialect {
            Some(_) => Err(self.malformed("the file ends within an element".into())),
            None => Err(SitemapError::NotASitemap { found: "XML without a root element".into() }),
        }
    }

    fn malformed(&self, reason: String) -> SitemapError {
        SitemapError::Xml { at: self.reader.buffer_position(), reason }
    }

    fn error(&self, error: quick_xml::Error) -> SitemapError {
        match error {
            quick_xml::Error::Io(error) => {
                // Nobody else holds it; if somebody did, the kind and the text would remain.
                let error = Arc::try_unwrap(error)
                    .unwrap_or_else(|shared| io::Error::new(shared.kind(), shared.to_string()));
                explain(error, self.reader.buffer_position())
            }
            // A page with broken markup is better called a page.
            other if self.dialect.is_none() => {
                SitemapError::NotASitemap { found: format!("broken markup, {other}") }
            }
            other => SitemapError::Xml { at: self.reader.error_position(), reason: other.to_string() },
        }
    }
}

impl Draft {
    fn finish(self) -> Option<Entry> {
        let value = |wanted: Field| {
            self.values.iter().find(|(field, _)| *field == wanted).map(|(_, text)| text.trim())
        };
        let loc = address(value(Field::Loc).or_else(|| value(Field::FallbackLoc))?);
        let lastmod = value(Field::LastMod).or_else(|| value(Field::FallbackLastMod));
        (!loc.is_empty()).then(|| Entry {
            loc,
            lastmod: lastmod.map(str::to_owned),
            changefreq: value(Field::ChangeFreq).and_then(ChangeFreq::parse),
            priority: value(Field::Priority)
                .and_then(|text| text.parse().ok())
                .filter(|priority| (0.0..=1.0).contains(priority)),
            kind: self.kind,
        })
    }
}

fn dialect_of(root: QName<'_>) -> Result<Dialect, SitemapError> {
    let local = root.local_name();
    let local = local.as_ref();
    match local.to_ascii_lowercase().as_str() {
        "urlset" | "sitemapindex" => Ok(Dialect::Sitemap),
        "rss" | "rdf" => Ok(Dialect::Rss),
        "feed" => Ok(Dialect::Atom),
        _ => {
            let name: String = local.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
            Err(SitemapError::NotASitemap { found: format!("a document of type {name:?}") })
        }
    }
}

fn entry_kind(dialect: Dialect, name: QName<'_>) -> Option<Kind> {
    match (dialect, name.local_name().as_ref()) {
        (Dialect::Sitemap, "url") | (Dialect::Rss, "item") | (Dialect::Atom, "entry") => Some(Kind::Url),
        (Dialect::Sitemap, "sitemap") => Some(Kind::Sitemap),
        _ => None,
    }
}

/// What a direct child of an entry is, and the value that its attributes give.
fn field_of(dialect: Dialect, entry: &str, element: &BytesStart<'_>) -> Option<(Field, String)> {
    let name = element.local_name();
    let name = name.as_ref();
    // Dublin Core's date is the only one that RSS 1.0 has.
    if dialect == Dialect::Rss && name == "date" {
        return Some((Field::LastMod, String::new()));
    }
    if prefix(element.name()) != entry {
        return None;
    }
    let field = match (dialect, name) {
        (Dialect::Sitemap, "loc") => Field::Loc,
        (Dialect::Sitemap, "lastmod") => Field::LastMod,
        (Dialect::Sitemap, "changefreq") => Field::ChangeFreq,
        (Dialect::Sitemap, "priority") => Field::Priority,
        (Dialect::Rss, "link") => Field::Loc,
        (Dialect::Rss, "guid") => {
            let other = attribute(element, "isPermaLink").is_some_and(|value| value == "false");
            return (!other).then(|| (Field::FallbackLoc, String::new()));
        }
        (Dialect::Rss, "pubDate") => Field::LastMod,
        (Dialect::Atom, "link") => {
            let rel = attribute(element, "rel");
            let page = rel.is_none_or(|rel| rel == "alternate");
            return attribute(element, "href").filter(|_| page).map(|href| (Field::Loc, href));
        }
        (Dialect::Atom, "updated") => Field::LastMod,
        (Dialect::Atom, "published") => Field::FallbackLastMod,
        _ => return None,
    };
    Some((field, String::new()))
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    attributes.with_checks(false);
    let attribute = attributes.flatten().find(|attribute| attribute.key.as_ref() == name)?;
    // A raw ampersand makes the whole value count as unescaped.
    Some(match unescape(&attribute.value) {
        Ok(value) => value.into_owned(),
        Err(_) => attribute.value.into_owned(),
    })
}

fn prefix(name: QName<'_>) -> &str {
    name.0.rsplit_once(':').map_or("", |(prefix, _)| prefix)
}
