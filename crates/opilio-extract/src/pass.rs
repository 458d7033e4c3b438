//! The streaming pass, which reads title, links and `<meta>` elements of a page without building a DOM. It reads pages
//! with unusual markup; for most pages, [`quick`] does so at less cost.
//!
//! lol_html reads all tags, but calls a handler only for elements that match one of its selectors. It does not read
//! markup in comments, scripts and styles. The handlers here ignore the content of templates.

use crate::link::{LINK_BYTES_MAX, LinkKind, Reach};
use crate::markup::quick;
use crate::skim::{Collector, Cut, Skim, TITLE_BYTES_MAX};
use crate::text::{bounded, push_collapsed};
use lol_html::errors::RewritingError;
use lol_html::html_content::{Element as Tag, TextChunk, TextType};
use lol_html::{ElementContentHandlers, HtmlRewriter, MemorySettings, Selector, Settings};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::LazyLock;

/// The most memory of the streaming pass (32 MiB). It holds the stack of open elements (200,000 fit), and an
/// unfinished tag or comment at the end of the page.
const PASS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The factor by which a value becomes shorter, at most, when its entities are decoded.
const ENTITY_SHRINKS_MAX: usize = 8;

/// The most bytes of a title as written.
pub(crate) const TITLE_ROOM_BYTES: usize = TITLE_BYTES_MAX * ENTITY_SHRINKS_MAX;

/// The most `<noscript>` elements of a page that are read, since each of them takes a pass of its own.
const NOSCRIPTS_MAX: usize = 64;

const HTML_NAMESPACE: &str = "http://www.w3.org/1999/xhtml";

/// Reads the whole page.
pub(crate) fn skim(text: &str, reach: Reach) -> Skim {
    quick::skim(text, reach).unwrap_or_else(|| stream(text, reach))
}

/// Reads the whole page in one streaming pass.
pub(crate) fn stream(text: &str, reach: Reach) -> Skim {
    let found = RefCell::default();
    let ran = Pass { reach, ..Pass::new(text, &found) }.run();
    let mut skim = found.into_inner().skim;
    if ran.is_err() && skim.cut.is_none() {
        skim.cut = Some(Cut::Memory);
    }
    skim
}

/// The kinds of elements that the pass handles. lol_html tests every selector on every tag, so each page gets only
/// the selectors that it needs: see [`listeners`].
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
    Noscript,
    Image,
    Source,
    ForeignTitle,
    Template,
}

const LISTENERS: usize = 13;

/// The parsed selectors of all listeners. They are parsed once per process; lol_html compiles them again for each
/// pass.
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
        (Listener::Noscript, "noscript"),
        (Listener::Image, "img"),
        (Listener::Source, "source"),
        // This handler must come after that of `title`, because it corrects the result of that handler.
        (Listener::ForeignTitle, "svg title, math title"),
        (Listener::Template, "template"),
    ]
    .map(|(listener, css)| (listener, css.parse().expect("a constant, and a selector")))
});

/// Returns the listeners that `text` needs: the usual listeners, and those of rare elements whose names occur
/// anywhere in `text`, even in a comment. This search costs 3 % of a pass, and each unneeded selector would cost 2
/// %.
fn listeners(text: &str, reach: Reach) -> impl Iterator<Item = (Listener, &'static Selector)> {
    let mut wanted = [false; LISTENERS];
    wanted[Listener::Anchor as usize] = true;
    wanted[Listener::Title as usize] = true;
    let mut metas = Metas::default();
    for at in memchr::memchr_iter(b'<', text.as_bytes()) {
        let tag = &text.as_bytes()[at + 1..];
        let is = |name: &[u8]| tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let listener = match tag.first().map(u8::to_ascii_lowercase) {
            Some(b'a') if is(b"area") => Listener::Area,
            Some(b'b') if is(b"base") => Listener::Base,
            Some(b'f') if is(b"frame") => Listener::Frame,
            Some(b'i') if is(b"iframe") => Listener::Iframe,
            Some(b'i') if reach == Reach::Images && is(b"img") => Listener::Image,
            Some(b'l') if is(b"link") => Listener::Relation,
            Some(b'm') if is(b"meta") && metas.say_something(tag, at) => Listener::Meta,
            Some(b'n') if is(b"noscript") => Listener::Noscript,
            Some(b'm') if is(b"math") => Listener::ForeignTitle,
            Some(b's') if is(b"svg") => Listener::ForeignTitle,
            Some(b's') if reach == Reach::Images && is(b"source") => Listener::Source,
            Some(b't') if is(b"template") => Listener::Template,
            _ => continue,
        };
        wanted[listener as usize] = true;
    }
    SELECTORS.iter().filter(move |(l, _)| wanted[*l as usize]).map(|(l, selector)| (*l, selector))
}

