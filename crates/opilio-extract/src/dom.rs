//! The DOM for CSS selectors: the tree that html5ever (for XML, xml5ever) builds and scraper stores. It is built in
//! limited memory.
//!
//! The parsers themselves limit neither depth nor size: each start tag may visit all open elements, and open
//! formatting elements are cloned into each new paragraph. So a page of 200,000 nested tags would take minutes, and
//! some pages of 10 MB would take gigabytes of memory. Therefore a page is given to the parser in small pieces. When
//! a limit is exceeded, the rest of the page is left out.

use crate::base::{Bases, TooMuch};
use crate::error::Flaw;
use crate::feed::{self, FeedLink};
use crate::link::{LinkKind, Reach};
use crate::markup::tokens::{self, MarkupEnd};
use crate::skim::{Collector, Cut, Enough, Skim};
use crate::text::{bounded, collapse, push_break, push_collapsed, trim_end};
use crate::xml::{self, XmlSink};
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::fmt::UTF8;
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tokenizer::{Token, TokenSink, Tokenizer};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{Parser, ns};
use scraper::{ElementRef, Html, HtmlTreeSink};
use std::borrow::Cow;
use std::cell::{Ref, RefCell};
use std::ops::Deref;
use std::sync::Arc;
use url::Url;
use xml5ever::driver::{XmlParseOpts, XmlParser};

/// The deepest level of elements that is parsed: 512, as in browsers. The last piece may exceed this level.
const DEPTH_MAX: usize = 512;

/// The most nodes (elements and texts) of a DOM. Each takes a few hundred bytes while the DOM is built.
const NODES_MAX: usize = 250_000;

/// The most attributes of a tag (16,384), since html5ever compares each attribute with all others. The attributes
/// are estimated by counting separators, which also occur in comments and embedded images, so the limit is far
/// higher than needed for real tags.
const SEPARATORS_MAX: usize = 16 * 1024;

/// The number of bytes that are parsed between two checks of depth and size. In the worst case, every three bytes
/// clone all open formatting elements, so this number limits how far a piece can exceed the limits.
const PIECE_BYTES: usize = 1024;

/// The most bytes of a link's text, and, below, the most nodes that are visited to collect the text.
const LINK_TEXT_BYTES_MAX: usize = 4 * 1024;
const LINK_TEXT_NODES_MAX: usize = 4 * 1024;

/// A parsed page.
#[derive(Debug)]
pub(crate) struct Dom {
    html: Html,
    /// Whether the end of the page was left out because of a limit.
    pub(crate) cut: bool,
    /// The reason why the document was not read as well-formed XML, if it should have been.
    pub(crate) flaw: Option<Flaw>,
    /// The base URLs that elements set for their links with `xml:base`.
    bases: RefCell<Bases>,
}

/// Whether links are collected with their texts, which requires visiting all nodes inside each link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkTexts {
    Skip,
    Take,
}

impl Dom {
    pub(crate) fn parse(text: &str) -> Self {
        let sink = HtmlTreeSink::new(Html::new_document());
        // No scripts run, so the content of `<noscript>` is parsed as markup.
        let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
        let page = &*tokens::with_line_feeds(text);
        let builder = TreeBuilder::new(sink, tree_builder);
        let mut known = 0;
        let stop = tokens::read(page, &builder, || {
            let html = builder.sink.0.borrow();
            let may_go_on = !goes_too_far(&html, known);
            known = html.tree.nodes().len();
            may_go_on
        });
        let (html, cut) = match stop {
            MarkupEnd::End | MarkupEnd::Limit => {
                let _ = builder.process_token(Token::EOFToken, 1);
                builder.end();
                (builder.sink.finish(), matches!(stop, MarkupEnd::Limit))
            }
            MarkupEnd::Unusual { from, opts } => {
                let tokenizer = Tokenizer::new(builder, opts);
                let mut parser = Parser { tokenizer, input_buffer: BufferQueue::default() };
                let cut = feed(&mut parser, &page[from..], |parser| parser.tokenizer.sink.sink.0.borrow());
                (parser.finish(), cut)
            }
        };
        Self { html, cut, flaw: None, bases: RefCell::new(Bases::new(false)) }
    }

