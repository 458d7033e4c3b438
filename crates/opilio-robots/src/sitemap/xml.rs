//! XML sitemaps, sitemap indexes, RSS (2.0 and 1.0) and Atom.
//!
//! Elements are identified by their local names. Namespaces are not resolved, since many sites write wrong
//! ones or none. `<image:loc>` differs from the page's own `<loc>` by its place (not a direct child of the
//! entry) and its prefix (not the entry's). Entities of a document type are never expanded, so nothing grows.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use quick_xml::Reader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::QName;

use super::base::BaseStack;
use super::source::{Source, explain};
use super::{Bounds, ChangeFreq, Entry, Kind, SitemapError, address, is_url};

/// Real sitemaps with all their extensions nest about six deep.
const DEPTH_MAX: usize = 64;

/// Addresses of one entry, which should have one.
const LOCS_MAX: usize = 100;

/// Text in the root itself, which should have none.
const LOOSE_BYTES_MAX: usize = 1024 * 1024;

/// A walk through one document.
pub(super) struct Walk<'a> {
    reader: Reader<Source<'a>>,
    buffer: Vec<u8>,
    field_bytes_max: usize,
    skipped_max: usize,
    open: OpenElements,
    bases: BaseStack,
    dialect: Option<XmlFormat>,
    draft: Option<Draft>,
    /// Text in the root itself.
    loose: String,
    /// Read, and not given yet.
    ready: VecDeque<Entry>,
    /// Entries without an address that can be read.
    skipped: usize,
}

/// The format, by the root element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum XmlFormat {
    Sitemap,
    Rss,
    Atom,
}

/// The role of an element within an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryField {
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
    field: Option<(EntryField, Option<String>)>,
    values: Vec<(EntryField, String)>,
    /// The text that stands in no element of its own.
    own: String,
}

/// The names of the elements that are open, from the root on.
#[derive(Default)]
struct OpenElements {
    names: String,
    ends: Vec<usize>,
}

impl OpenElements {
    fn depth(&self) -> usize {
        self.ends.len()
    }

    fn push(&mut self, name: &str) {
        self.names.push_str(name);
        self.ends.push(self.names.len());
    }

