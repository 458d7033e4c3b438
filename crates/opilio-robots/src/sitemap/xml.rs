//! Reads XML sitemaps, sitemap indexes, RSS feeds (2.0 and 1.0) and Atom feeds.
//!
//! Elements are identified by their local names (the names without a namespace prefix). Namespaces are not
//! resolved, since many sites write wrong namespaces, or leave them out. The page's own `<loc>` differs from
//! an `<image:loc>` by its place (a direct child of the entry) and its prefix (the same as the entry's).
//! Entities that the document itself declares are never expanded, so the text cannot grow.

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
use super::{Bounds, ChangeFreq, Entry, SitemapEntryKind, SitemapError, address, is_url};

/// The deepest nesting of elements that is read. Real sitemaps with all their extensions nest about six deep.
const DEPTH_MAX: usize = 64;

/// The most addresses of one entry that are kept. An entry should have one address.
const LOCS_MAX: usize = 100;

/// The most bytes that are kept of the text directly in the root element. The root element should have no
/// text.
const LOOSE_BYTES_MAX: usize = 1024 * 1024;

/// Reads the entries of one XML document, one after the other.
pub(super) struct XmlWalk<'a> {
    reader: Reader<Source<'a>>,
    buffer: Vec<u8>,
    field_bytes_max: usize,
    skipped_max: usize,
    open: OpenElements,
    bases: BaseStack,
    dialect: Option<XmlFormat>,
    draft: Option<Draft>,
    /// The text directly in the root element.
    loose: String,
    /// Entries that were read and not returned yet.
    ready: VecDeque<Entry>,
    /// The number of entries so far that have no address, or none that can be read.
    skipped: usize,
}

/// The format of the document, determined by its root element.
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
    /// An address that is used if the entry has no `Loc`: `guid` in RSS.
    FallbackLoc,
    LastMod,
    /// A date that is used if the entry has no `LastMod`: `published` in Atom.
    FallbackLastMod,
    ChangeFreq,
    Priority,
}

/// The entry that is being read.
struct Draft {
    depth: usize,
    prefix: String,
    kind: SitemapEntryKind,
    /// The element being read and its text so far; `None` once the text is too long to be kept.
    field: Option<(EntryField, Option<String>)>,
    values: Vec<(EntryField, String)>,
    /// The text directly in the entry's element, outside the element's children.
    own: String,
}

/// The names of the open elements, from the root on, in one string.
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

    /// Returns the depth of the innermost open element with this name, ignoring case.
    fn find(&self, name: &str) -> Option<usize> {
        (1..=self.depth()).rev().find(|depth| self.name(*depth).eq_ignore_ascii_case(name))
    }

    /// Returns the name of the open element at a depth. The root has depth 1.
    fn name(&self, depth: usize) -> &str {
        let start = depth.checked_sub(2).map_or(0, |above| self.ends[above]);
        &self.names[start..self.ends[depth - 1]]
    }
}