/// Finds out whether the `<meta>` tags of a page say something to a crawler.
#[derive(Default)]
struct Metas {
    /// Whether one of the tags said something. Then no other tag is read.
    found: bool,
    /// The offset of the last tag's end.
    end: usize,
}

impl Metas {
    /// Returns whether this tag, which begins at the offset `at`, or an earlier one may say something. Tags that
    /// begin inside a tag, as in `<meta <meta <meta`, count without being read: each may be as long as the page.
    fn say_something(&mut self, tag: &[u8], at: usize) -> bool {
        if !self.found {
            let tag = &tag[..end_of_tag(tag)];
            self.found = at < self.end || says_something(tag);
            self.end = at + 1 + tag.len();
        }
        self.found
    }
}

/// Returns whether a `<meta>` tag might contain a directive or a refresh. Most do not, and a page in which none does
/// needs no listener for `<meta>`. The words may be written in numeric entities, so a tag with such entities counts,
/// too.
fn says_something(tag: &[u8]) -> bool {
    tag.iter().enumerate().any(|(at, byte)| {
        let begins = |word: &[u8]| tag[at..].get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word));
        match byte.to_ascii_lowercase() {
            b'&' => begins(b"&#"),
            b'n' => [b"none", b"noin", b"nofo", b"noar"].iter().any(|word| begins(*word)),
            b'r' => begins(b"refresh"),
            _ => false,
        }
    })
}

/// Returns the offset of the first `>` that is not in a quoted value, where the tag ends. A quote begins a value
/// only after a `=`.
fn end_of_tag(tag: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = tag.get(at..).and_then(|rest| memchr::memchr3(b'>', b'"', b'\'', rest)) {
        at += found;
        let quote = tag[at];
        if quote == b'>' {
            return at;
        }
        let opens = tag[..at].iter().rev().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'=');
        at += 1;
        if opens {
            let Some(closes) = memchr::memchr(quote, &tag[at..]) else { break };
            at += closes + 1;
        }
    }
    tag.len()
}

struct Pass<'t, 'f> {
    /// The text of the page. lol_html gets all of it in one piece, so the source positions that it reports are
    /// positions in this text, and attributes are read without allocating memory.
    text: &'t str,
    reach: Reach,
    found: &'f RefCell<Collector>,
    /// The number of `<noscript>` elements that may still be read: see [`Pass::noscript`].
    noscripts_left: Cell<usize>,
    /// The raw text of the title that is being read, if the flag `in_title` is set.
    title: RefCell<String>,
    in_title: Cell<bool>,
    /// Whether the title that is being read is in SVG or MathML.
    is_foreign_title: Cell<bool>,
    /// The number of open `<template>` elements. The content of templates is not part of the page.
    templates: Rc<Cell<usize>>,
}

/// The return type of lol_html's handlers.
type Handled = lol_html::HandlerResult;

impl<'t, 'f> Pass<'t, 'f> {
    fn new(text: &'t str, found: &'f RefCell<Collector>) -> Self {
        Self {
            text,
            reach: Reach::Pages,
            found,
            noscripts_left: Cell::new(NOSCRIPTS_MAX),
            title: RefCell::default(),
            in_title: Cell::default(),
            is_foreign_title: Cell::default(),
            templates: Rc::default(),
        }
    }

    fn run(&self) -> Result<(), RewritingError> {
        let ran = self.read();
        self.end_of_title();
        ran
    }