    fn pop(&mut self) {
        self.ends.pop();
        self.names.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// The depth of the innermost element with this name, ignoring case.
    fn find(&self, name: &str) -> Option<usize> {
        (1..=self.depth()).rev().find(|depth| self.name(*depth).eq_ignore_ascii_case(name))
    }

    /// The name of the element at a depth, of which 1 is the root's.
    fn name(&self, depth: usize) -> &str {
        let start = depth.checked_sub(2).map_or(0, |above| self.ends[above]);
        &self.names[start..self.ends[depth - 1]]
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: Source<'a>, bounds: &Bounds) -> Self {
        let mut reader = Reader::from_reader(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        // `?a=1&b=2` without `&amp;` is the commonest mistake in sitemaps.
        config.allow_dangling_amp = true;
        // An entry that is not closed, or is closed as `</Url>`, is read all the same.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        Self {
            reader,
            buffer: Vec::new(),
            field_bytes_max: bounds.field_bytes_max,
            skipped_max: bounds.entries_max,
            open: OpenElements::default(),
            bases: BaseStack::default(),
            dialect: None,
            draft: None,
            loose: String::new(),
            ready: VecDeque::new(),
            skipped: 0,
        }
    }

    /// Reads on to the end of the next entry that has an address.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, SitemapError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            if let Some(entry) = self.ready.pop_front() {
                self.buffer = buffer;
                return Ok(Some(entry));
            }
            if self.dialect.is_some() && self.open.depth() == 0 {
                // Content after the root is not part of the sitemap.
                return match self.skipped {
                    0 => Ok(None),
                    entries => Err(SitemapError::Skipped { entries }),
                };
            }
            buffer.clear();
            self.reader.get_mut().mark();
            let event = match self.reader.read_event_into(&mut buffer) {
                Ok(event) => event,
                Err(error) => return Err(self.error(error)),
            };
            match event {
                Event::Start(element) => self.start(&element)?,
                Event::End(element) => self.end(element.name().0),
                Event::Text(text) => self.text(&text),
                Event::CData(text) => self.text(&text),
                Event::GeneralRef(reference) => self.reference(&reference),
                Event::Eof if self.keeps_last() => {}
                Event::Eof => return self.eof(),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
            if self.skipped > self.skipped_max {
                return Err(SitemapError::TooManyEntries { entries_max: self.skipped_max });
            }
        }
    }

    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), SitemapError> {
        self.read_loose();
        let name = element.name();
        let Some(dialect) = self.dialect else {
            let dialect = dialect_of(name)?;
            self.dialect = Some(dialect);
            self.open.push(name.0);
            self.keep_base(dialect, element);
            return Ok(());
        };
        let begins = entry_kind(dialect, name);
        let unclosed = self.draft.as_ref().filter(|draft| begins.is_some() && draft.prefix == prefix(name));
        if let Some(draft) = unclosed {
            // No entry stands in another one.
            self.close_to(draft.depth);
        }
        self.open.push(name.0);
        let depth = self.open.depth();
        if depth > DEPTH_MAX {
            return Err(self.malformed(format!("elements nest deeper than {DEPTH_MAX}")));
        }
        self.keep_base(dialect, element);
        let Some(draft) = &mut self.draft else {
            self.draft = begins.map(|kind| Draft {
                depth,
                prefix: prefix(name).to_owned(),
                kind,
                field: None,
                values: Vec::new(),
                own: String::new(),
            });
            return Ok(());
        };
        if depth == draft.depth + 1 {
            draft.field = field_of(dialect, &draft.prefix, element).map(|(field, text)| (field, Some(text)));
        }
        Ok(())
    }

    /// Only feeds have them.
    fn keep_base(&mut self, dialect: XmlFormat, element: &BytesStart<'_>) {
        if dialect != XmlFormat::Sitemap
            && let Some(base) = attribute(element, "xml:base")
        {
            self.bases.push(self.open.depth(), &base);
        }
    }

    /// Closes an element and the elements still open in it. An end tag without a start tag is ignored.
    fn end(&mut self, name: &str) {
        self.read_loose();
        if let Some(depth) = self.open.find(name) {
            self.close_to(depth);
        }
    }

    /// Closes all elements that are as deep as this, or deeper.
    fn close_to(&mut self, depth: usize) {
        while self.open.depth() >= depth {
            self.close();
            self.bases.close(self.open.depth());
            self.open.pop();
        }
    }

    /// Takes the value of the innermost element.
    fn close(&mut self) {
        let depth = self.open.depth();
        let Some(draft) = &mut self.draft else { return };
        if depth == draft.depth + 1
            && let Some((field, Some(text))) = draft.field.take()
            && text.len() <= self.field_bytes_max
            && !text.trim().is_empty()
            && draft.has_room(self.dialect, field)
        {
            let is_address = matches!(field, EntryField::Loc | EntryField::FallbackLoc);
            let text = if is_address { self.bases.resolve(&text) } else { text };
            if text.len() <= self.field_bytes_max {
                draft.values.push((field, text));
            }
        }
        if depth == draft.depth {
            self.finish();
        }
    }

    /// Gives the entry that was read, or several if it has several addresses.
    fn finish(&mut self) {
        let Some(draft) = self.draft.take() else { return };
        let before = self.ready.len();
        draft.finish(&mut self.ready);
        // Feeds have entries that are no page; in a sitemap something is wrong.
        self.skipped += usize::from(self.ready.len() == before && self.dialect == Some(XmlFormat::Sitemap));
    }

    fn text(&mut self, text: &str) {
        let depth = self.open.depth();
        let Some(draft) = &mut self.draft else {
            if depth == 1 && self.dialect == Some(XmlFormat::Sitemap) && self.loose.len() < LOOSE_BYTES_MAX {
                self.loose.push_str(text);
            }
            return;
        };
        if depth == draft.depth {
            let room = self.field_bytes_max.saturating_sub(draft.own.len());
            draft.own.push_str(&text[..text.floor_char_boundary(room)]);
        }
        if depth == draft.depth + 1
            && let Some((_, kept)) = &mut draft.field
            && let Some(value) = kept
        {
            // White space before a value may be long, so it is not kept.
            let text = if value.is_empty() { text.trim_start() } else { text };
            if value.len() + text.trim_end().len() > self.field_bytes_max {
                *kept = None;
            } else {
                value.push_str(&text[..text.len().min(self.field_bytes_max - value.len())]);
            }
        }
    }

    /// Addresses that stand in the root itself.
    fn read_loose(&mut self) {
        for word in self.loose.split_whitespace().filter(|word| is_url(word)) {
            if word.len() <= self.field_bytes_max {
                self.ready.push_back(bare(word.to_owned(), Kind::Url));
            } else {
                self.skipped += 1;
            }
        }
        self.loose.clear();
    }

    /// At the end of a file that is cut off: keeps the entry if it was complete; returns whether it was.
    fn keeps_last(&mut self) -> bool {
        self.read_loose();
        // An address whose end was not seen may be longer.
        let whole = self.draft.take().filter(|draft| draft.field.is_none());
        if let Some(draft) = whole {
            draft.finish(&mut self.ready);
        }
        !self.ready.is_empty()
    }

    /// A character, one of XML's own five entities, or else the text as it is: declared entities are not
    /// expanded, and `&copy=1;` was a raw ampersand.
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
                // There is normally no other owner. If there is one, kind and text are copied.
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
    /// The first of several values is kept, except for the addresses of a sitemap.
    fn has_room(&self, dialect: Option<XmlFormat>, field: EntryField) -> bool {
        let count = self.values.iter().filter(|(known, _)| *known == field).count();
        let several = dialect == Some(XmlFormat::Sitemap) && field == EntryField::Loc;
        count < if several { LOCS_MAX } else { 1 }
    }

    fn finish(self, into: &mut VecDeque<Entry>) {
        let values = |wanted: EntryField| self.values.iter().filter(move |(field, _)| *field == wanted);
        let value = |wanted: EntryField| values(wanted).next().map(|(_, text)| text.trim());
        let lastmod =
            value(EntryField::LastMod).or_else(|| value(EntryField::FallbackLastMod)).map(str::to_owned);
        let entry = |loc: &str| Entry {
            lastmod: lastmod.clone(),
            changefreq: value(EntryField::ChangeFreq).and_then(ChangeFreq::parse),
            priority: value(EntryField::Priority)
                .and_then(|text| text.parse().ok())
                .filter(|priority| (0.0..=1.0).contains(priority)),
            ..bare(address(loc), self.kind)
        };
        let before = into.len();
        into.extend(
            values(EntryField::Loc).map(|(_, text)| entry(text)).filter(|entry| !entry.loc.is_empty()),
        );
        if into.len() == before {
            let own = Some(self.own.trim()).filter(|own| is_url(own));
            into.extend(
                value(EntryField::FallbackLoc).or(own).map(entry).filter(|entry| !entry.loc.is_empty()),
            );
        }
    }
}