impl<'a> XmlWalk<'a> {
    pub(super) fn new(source: Source<'a>, bounds: &Bounds) -> Self {
        let mut reader = Reader::from_reader(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        // `?a=1&b=2` without `&amp;` is the commonest mistake in sitemaps.
        config.allow_dangling_amp = true;
        // An entry without an end tag, or with an end tag in another case such as `</Url>`, is still read.
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

    /// Reads on until the next entry that has an address, and returns it.
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
            // Entries do not nest: the start of a new entry closes the entry before it.
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

    /// Stores the element's `xml:base`. In sitemaps the attribute has no meaning and is ignored.
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

    /// Closes all open elements at this depth or deeper.
    fn close_to(&mut self, depth: usize) {
        while self.open.depth() >= depth {
            self.close();
            self.bases.close(self.open.depth());
            self.open.pop();
        }
    }

    /// Stores the value of the innermost open element, and finishes the entry if this element is the entry's
    /// own.
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

    /// Queues the entry that was just read; an entry with several addresses is queued once for each address.
    fn finish(&mut self) {
        let Some(draft) = self.draft.take() else { return };
        let before = self.ready.len();
        draft.finish(&mut self.ready);
        // A feed may have entries without a page. In a sitemap such an entry is an error, so it is counted.
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
            // White space before a value may be long, so it is dropped.
            let text = if value.is_empty() { text.trim_start() } else { text };
            if value.len() + text.trim_end().len() > self.field_bytes_max {
                *kept = None;
            } else {
                value.push_str(&text[..text.len().min(self.field_bytes_max - value.len())]);
            }
        }
    }

    /// Queues the addresses found as text directly in the root element.
    fn read_loose(&mut self) {
        for word in self.loose.split_whitespace().filter(|word| is_url(word)) {
            if word.len() <= self.field_bytes_max {
                self.ready.push_back(bare(word.to_owned(), SitemapEntryKind::Url));
            } else {
                self.skipped += 1;
            }
        }
        self.loose.clear();
    }

    /// Queues the last entry of a file that is cut off, if all values of the entry were read to their ends.
    /// Returns whether any entry is queued.
    fn keeps_last(&mut self) -> bool {
        self.read_loose();
        // A value whose end was not read may be longer than the part that was read.
        let whole = self.draft.take().filter(|draft| draft.field.is_none());
        if let Some(draft) = whole {
            draft.finish(&mut self.ready);
        }
        !self.ready.is_empty()
    }

    /// Adds the text of a reference: a character by its number, or one of the five entities that XML defines.
    /// Any other reference stays as written: declared entities are not expanded, and in `&copy=1;` the
    /// ampersand was meant literally.
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
                // This `Arc` is normally the only owner of the error. If it is not, the error's kind and text
                // are copied.
                let error = Arc::try_unwrap(error)
                    .unwrap_or_else(|shared| io::Error::new(shared.kind(), shared.to_string()));
                explain(error, self.reader.buffer_position())
            }
            // If the markup is broken before the root element, the file is an HTML page rather than a
            // sitemap.
            other if self.dialect.is_none() => {
                SitemapError::NotASitemap { found: format!("broken markup, {other}") }
            }
            other => SitemapError::Xml { at: self.reader.error_position(), reason: other.to_string() },
        }
    }
}

impl Draft {
    /// Returns whether a further value of this field is to be kept. Only the first value is kept, except for
    /// the addresses of a sitemap (at most [`LOCS_MAX`]).
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

fn bare(loc: String, kind: SitemapEntryKind) -> Entry {
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

fn entry_kind(dialect: XmlFormat, name: QName<'_>) -> Option<SitemapEntryKind> {
    let local = name.local_name();
    match (dialect, &*lower(local.as_ref())) {
        (XmlFormat::Sitemap, "url") | (XmlFormat::Rss, "item") | (XmlFormat::Atom, "entry") => {
            Some(SitemapEntryKind::Url)
        }
        (XmlFormat::Sitemap, "sitemap") => Some(SitemapEntryKind::Sitemap),
        _ => None,
    }
}

/// Returns the field that a direct child of an entry holds, and the value from the child's attributes (empty
/// if the value is the child's text).
fn field_of(dialect: XmlFormat, entry: &str, element: &BytesStart<'_>) -> Option<(EntryField, String)> {
    let local = element.local_name();
    let name = &*lower(local.as_ref());
    // RSS 1.0 has no date of its own; its feeds use the element `date` of Dublin Core.
    if dialect == XmlFormat::Rss && name == "date" {
        return Some((EntryField::LastMod, String::new()));
    }
    if prefix(element.name()) != entry {
        // An RSS item may have an `atom:link`, which is used if the item has no other address.
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

/// Returns the address of an Atom link, if the link leads to the entry's page.
fn page_of(element: &BytesStart<'_>) -> Option<String> {
    let page = attribute(element, "rel").is_none_or(|rel| rel.eq_ignore_ascii_case("alternate"));
    attribute(element, "href").filter(|_| page)
}

/// Converts a name to lower case. Most names are in lower case already, and are not copied.
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
    // If the value cannot be unescaped, because it has a raw ampersand, it is taken as written.
    Some(match unescape(&attribute.value) {
        Ok(value) => value.into_owned(),
        Err(_) => attribute.value.into_owned(),
    })
}

fn prefix(name: QName<'_>) -> &str {
    name.0.rsplit_once(':').map_or("", |(prefix, _)| prefix)
}
