//! The cheap way through a page: title and links in one streaming pass, without a DOM.
//!
//! lol_html scans tags and stops only where a handler wants something. What is in comments, scripts,
//! styles and templates is not markup to it, or left out here.

use crate::directives::MetaRobots;
use crate::link::{LINK_BYTES_MAX, LINKS_MAX, LinkKind, RawLink};
use crate::text::{bounded, collapse, push_collapsed};
use lol_html::html_content::{Element as Tag, TextChunk};
use lol_html::{ElementContentHandlers, HtmlRewriter, MemorySettings, Selector, Settings};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::LazyLock;

/// The longest title that is kept, in bytes.
pub const TITLE_BYTES_MAX: usize = 4 * 1024;

/// What the streaming pass may hold in memory: its stack of open elements (200,000 fit) and one
/// unfinished tag or comment at the end of the page.
const PASS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Entities shrink when they are decoded, though hardly more than this many times.
const ENTITY_SHRINKS_MAX: usize = 8;

/// How many `<meta>`s that ask crawlers for something are kept.
const META_ROBOTS_MAX: usize = 64;

const HTML_NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// What one pass over a page finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skim {
    /// The first `<title>` that is not empty: entities decoded, white space collapsed, at most
    /// [`TITLE_BYTES_MAX`].
    pub title: Option<String>,
    /// All links in document order, also those that are not followed; at most [`LINKS_MAX`].
    pub links: Vec<RawLink>,
    /// The `href` of the first `<base>` that has one, entities decoded.
    pub base_href: Option<String>,
    /// Every `<meta>` with a name and a content that asks crawlers for something, whoever is named; at
    /// most 64.
    pub robots: Vec<MetaRobots>,
    /// Why this is not all that the page holds; `None`: it is all.
    pub cut: Option<Cut>,
}

/// Why a page was not read to its end. What was found before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// The page has more than [`LINKS_MAX`] links.
    Links,
    /// Its markup is nested too deeply, or has a single tag too long, to be read in bounded memory.
    Memory,
}

/// Collects what a page gives, whichever way the page is read.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    pub(crate) skim: Skim,
}

/// There are links enough; the pass can stop.
#[derive(Debug, thiserror::Error)]
#[error("the page has more than {LINKS_MAX} links")]
pub(crate) struct Enough;

impl Collector {
    /// Takes a link whose entities are decoded. Refuses the one behind the last.
    pub(crate) fn link(
        &mut self,
        kind: LinkKind,
        href: Cow<'_, str>,
        rel: Option<String>,
    ) -> Result<(), Enough> {
        if href.len() > LINK_BYTES_MAX {
            return Ok(());
        }
        if self.skim.links.len() == LINKS_MAX {
            self.skim.cut = Some(Cut::Links);
            return Err(Enough);
        }
        self.skim.links.push(RawLink::new(kind, href.into_owned(), rel));
        Ok(())
    }

    /// Takes the `href` of a `<base>`; the first one counts.
    pub(crate) fn base(&mut self, href: Cow<'_, str>) {
        if self.skim.base_href.is_none() && href.len() <= LINK_BYTES_MAX {
            self.skim.base_href = Some(href.into_owned());
        }
    }

    /// Takes a `<meta>` with a name, entities decoded.
    pub(crate) fn meta(&mut self, name: &str, content: &str) {
        if self.skim.robots.len() < META_ROBOTS_MAX {
            self.skim.robots.extend(MetaRobots::read(name, content));
        }
    }

    /// Takes the text of a `<title>`, entities decoded; the first that is not empty counts.
    pub(crate) fn title(&mut self, text: &str) {
        if self.skim.title.is_none() {
            let title = collapse(text);
            let title = bounded(&title, TITLE_BYTES_MAX).trim_end();
            self.skim.title = (!title.is_empty()).then(|| title.to_owned());
        }
    }
}

/// Reads the whole page in one pass.
pub(crate) fn skim(text: &str) -> Skim {
    let pass = Pass { text, found: RefCell::default(), title: RefCell::default(), ..Pass::default() };
    let ran = pass.run();
    pass.end_of_title();
    let mut skim = pass.found.into_inner().skim;
    if ran.is_err() && skim.cut.is_none() {
        skim.cut = Some(Cut::Memory);
    }
    skim
}

/// What the pass listens for. Every selector is tried on every tag, so a page gets those alone that it
/// has a use for: see [`listeners`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listener {
    Anchor,
    Title,
    Area,
    Base,
    Frame,
    Iframe,
    Relation,
    Meta,
    SvgTitle,
    Template,
}

const LISTENERS: usize = 10;