fn bare(loc: String, kind: Kind) -> Entry {
    Entry { loc, lastmod: None, changefreq: None, priority: None, kind }
}

fn dialect_of(root: QName<'_>) -> Result<XmlFormat, SitemapError> {
    let local = root.local_name();
    let local = local.as_ref();
    match local.to_ascii_lowercase().as_str() {
        "urlset" | "sitemapindex" => Ok(XmlFormat::Sitemap),
        "rss" | "rdf" => Ok(XmlFormat::Rss),
        "feed" => Ok(XmlFormat::Atom),
        _ => {
            let name: String = local.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
            Err(SitemapError::NotASitemap { found: format!("a document of type {name:?}") })
        }
    }
}

fn entry_kind(dialect: XmlFormat, name: QName<'_>) -> Option<Kind> {
    let local = name.local_name();
    match (dialect, &*lower(local.as_ref())) {
        (XmlFormat::Sitemap, "url") | (XmlFormat::Rss, "item") | (XmlFormat::Atom, "entry") => {
            Some(Kind::Url)
        }
        (XmlFormat::Sitemap, "sitemap") => Some(Kind::Sitemap),
        _ => None,
    }
}

/// The role of a direct child of an entry, and the value in its attributes.
fn field_of(dialect: XmlFormat, entry: &str, element: &BytesStart<'_>) -> Option<(EntryField, String)> {
    let local = element.local_name();
    let name = &*lower(local.as_ref());
    // Dublin Core's date is the only one that RSS 1.0 has.
    if dialect == XmlFormat::Rss && name == "date" {
        return Some((EntryField::LastMod, String::new()));
    }
    if prefix(element.name()) != entry {
        // `atom:link` in an item of RSS.
        let is_link = dialect == XmlFormat::Rss && name == "link";
        return page_of(element).filter(|_| is_link).map(|href| (EntryField::FallbackLoc, href));
    }
    let field = match (dialect, name) {
        (XmlFormat::Sitemap, "loc") => EntryField::Loc,
        (XmlFormat::Sitemap, "lastmod") => EntryField::LastMod,
        (XmlFormat::Sitemap, "changefreq") => EntryField::ChangeFreq,
        (XmlFormat::Sitemap, "priority") => EntryField::Priority,
        (XmlFormat::Rss, "link") => EntryField::Loc,
        (XmlFormat::Rss, "guid") => {
            let other = attribute(element, "isPermaLink").is_some_and(|value| value == "false");
            return (!other).then(|| (EntryField::FallbackLoc, String::new()));
        }
        (XmlFormat::Rss, "pubdate") => EntryField::LastMod,
        (XmlFormat::Atom, "link") => return page_of(element).map(|href| (EntryField::Loc, href)),
        (XmlFormat::Atom, "updated") => EntryField::LastMod,
        (XmlFormat::Atom, "published") => EntryField::FallbackLastMod,
        _ => return None,
    };
    Some((field, String::new()))
}

/// Where a link of Atom leads, if that is the entry's page.
fn page_of(element: &BytesStart<'_>) -> Option<String> {
    let page = attribute(element, "rel").is_none_or(|rel| rel.eq_ignore_ascii_case("alternate"));
    attribute(element, "href").filter(|_| page)
}

/// In lower case, as most names are already.
fn lower(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = element.attributes();
    attributes.with_checks(false);
    let attribute = attributes.flatten().find(|attribute| attribute.key.as_ref() == name)?;
    // With a raw ampersand, the whole value counts as unescaped.
    Some(match unescape(&attribute.value) {
        Ok(value) => value.into_owned(),
        Err(_) => attribute.value.into_owned(),
    })
}

fn prefix(name: QName<'_>) -> &str {
    name.0.rsplit_once(':').map_or("", |(prefix, _)| prefix)
}