    /// Makes a DOM of a tree, for comparisons.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn of(html: Html) -> Self {
        Self { html, cut: false, flaw: None, bases: RefCell::new(Bases::new(false)) }
    }

    /// Reads the facts of these elements, in this order.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn skim_of(&self, elements: &[NodeId], reach: Reach) -> Skim {
        // Parsing cannot fail: the URL is a constant.
        let url = Url::parse("https://site.example/").expect("a constant");
        let into = Collector::default();
        let mut collecting = Collecting { into, texts: LinkTexts::Skip, reach, dom: self, document: &url };
        let is_template = |node: Node<'_>| {
            ElementRef::wrap(node).is_some_and(|e| is_html(e) && e.value().name() == "template")
        };
        let elements = elements.iter().filter_map(|id| self.html.tree.get(*id));
        let outside = elements.filter(|node| !node.ancestors().any(is_template));
        let _ = outside.filter_map(ElementRef::wrap).try_for_each(|element| collecting.element(element));
        collecting.into.skim
    }

    /// Reads XML. Markup that is not well-formed is read as HTML instead, except a feed: a broken feed is repaired,
    /// since its links would be lost in HTML.
    pub(crate) fn parse_xml(text: &str) -> Self {
        let mut parser = xml5ever::driver::parse_document(XmlSink::new(), XmlParseOpts::default());
        let mut cut = false;
        for part in xml::without_declarations(text) {
            cut = cut || feed(&mut parser, part, tree_of_xml);
        }
        // This state is read before the parser ends, because at its end the parser closes open elements and
        // completes a partial tag.
        let (open, misnested) = parser.tokenizer.sink.sink.state();
        let flaw = match (misnested, cut) {
            (true, _) => Some(Flaw::Mended),
            (false, false) if open > 0 => Some(Flaw::Unfinished),
            _ => None,
        };
        let read = parser.finish();
        let mut dom = Self { html: read.html, cut, flaw, bases: RefCell::new(Bases::new(false)) };
        let is_html = dom.root().is_none_or(is_html);
        let readable_as_html = match dom.flaw {
            Some(Flaw::Unfinished) => is_html,
            Some(_) => !dom.root().is_some_and(feed::is_feed),
            // Unclosed paragraphs nest without limit if they are read as XML, but not as HTML. So a page that is cut
            // off with many open elements is read as HTML.
            None if cut => is_html && open > DEPTH_MAX / 2,
            None => dom.root().is_none() && !text.trim().is_empty(),
        };
        if readable_as_html {
            return Self { flaw: Some(Flaw::ReadAsHtml), ..Self::parse(text) };
        }
        // In HTML, `xml:base` has no effect any more.
        dom.bases = RefCell::new(Bases::new(read.has_bases && !is_html));
        dom
    }

    /// Returns the root element. In HTML, the root is `<html>`, which html5ever creates for any input.
    pub(crate) fn root(&self) -> Option<ElementRef<'_>> {
        self.html.tree.root().children().find_map(ElementRef::wrap)
    }

    /// Returns the base URL that an `xml:base` sets for an element's links. `document` is the URL of the document.
    ///
    /// # Errors
    /// When the bases would take too much memory.
    pub(crate) fn base_of(
        &self,
        element: ElementRef<'_>,
        document: &Url,
    ) -> Result<Option<Arc<Url>>, TooMuch> {
        self.bases.borrow_mut().of(element, document)
    }

    /// Reads from the tree the same facts that the pass reads from the text.
    pub(crate) fn skim(&self, texts: LinkTexts, reach: Reach, document: &Url) -> Skim {
        let mut collecting = Collecting { into: Collector::default(), texts, reach, dom: self, document };
        // If this fails with `Enough`, the skim already records that not all links were read.
        let _ = self.collect(&mut collecting);
        let mut skim = collecting.into.skim;
        if self.cut && skim.cut.is_none() {
            skim.cut = Some(Cut::Memory);
        }
        skim
    }

    fn collect(&self, collecting: &mut Collecting<'_>) -> Result<(), Enough> {
        let Some(root) = self.root() else { return Ok(()) };
        let is_feed = feed::is_feed(root);
        if is_feed {
            collecting.feed(root)?;
        }
        let mut walk = DomWalk::new(root, |element| is_html(element) && element.value().name() == "template");
        while let Some(step) = walk.next() {
            let WalkStep::Enter(node) = step else { continue };
            let Some(element) = ElementRef::wrap(node) else { continue };
            collecting.element(element)?;
            if is_feed && !is_html(element) {
                collecting.feed(element)?;
            }
        }
        Ok(())
    }
}

fn tree_of_xml(parser: &XmlParser<XmlSink>) -> Ref<'_, Html> {
    parser.tokenizer.sink.sink.tree.0.borrow()
}