/// Selectors are parsed once a process; each pass compiles them anew, since lol_html has it so.
static SELECTORS: LazyLock<[(Listener, Selector); LISTENERS]> = LazyLock::new(|| {
    [
        (Listener::Anchor, "a"),
        (Listener::Title, "title"),
        (Listener::Area, "area"),
        (Listener::Base, "base"),
        (Listener::Frame, "frame"),
        (Listener::Iframe, "iframe"),
        (Listener::Relation, "link"),
        (Listener::Meta, "meta"),
        // Behind `title`, whose handler it overrules.
        (Listener::SvgTitle, "svg title"),
        (Listener::Template, "template"),
    ]
    .map(|(listener, css)| (listener, css.parse().expect("a constant, and a selector")))
});

/// The listeners that `text` needs: the usual ones, and those of the rare elements that occur in it,
/// be it in a comment. This look costs 3 % of a pass, and each selector too many 2 %.
fn listeners(text: &str) -> impl Iterator<Item = (Listener, &'static Selector)> {
    let mut wanted = [false; LISTENERS];
    wanted[Listener::Anchor as usize] = true;
    wanted[Listener::Title as usize] = true;
    for at in memchr::memchr_iter(b'<', text.as_bytes()) {
        let name = &text.as_bytes()[at + 1..];
        let (rest, listener): (&[u8], _) = match name.first().map(u8::to_ascii_lowercase) {
            Some(b'a') => (b"rea", Listener::Area),
            Some(b'b') => (b"ase", Listener::Base),
            Some(b'f') => (b"rame", Listener::Frame),
            Some(b'i') => (b"frame", Listener::Iframe),
            Some(b'l') => (b"ink", Listener::Relation),
            Some(b'm') if says_something(name) => (b"eta", Listener::Meta),
            Some(b's') => (b"vg", Listener::SvgTitle),
            Some(b't') => (b"emplate", Listener::Template),
            _ => continue,
        };
        let tail = name.get(1..1 + rest.len());
        wanted[listener as usize] |= tail.is_some_and(|tail| tail.eq_ignore_ascii_case(rest));
    }
    SELECTORS.iter().filter(move |(l, _)| wanted[*l as usize]).map(|(l, selector)| (*l, selector))
}

/// Whether a tag that begins here might be a `<meta>` that asks crawlers for something: most are not,
/// and few pages have one. Whatever stands up to the next `<` is looked at, since a `>` may be quoted;
/// a quoted `<` shows in a quote that does not end.
fn says_something(tag: &[u8]) -> bool {
    let tag = &tag[..memchr::memchr(b'<', tag).unwrap_or(tag.len())];
    let count = |quote| memchr::memchr_iter(quote, tag).count();
    let has_no = || tag.windows(2).any(|two| two.eq_ignore_ascii_case(b"no"));
    memchr::memchr(b'&', tag).is_some() || has_no() || count(b'"') % 2 == 1 || count(b'\'') % 2 == 1
}

#[derive(Default)]
struct Pass<'t> {
    /// The page, given to lol_html in one piece: so its source positions are positions here, and
    /// attributes are read without an allocation each.
    text: &'t str,
    found: RefCell<Collector>,
    /// The raw text of the title that is being read, and whether one is.
    title: RefCell<String>,
    in_title: Cell<bool>,
    /// How many `<template>`s are open; their content is no part of the page.
    templates: Rc<Cell<usize>>,
}

/// What a handler hands back.
type Handled = lol_html::HandlerResult;

impl<'t> Pass<'t> {
    fn run(&self) -> Result<(), lol_html::errors::RewritingError> {
        let memory = MemorySettings::new().with_max_allowed_memory_usage(PASS_BYTES_MAX);
        // Not strict: markup that a browser and a stream may read differently is read as a stream.
        let mut settings = Settings::new().with_strict(false).with_memory_settings(memory);
        for (listener, selector) in listeners(self.text) {
            settings =
                settings.append_element_content_handler((Cow::Borrowed(selector), self.handlers(listener)));
        }
        let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
        rewriter.write(self.text.as_bytes())?;
        rewriter.end()
    }