    fn read(&self) -> Result<(), RewritingError> {
        let memory = MemorySettings::new().with_max_allowed_memory_usage(PASS_BYTES_MAX);
        // Strict mode is off: markup that a stream and a browser may read differently is read as a stream reads it,
        // without an error.
        let mut settings = Settings::new().with_strict(false).with_memory_settings(memory);
        for (listener, selector) in listeners(self.text, self.reach) {
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
            Listener::Anchor => on.element(|e: &mut Tag<'_, '_>| self.anchor(e)),
            Listener::Area => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Area, "href")),
            Listener::Frame => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Frame, "src")),
            Listener::Iframe => on.element(|e: &mut Tag<'_, '_>| self.link(e, LinkKind::Iframe, "src")),
            Listener::Relation => on.element(|e: &mut Tag<'_, '_>| self.relation(e)),
            Listener::Meta => on.element(|e: &mut Tag<'_, '_>| self.meta(e)),
            Listener::Base => on.element(|e: &mut Tag<'_, '_>| self.base(e)),
            Listener::Noscript => on.element(|e: &mut Tag<'_, '_>| self.noscript(e)),
            Listener::Image => on.element(|e: &mut Tag<'_, '_>| self.image(e, "src")),
            Listener::Source => on.element(|e: &mut Tag<'_, '_>| self.image(e, "")),
            Listener::Template => on.element(|e: &mut Tag<'_, '_>| self.template(e)),
            Listener::Title => on
                .element(|_: &mut Tag<'_, '_>| self.start_of_title())
                .text(|chunk: &mut TextChunk<'_>| self.title_text(chunk)),
            Listener::ForeignTitle => on.element(|_: &mut Tag<'_, '_>| self.perhaps_no_title()),
        }
    }

    /// Returns the values of the attributes with these names, as written in the source.
    fn attributes<const N: usize>(&self, element: &Tag<'_, '_>, names: [&str; N]) -> [Option<&'t str>; N] {
        let mut values = [None; N];
        for attribute in element.attributes() {
            let Some(at) = attribute.name_source_location() else { continue };
            let Some(name) = self.text.get(at.bytes()) else { continue };
            let Some(index) = names.iter().position(|wanted| name.eq_ignore_ascii_case(wanted)) else {
                continue;
            };
            // If two attributes have the same name, the first counts. An attribute without a value has the empty
            // value.
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

    fn anchor(&self, element: &Tag<'_, '_>) -> Handled {
        let [mut href, rel] = self.attributes(element, ["href", "rel"]);
        if href.is_none() && !is_html(element) {
            [href] = self.attributes(element, ["xlink:href"]);
        }
        self.take(LinkKind::Anchor, href, rel)
    }

    fn link(&self, element: &Tag<'_, '_>, kind: LinkKind, attribute: &str) -> Handled {
        if !is_html(element) {
            return Ok(());
        }
        let [href, rel] = self.attributes(element, [attribute, "rel"]);
        self.take(kind, href, rel)
    }

    fn relation(&self, element: &Tag<'_, '_>) -> Handled {
        let [href, rel] = self.attributes(element, ["href", "rel"]);
        match rel.and_then(LinkKind::of_relation) {
            Some(kind) if is_html(element) => self.take(kind, href, rel),
            _ => Ok(()),
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
        let [name, event, content] = self.attributes(element, ["name", "http-equiv", "content"]);
        let Some(content) = content.and_then(decoded) else { return Ok(()) };
        if self.in_template() {
            return Ok(());
        }
        let (name, event) = (name.and_then(decoded), event.and_then(decoded));
        Ok(self.found.borrow_mut().meta(name.as_deref(), event.as_deref(), &content)?)
    }

    fn image(&self, element: &Tag<'_, '_>, source: &str) -> Handled {
        let [source, set] = self.attributes(element, [source, "srcset"]);
        if self.in_template() || !is_html(element) {
            return Ok(());
        }
        let mut found = self.found.borrow_mut();
        if let Some(source) = source.and_then(decoded) {
            found.link(LinkKind::Image, source, None)?;
        }
        Ok(found.image_set(&set.and_then(decoded).unwrap_or_default())?)
    }

    /// Reads the content of `<noscript>` in a pass of its own. For lol_html, as for a browser that runs scripts,
    /// this content is text; since a crawler runs no scripts, it is read as markup here. The number of such passes
    /// is limited, since each costs a few microseconds. A `<noscript>` inside a `<noscript>` is not read.
    fn noscript(&self, element: &Tag<'_, '_>) -> Handled {
        let left = self.noscripts_left.get();
        if self.in_template() || left == 0 || !is_html(element) {
            return Ok(());
        }
        self.noscripts_left.set(left - 1);
        self.end_of_title();
        let rest = self.text.get(element.source_location().bytes().end..).unwrap_or_default();
        let inside = &rest[..end_of_noscript(rest.as_bytes())];
        let pass = Pass { reach: self.reach, noscripts_left: Cell::new(0), ..Pass::new(inside, self.found) };
        match pass.run() {
            // This error means that the limit of links is reached, so it ends the outer pass, too.
            Err(RewritingError::ContentHandlerError(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn base(&self, element: &Tag<'_, '_>) -> Handled {
        let [href, _] = self.attributes(element, ["href", ""]);
        if let Some(href) = href.and_then(decoded)
            && !self.in_template()
            && is_html(element)
        {
            self.found.borrow_mut().base(href);
        }
        Ok(())
    }

    fn template(&self, element: &mut Tag<'_, '_>) -> Handled {
        // In SVG and MathML, `<template>` has no special meaning.
        if !is_html(element) {
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
        self.is_foreign_title.set(false);
        self.in_title.set(self.found.borrow().skim.title.is_none() && !self.in_template());
        Ok(())
    }

    /// Marks a title as foreign, that is, in SVG or MathML: an SVG title names a shape, and a MathML title has no
    /// meaning. lol_html cannot tell the namespace here, since SVG and MathML may contain HTML again. But it treats
    /// only the content of a page's own title as text.
    fn perhaps_no_title(&self) -> Handled {
        self.is_foreign_title.set(self.in_title.get());
        Ok(())
    }

    fn title_text(&self, chunk: &TextChunk<'_>) -> Handled {
        if self.is_foreign_title.get() && chunk.text_type() != TextType::RCData {
            self.in_title.set(false);
        }
        if self.in_title.get() {
            let mut title = self.title.borrow_mut();
            let room = TITLE_ROOM_BYTES.saturating_sub(title.len());
            push_collapsed(&mut title, bounded(chunk.as_str(), room));
        }
        Ok(())
    }

    /// Decodes the title's text. This happens only when the text is complete, since an entity may be split between
    /// two chunks.
    fn end_of_title(&self) {
        if self.in_title.replace(false) {
            let raw = std::mem::take(&mut *self.title.borrow_mut());
            self.found.borrow_mut().title(&without_nul(crate::entities::decoded_text(raw.as_str())));
        }
    }
}

fn is_html(element: &Tag<'_, '_>) -> bool {
    element.namespace_uri() == HTML_NAMESPACE
}

/// Returns the offset of the end tag of a `<noscript>`, where its text ends. Upper and lower case are equal.
fn end_of_noscript(text: &[u8]) -> usize {
    const END: &[u8] = b"</noscript";
    let is_end = |at: &usize| {
        let tag = &text[*at..];
        tag.get(..END.len()).is_some_and(|start| start.eq_ignore_ascii_case(END))
            && tag
                .get(END.len())
                .is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>'))
    };
    memchr::memchr_iter(b'<', text).find(is_end).unwrap_or(text.len())
}

/// Returns the value of an attribute with its entities decoded; `None` if the value is too long for a link.
pub(crate) fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    if raw.len() > LINK_BYTES_MAX * ENTITY_SHRINKS_MAX {
        return None;
    }
    if !raw.bytes().any(|byte| byte == b'&' || byte == 0) {
        return Some(Cow::Borrowed(raw));
    }
    Some(without_nul(crate::entities::decoded_attribute(raw)))
}

/// Replaces each NUL character by U+FFFD, as the tokenizer of the HTML standard does.
fn without_nul(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { text }
}