/// Gives the text to a parser until its tree is too large or too deep. Returns whether some of the text was left
/// out.
fn feed<P: TendrilSink<UTF8>>(
    parser: &mut P,
    text: &str,
    tree: impl for<'p> Fn(&'p P) -> Ref<'p, Html>,
) -> bool {
    let (mut rest, mut known, mut separators) = (text, Grown::default(), 0);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        parser.process(StrTendril::from_slice(piece));
        rest = after;
        let html = tree(parser);
        let grown = Grown::of(&html);
        separators = if grown == known { separators + count_separators(piece) } else { 0 };
        if goes_too_far(&html, known.nodes) || separators > SEPARATORS_MAX {
            return !rest.is_empty();
        }
        known = grown;
    }
    false
}

/// The size of a tree, to see whether it grows. While the tree does not grow, the parser is inside one tag or
/// comment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Grown {
    nodes: usize,
    last_text_bytes: usize,
}

impl Grown {
    fn of(html: &Html) -> Self {
        let mut nodes = html.tree.nodes();
        let count = nodes.len();
        let text = nodes.next_back().and_then(|node| node.value().as_text());
        Self { nodes: count, last_text_bytes: text.map_or(0, |text| text.len()) }
    }
}

fn count_separators(piece: &str) -> usize {
    let separates = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'"' | b'\'');
    piece.as_bytes().iter().filter(|byte| separates(byte)).count()
}

/// Returns whether the tree is too large, or too deep at the last element among the nodes after the first `known`
/// ones. This element is about as deep as the parser's current position.
fn goes_too_far(html: &Html, known: usize) -> bool {
    let nodes = html.tree.nodes();
    let new = nodes.len().saturating_sub(known);
    let last = nodes.rev().take(new).find(|node| node.value().is_element());
    html.tree.nodes().len() > NODES_MAX
        || last.is_some_and(|node| node.ancestors().take(DEPTH_MAX + 1).count() > DEPTH_MAX)
}

/// The state while the links of a page are collected.
struct Collecting<'d> {
    into: Collector,
    texts: LinkTexts,
    reach: Reach,
    dom: &'d Dom,
    document: &'d Url,
}

impl Collecting<'_> {
    fn element(&mut self, element: ElementRef<'_>) -> Result<(), Enough> {
        if !is_html(element) {
            return self.foreign(element);
        }
        let (kind, attribute) = match element.value().name() {
            "a" => (LinkKind::Anchor, "href"),
            "area" => (LinkKind::Area, "href"),
            "frame" => (LinkKind::Frame, "src"),
            "iframe" => (LinkKind::Iframe, "src"),
            "link" => match element.attr("rel").and_then(LinkKind::of_relation) {
                Some(kind) => (kind, "href"),
                None => return Ok(()),
            },
            "img" if self.reach == Reach::Images => (LinkKind::Image, "src"),
            name => return self.other(name, element),
        };
        let taken = self.into.skim.links.len();
        if let Some(href) = element.attr(attribute) {
            let rel = element.attr("rel").filter(|_| kind != LinkKind::Image).map(str::to_owned);
            self.into.link(kind, Cow::Borrowed(href), rel)?;
        }
        if kind == LinkKind::Image {
            self.into.image_set(element.attr("srcset").unwrap_or_default())?;
        }
        self.complete(taken, element, |element| text_of(element, kind));
        Ok(())
    }

    /// Collects the links of elements that are not simple links: `<base>`, `<meta>`, images and so on.
    fn other(&mut self, name: &str, element: ElementRef<'_>) -> Result<(), Enough> {
        match name {
            "base" => {
                if let Some(href) = element.attr("href") {
                    self.into.base(Cow::Borrowed(href));
                }
            }
            "meta" => {
                if let Some(content) = element.attr("content") {
                    self.into.meta(element.attr("name"), element.attr("http-equiv"), content)?;
                }
            }
            "source" if self.reach == Reach::Images => {
                self.into.image_set(element.attr("srcset").unwrap_or_default())?;
            }
            "title" => self.into.title(&element.text().collect::<String>()),
            _ => {}
        }
        Ok(())
    }

    /// Collects the link of an `<a>` in SVG or MathML. Other elements there do not have the meaning of the HTML
    /// elements of the same name.
    fn foreign(&mut self, element: ElementRef<'_>) -> Result<(), Enough> {
        let name = &element.value().name;
        if (name.ns != ns!(svg) && name.ns != ns!(mathml)) || &*name.local != "a" {
            return Ok(());
        }
        let taken = self.into.skim.links.len();
        if let Some(href) = href_of(element) {
            let rel = element.attr("rel").map(str::to_owned);
            self.into.link(LinkKind::Anchor, Cow::Borrowed(href), rel)?;
        }
        self.complete(taken, element, |element| text_of(element, LinkKind::Anchor));
        Ok(())
    }

    /// Collects the links and the title of a feed, or the links of its entry.
    fn feed(&mut self, element: ElementRef<'_>) -> Result<(), Enough> {
        if feed::is_title_of_feed(element) {
            self.into.title(&element.text().collect::<String>());
        }
        let (links, title) = feed::links_in(element);
        let takes_text = self.texts == LinkTexts::Take && !links.is_empty();
        let title = title.filter(|_| takes_text).map(|title| text_of(title, LinkKind::Entry));
        for FeedLink { kind, href, rel, element } in links {
            let taken = self.into.skim.links.len();
            self.into.link(kind, href, rel.map(str::to_owned))?;
            self.complete(taken, element, |_| title.clone().unwrap_or_default());
        }
        Ok(())
    }

    /// Completes the links that an element has added, from index `from` on, with their text and their base.
    fn complete(&mut self, from: usize, element: ElementRef<'_>, text: impl Fn(ElementRef<'_>) -> String) {
        let links = &mut self.into.skim.links;
        if links.len() == from {
            return;
        }
        let Ok(base) = self.dom.base_of(element, self.document) else {
            links.truncate(from);
            self.into.skim.cut = Some(Cut::Memory);
            return;
        };
        for link in &mut links[from..] {
            link.base.clone_from(&base);
            link.text = (self.texts == LinkTexts::Take).then(|| text(element));
        }
    }
}