    fn handlers(&self, listener: Listener) -> ElementContentHandlers<'_> {
        let on = ElementContentHandlers::default();
        match listener {
            Listener::Anchor => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Anchor, "href")),
            Listener::Area => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Area, "href")),
            Listener::Frame => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Frame, "src")),
            Listener::Iframe => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Iframe, "src")),
            Listener::Relation => on.element(|e: &mut Tag<'_, '_>| self.relation(e)),
            Listener::Meta => on.element(|e: &mut Tag<'_, '_>| self.meta(e)),
            Listener::Base => on.element(|e: &mut Tag<'_, '_>| self.base(e)),
            Listener::Template => on.element(|e: &mut Tag<'_, '_>| self.template(e)),
            Listener::Title => on
                .element(|_: &mut Tag<'_, '_>| self.start_of_title())
                .text(|chunk: &mut TextChunk<'_>| self.title_text(chunk)),
            Listener::SvgTitle => on.element(|_: &mut Tag<'_, '_>| self.not_a_title()),
        }
    }

    /// The values of two attributes, as they stand in the source.
    fn attributes(&self, element: &Tag<'_, '_>, names: [&str; 2]) -> [Option<&'t str>; 2] {
        let mut values = [None, None];
        for attribute in element.attributes() {
            let Some(at) = attribute.name_source_location() else { continue };
            let Some(name) = self.text.get(at.bytes()) else { continue };
            let Some(index) = names.iter().position(|wanted| name.eq_ignore_ascii_case(wanted)) else {
                continue;
            };
            // Of two attributes with one name the first counts. One without a value is empty.
            values[index].get_or_insert_with(|| {
                let at = attribute.value_source_location();
                at.and_then(|at| self.text.get(at.bytes())).unwrap_or_default()
            });
        }
        values
    }

    fn in_template(&self) -> bool {
        self.templates.get() > 0
    }

    fn link(&self, element: &Tag<'_, '_>, kind: LinkKind, attribute: &str) -> Handled {
        let [href, rel] = self.attributes(element, [attribute, "rel"]);
        self.take(kind, href, rel)
    }

    fn relation(&self, element: &Tag<'_, '_>) -> Handled {
        let [href, rel] = self.attributes(element, ["href", "rel"]);
        match rel.and_then(LinkKind::of_relation) {
            Some(kind) => self.take(kind, href, rel),
            None => Ok(()),
        }
    }

    fn take(&self, kind: LinkKind, href: Option<&str>, rel: Option<&str>) -> Handled {
        let Some(href) = href.and_then(decoded) else { return Ok(()) };
        if self.in_template() {
            return Ok(());
        }
        let rel = rel.and_then(decoded).map(Cow::into_owned);
        Ok(self.found.borrow_mut().link(kind, href, rel)?)
    }

    fn meta(&self, element: &Tag<'_, '_>) -> Handled {
        let [name, content] = self.attributes(element, ["name", "content"]);
        if let (Some(name), Some(content)) = (name.and_then(decoded), content.and_then(decoded))
            && !self.in_template()
        {
            self.found.borrow_mut().meta(&name, &content);
        }
        Ok(())
    }

    fn base(&self, element: &Tag<'_, '_>) -> Handled {
        let [href, _] = self.attributes(element, ["href", ""]);
        if let Some(href) = href.and_then(decoded)
            && !self.in_template()
        {
            self.found.borrow_mut().base(href);
        }
        Ok(())
    }

    fn template(&self, element: &mut Tag<'_, '_>) -> Handled {
        // In SVG the name means nothing.
        if element.namespace_uri() != HTML_NAMESPACE {
            return Ok(());
        }
        self.templates.set(self.templates.get() + 1);
        let templates = Rc::clone(&self.templates);
        element.on_end_tag(Box::new(move |_| {
            templates.set(templates.get().saturating_sub(1));
            Ok(())
        }))
    }

    fn start_of_title(&self) -> Handled {
        self.end_of_title();
        self.in_title.set(self.found.borrow().skim.title.is_none() && !self.in_template());
        Ok(())
    }

    /// In SVG a title is the name of a drawing; lol_html tells no namespace here, since what is inside
    /// of it is HTML again.
    fn not_a_title(&self) -> Handled {
        self.in_title.set(false);
        Ok(())
    }

    fn title_text(&self, chunk: &TextChunk<'_>) -> Handled {
        if self.in_title.get() {
            let mut title = self.title.borrow_mut();
            let room = (TITLE_BYTES_MAX * ENTITY_SHRINKS_MAX).saturating_sub(title.len());
            push_collapsed(&mut title, bounded(chunk.as_str(), room));
        }
        Ok(())
    }

    /// Only the whole text is decoded: an entity may stretch over two chunks.
    fn end_of_title(&self) {
        if self.in_title.replace(false) {
            let raw = std::mem::take(&mut *self.title.borrow_mut());
            self.found.borrow_mut().title(&without_nul(htmlize::unescape(raw.as_str())));
        }
    }
}

/// The value of an attribute with its entities decoded; `None` if it is far too long to be of use.
fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    if raw.len() > LINK_BYTES_MAX * ENTITY_SHRINKS_MAX {
        return None;
    }
    if !raw.bytes().any(|byte| byte == b'&' || byte == 0) {
        return Some(Cow::Borrowed(raw));
    }
    Some(without_nul(htmlize::unescape_attribute(raw)))
}

/// The tokenizer of the HTML standard reads NUL as U+FFFD.
fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { text }
}
