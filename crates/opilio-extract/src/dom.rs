//! The DOM behind CSS selectors: html5ever's tree in scraper's form, built in bounded memory.
//!
//! html5ever itself bounds neither depth nor size: each start tag may walk the open elements, and open
//! formatting elements are cloned into each new paragraph. So a page of 200,000 nested tags would cost
//! minutes, and one of 10 MB gigabytes. Pages are therefore fed in small pieces, and what follows the
//! piece that went too far is left out.

use crate::link::{LinkKind, Reach};
use crate::skim::{Collector, Cut, Enough, Skim};
use crate::text::{bounded, collapse, push_collapsed, trim_end};
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tree_builder::TreeBuilderOpts;
use html5ever::{ParseOpts, driver};
use scraper::{ElementRef, Html, HtmlTreeSink};
use std::borrow::Cow;
use std::ops::Deref;

/// How deep elements may nest; browsers stop there, too. One more piece may come on top.
const DEPTH_MAX: usize = 512;

/// How many nodes (elements and texts) a DOM may hold; one takes a few hundred bytes while it grows.
const NODES_MAX: usize = 250_000;

/// How many attributes one tag may seem to have: html5ever compares each with each. What separates
/// them also stands in comments and in embedded images, so this is far beyond honest tags.
const SEPARATORS_MAX: usize = 16 * 1024;

/// How much is parsed between two looks at depth and size. In the worst case each three bytes of a
/// piece clone every open formatting element, so this bounds how far a piece can overshoot.
const PIECE_BYTES: usize = 1024;

/// The longest text of a link, and how many nodes are visited for it.
const LINK_TEXT_BYTES_MAX: usize = 4 * 1024;
const LINK_TEXT_NODES_MAX: usize = 2 * 1024;

/// A parsed page.
#[derive(Debug)]
pub(crate) struct Dom {
    html: Html,
    /// Whether the end of the page was left out.
    pub(crate) cut: bool,
}

/// Whether links are collected with their text, which costs a walk through each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkTexts {
    Skip,
    Take,
}

impl Dom {
    pub(crate) fn parse(text: &str) -> Self {
        let sink = HtmlTreeSink::new(Html::new_document());
        // We run no scripts: what is for browsers without them is markup.
        let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
        let options = ParseOpts { tree_builder, ..ParseOpts::default() };
        let mut parser = driver::parse_document(sink, options);
        let (mut rest, mut known, mut separators, mut cut) = (text, Grown::default(), 0, false);
        while !rest.is_empty() && !cut {
            let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
            parser.process(StrTendril::from_slice(piece));
            rest = after;
            let html = parser.tokenizer.sink.sink.0.borrow();
            let grown = Grown::of(&html);
            separators = if grown == known { separators + count_separators(piece) } else { 0 };
            cut = (goes_too_far(&html, known.nodes) || separators > SEPARATORS_MAX) && !rest.is_empty();
            known = grown;
        }
        Self { html: parser.finish(), cut }
    }

    /// The `<html>` element; html5ever makes one for any input.
    pub(crate) fn root(&self) -> Option<ElementRef<'_>> {
        self.html.tree.root().children().find_map(ElementRef::wrap)
    }

    /// The same facts that the streaming pass finds, from the tree.
    pub(crate) fn skim(&self, texts: LinkTexts, reach: Reach) -> Skim {
        let mut collector = Collector::default();
        // `Enough` has noted itself in the skim.
        let _ = self.collect(&mut collector, texts, reach);
        let mut skim = collector.skim;
        if self.cut && skim.cut.is_none() {
            skim.cut = Some(Cut::Memory);
        }
        skim
    }

    fn collect(&self, into: &mut Collector, texts: LinkTexts, reach: Reach) -> Result<(), Enough> {
        let Some(root) = self.root() else { return Ok(()) };
        let mut walk = Walk::new(root, |name| name == "template");
        while let Some(node) = walk.next() {
            if let Some(element) = ElementRef::wrap(node) {
                collect_element(element, into, texts, reach)?;
            }
        }
        Ok(())
    }
}

/// How far a tree has grown. While it does not, the parser is inside of one tag or comment.
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

/// Whether the tree is too large, or the last of the elements beyond the first `known` nodes too deep:
/// it is a child of what is open now, so it is about as deep as the parser is.
fn goes_too_far(html: &Html, known: usize) -> bool {
    let nodes = html.tree.nodes();
    let new = nodes.len().saturating_sub(known);
    let last = nodes.rev().take(new).find(|node| node.value().is_element());
    html.tree.nodes().len() > NODES_MAX
        || last.is_some_and(|node| node.ancestors().take(DEPTH_MAX + 1).count() > DEPTH_MAX)
}