/// Returns the text of a link: its content, or the alternative text of an image.
fn text_of(element: ElementRef<'_>, kind: LinkKind) -> String {
    match kind {
        LinkKind::Area | LinkKind::Image => {
            collapse(bounded(element.attr("alt").unwrap_or_default(), LINK_TEXT_BYTES_MAX))
        }
        _ => visible_text(element, LINK_TEXT_BYTES_MAX, LINK_TEXT_NODES_MAX),
    }
}

fn is_html(element: ElementRef<'_>) -> bool {
    element.value().name.ns == ns!(html)
}

/// Returns the `href` (or `xlink:href`) of an element, whatever the element's name is.
pub(crate) fn href_of(element: ElementRef<'_>) -> Option<&str> {
    element.attr("href").or_else(|| attribute(element, xml::XLINK_HREF))
}

/// Returns the value of an attribute. In XML, the prefix is part of the attribute's name. In HTML, the parser
/// separates the prefix from the name in a few attributes of SVG and MathML.
pub(crate) fn attribute<'a>(element: ElementRef<'a>, name: &str) -> Option<&'a str> {
    let value = element.attr(name);
    if value.is_some() {
        return value;
    }
    let (prefix, local) = name.split_once(':')?;
    let mut attributes = element.value().attrs.iter();
    let is = |name: &html5ever::QualName| name.prefix.as_deref() == Some(prefix) && &*name.local == local;
    attributes.find(|(name, _)| is(name)).map(|(_, value)| &**value)
}

/// Returns the text inside `element` in one line: white space is collapsed, and a space is added wherever a reader
/// sees a break. Scripts, styles, templates and `<noscript>` are left out, unless `element` itself is one of these.
pub(crate) fn visible_text(element: ElementRef<'_>, bytes_max: usize, nodes_max: usize) -> String {
    let mut out = String::new();
    let mut walk = DomWalk::new(element, is_hidden);
    let mut visited = 0;
    while let Some(step) = walk.next() {
        visited += 1;
        let (WalkStep::Enter(node) | WalkStep::Leave(node)) = step;
        if let Some(text) = node.value().as_text() {
            // A text node has no children, so the walk never returns a `Leave` step for it.
            let room = bytes_max.saturating_sub(out.len());
            push_collapsed(&mut out, bounded(text, room));
        } else if ElementRef::wrap(node).is_some_and(breaks_line) {
            push_break(&mut out);
        }
        if visited >= nodes_max || out.len() >= bytes_max {
            break;
        }
    }
    trim_end(out)
}

/// Returns the text directly in `element` in one line, without the text of elements inside it.
pub(crate) fn own_text(element: ElementRef<'_>) -> String {
    let mut out = String::new();
    for child in element.children() {
        if let Some(text) = child.value().as_text() {
            push_collapsed(&mut out, text);
        } else if ElementRef::wrap(child).is_some_and(breaks_line) {
            push_break(&mut out);
        }
    }
    trim_end(out)
}

/// Iterates over the elements below `root`, each with its level; the children of `root` have level 1.
#[cfg(feature = "derive")]
pub(crate) fn below(root: ElementRef<'_>) -> impl Iterator<Item = (usize, ElementRef<'_>)> {
    let mut walk = DomWalk::new(root, |_| false);
    let (mut level, mut above) = (0_usize, *root);
    std::iter::from_fn(move || {
        loop {
            match walk.next()? {
                WalkStep::Enter(node) => {
                    level += usize::from(node.parent() == Some(above));
                    above = node;
                    if let Some(element) = ElementRef::wrap(node) {
                        return Some((level, element));
                    }
                }
                WalkStep::Leave(node) => {
                    level = level.saturating_sub(1);
                    // The node that is entered next is a sibling of this node.
                    above = node;
                }
            }
        }
    })
}

/// Returns whether a reader sees nothing of the element's content.
fn is_hidden(element: ElementRef<'_>) -> bool {
    match element.value().name() {
        "template" | "noscript" => is_html(element),
        "script" | "style" => is_html(element) || element.value().name.ns == ns!(svg),
        _ => false,
    }
}

/// Returns whether a reader sees a break before and after the element: because the HTML standard ("Rendering")
/// displays it as a block, a cell or a list item, or because it is `<br>`.
fn breaks_line(element: ElementRef<'_>) -> bool {
    is_html(element)
        && matches!(
            element.value().name(),
            "address"
                | "article"
                | "aside"
                | "blockquote"
                | "body"
                | "br"
                | "caption"
                | "center"
                | "dd"
                | "details"
                | "dialog"
                | "dir"
                | "div"
                | "dl"
                | "dt"
                | "fieldset"
                | "figcaption"
                | "figure"
                | "footer"
                | "form"
                | "frameset"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
                | "h5"
                | "h6"
                | "head"
                | "header"
                | "hgroup"
                | "hr"
                | "html"
                | "legend"
                | "li"
                | "listing"
                | "main"
                | "menu"
                | "nav"
                | "ol"
                | "optgroup"
                | "option"
                | "p"
                | "plaintext"
                | "pre"
                | "search"
                | "section"
                | "summary"
                | "table"
                | "tbody"
                | "td"
                | "tfoot"
                | "th"
                | "thead"
                | "title"
                | "tr"
                | "ul"
                | "xmp"
        )
}

/// The number of a node in scraper's tree.
pub(crate) type NodeId = <HtmlTreeSink as TreeSink>::Handle;

/// A node of scraper's tree.
type Node<'a> = <ElementRef<'a> as Deref>::Target;

/// A step of a walk through the tree.
#[derive(Clone, Copy)]
enum WalkStep<'a> {
    Enter(Node<'a>),
    /// The walk has visited all nodes below this node and leaves it.
    Leave(Node<'a>),
}

/// A walk through the descendants of an element in document order, without those below elements that `skips`
/// accepts. The walk follows pointers and needs no stack, so the tree may have any depth.
struct DomWalk<'a, F> {
    root: Node<'a>,
    at: WalkStep<'a>,
    skips: F,
}

impl<'a, F: Fn(ElementRef<'a>) -> bool> DomWalk<'a, F> {
    fn new(root: ElementRef<'a>, skips: F) -> Self {
        Self { root: *root, at: WalkStep::Enter(*root), skips }
    }

    fn next(&mut self) -> Option<WalkStep<'a>> {
        let (WalkStep::Enter(node) | WalkStep::Leave(node)) = self.at;
        let enters = matches!(self.at, WalkStep::Enter(_)) && (node == self.root || !self.skips(node));
        let next = match node.first_child().filter(|_| enters) {
            Some(child) => WalkStep::Enter(child),
            None if node == self.root => return None,
            None => node.next_sibling().map_or(WalkStep::Leave(node.parent()?), WalkStep::Enter),
        };
        self.at = next;
        Some(next).filter(|next| !matches!(next, WalkStep::Leave(node) if *node == self.root))
    }

    fn skips(&self, node: Node<'a>) -> bool {
        ElementRef::wrap(node).is_some_and(&self.skips)
    }
}