fn collect_element(
    element: ElementRef<'_>,
    into: &mut Collector,
    texts: LinkTexts,
    reach: Reach,
) -> Result<(), Enough> {
    let (kind, attribute) = match element.value().name() {
        "a" => (LinkKind::Anchor, "href"),
        "area" => (LinkKind::Area, "href"),
        "frame" => (LinkKind::Frame, "src"),
        "iframe" => (LinkKind::Iframe, "src"),
        "link" => match element.attr("rel").and_then(LinkKind::of_relation) {
            Some(kind) => (kind, "href"),
            None => return Ok(()),
        },
        "img" if reach == Reach::Images => (LinkKind::Image, "src"),
        name => return collect_other(name, element, into, reach),
    };
    let taken = into.skim.links.len();
    if let Some(href) = element.attr(attribute) {
        into.link(
            kind,
            Cow::Borrowed(href),
            element.attr("rel").filter(|_| kind != LinkKind::Image).map(str::to_owned),
        )?;
    }
    if kind == LinkKind::Image {
        into.image_set(element.attr("srcset").unwrap_or_default())?;
    }
    if texts == LinkTexts::Take {
        for link in &mut into.skim.links[taken..] {
            link.text = Some(text_of(element, kind));
        }
    }
    Ok(())
}

/// What is no link, or none by an attribute of one value.
fn collect_other(
    name: &str,
    element: ElementRef<'_>,
    into: &mut Collector,
    reach: Reach,
) -> Result<(), Enough> {
    match name {
        "base" => {
            if let Some(href) = element.attr("href") {
                into.base(Cow::Borrowed(href));
            }
        }
        "meta" => {
            if let Some(content) = element.attr("content") {
                into.meta(element.attr("name"), element.attr("http-equiv"), content)?;
            }
        }
        "source" if reach == Reach::Images => into.image_set(element.attr("srcset").unwrap_or_default())?,
        "title" if is_html(element) => into.title(&element.text().collect::<String>()),
        _ => {}
    }
    Ok(())
}

/// The words of a link: what it holds, or what stands for the picture.
fn text_of(element: ElementRef<'_>, kind: LinkKind) -> String {
    match kind {
        LinkKind::Area | LinkKind::Image => {
            collapse(bounded(element.attr("alt").unwrap_or_default(), LINK_TEXT_BYTES_MAX))
        }
        _ => visible_text(element, LINK_TEXT_BYTES_MAX, LINK_TEXT_NODES_MAX),
    }
}

fn is_html(element: ElementRef<'_>) -> bool {
    element.value().name.ns == html5ever::ns!(html)
}

/// The text inside `element` with white space collapsed, without scripts, styles, templates and what
/// is for browsers without scripts, unless `element` is one of those itself.
pub(crate) fn visible_text(element: ElementRef<'_>, bytes_max: usize, nodes_max: usize) -> String {
    let mut out = String::new();
    let mut walk = Walk::new(element, |name| matches!(name, "script" | "style" | "template" | "noscript"));
    let mut visited = 0;
    while let Some(node) = walk.next() {
        visited += 1;
        if let Some(text) = node.value().as_text() {
            let room = bytes_max.saturating_sub(out.len());
            push_collapsed(&mut out, bounded(text, room));
        }
        if visited >= nodes_max || out.len() >= bytes_max {
            break;
        }
    }
    trim_end(out)
}

/// A node of the tree.
type Node<'a> = <ElementRef<'a> as Deref>::Target;

/// Walks what is below an element in document order, around the elements that `skips` names.
/// Follows pointers and keeps no stack: depth costs nothing.
struct Walk<'a, F> {
    root: Node<'a>,
    at: Node<'a>,
    skips: F,
}

impl<'a, F: Fn(&str) -> bool> Walk<'a, F> {
    fn new(root: ElementRef<'a>, skips: F) -> Self {
        Self { root: *root, at: *root, skips }
    }

    fn next(&mut self) -> Option<Node<'a>> {
        let skipped = self.at != self.root
            && self.at.value().as_element().is_some_and(|element| (self.skips)(element.name()));
        if !skipped && let Some(child) = self.at.first_child() {
            self.at = child;
            return Some(child);
        }
        while self.at != self.root {
            if let Some(sibling) = self.at.next_sibling() {
                self.at = sibling;
                return Some(sibling);
            }
            self.at = self.at.parent()?;
        }
        None
    }
}
