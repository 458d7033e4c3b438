//! Compares what is read here with what html5ever reads. Tests and fuzz targets call it; other builds do not have it.

use super::quick;
use super::tokens::{MarkupEnd, read, with_line_feeds};
use crate::dom::{Dom, NodeId};
use crate::link::Reach;
use crate::skim::Skim;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tokenizer::{TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{ParseOpts, driver};
use scraper::{Html, HtmlTreeSink};
use std::cell::RefCell;

/// Checks that the tree of a page is html5ever's, with and without scripts. `steps` are the lengths of the pieces in
/// which html5ever's tokenizer gets the part of the page that is not read here; it gets the rest in one piece.
///
/// # Panics
/// When the trees differ.
pub(crate) fn assert_same_tree(page: &str, steps: &[u8]) {
    for scripting in [true, false] {
        let (here, read_here) = (read_here(page, steps, scripting), read_by_html5ever(page, scripting));
        assert_eq!(lines(&here.0), lines(&read_here), "{page:?} with scripts: {scripting}");
    }
}

/// Checks that title, links and `<meta>` elements are those of the elements that html5ever makes of the tags of a page.
///
/// Pages with frames are not compared: html5ever leaves out frames outside `<frameset>`, and all else inside it.
///
/// # Panics
/// When both differ.
pub(crate) fn assert_same_skim(page: &str) {
    let page = &*with_line_feeds(page);
    if page.to_ascii_lowercase().contains("<frame") {
        return;
    }
    for reach in [Reach::Pages, Reach::Images] {
        if let Some(quick) = quick::skim(page, reach) {
            assert_eq!(quick, by_tags(page, reach), "{page:?}");
        }
    }
}

/// Reads the elements that html5ever makes of the tags of a page, in the order of these tags.
fn by_tags(page: &str, reach: Reach) -> Skim {
    let tree_builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let builder = TreeBuilder::new(HtmlTreeSink::new(Html::new_document()), tree_builder);
    let sink = TagElements { builder, elements: RefCell::default() };
    let tokenizer = Tokenizer::new(sink, TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() });
    let queue = BufferQueue::default();
    queue.push_back(StrTendril::from_slice(page.strip_prefix('\u{feff}').unwrap_or(page)));
    // No script is run, so the tokenizer stops after each script only.
    while !queue.is_empty() {
        let _ = tokenizer.feed(&queue);
    }
    tokenizer.end();
    let TagElements { builder, elements } = tokenizer.sink;
    Dom::of(builder.sink.finish()).skim_of(&elements.into_inner(), reach)
}

/// Gives tokens to a tree builder, and remembers which element it makes of each start tag. A tree builder also makes
/// elements without a tag, such as copies of unclosed links.
struct TagElements {
    builder: TreeBuilder<NodeId, HtmlTreeSink>,
    elements: RefCell<Vec<NodeId>>,
}

impl TokenSink for TagElements {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<NodeId> {
        let name = match &token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => Some(tag.name.clone()),
            _ => None,
        };
        let known = self.builder.sink.0.borrow().tree.nodes().len();
        let result = self.builder.process_token(token, line);
        if let Some(name) = name {
            let html = self.builder.sink.0.borrow();
            let nodes = html.tree.nodes();
            let new = nodes.len() - known;
            let is = |node: &scraper::Node| {
                node.as_element().is_some_and(|element| element.name().eq_ignore_ascii_case(&name))
            };
            let made = nodes.rev().take(new).find(|node| is(node.value()));
            self.elements.borrow_mut().extend(made.map(|node| node.id()));
        }
        result
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Reads a page with the tokenizer here and, from the first unusual form on, with html5ever's. Returns the tree,
/// and the length of the part of the page that was read here.
pub(crate) fn read_here(page: &str, steps: &[u8], scripting_enabled: bool) -> (Html, usize) {
    let page = &*with_line_feeds(page);
    let tree_builder = TreeBuilderOpts { scripting_enabled, ..TreeBuilderOpts::default() };
    let builder = TreeBuilder::new(HtmlTreeSink::new(Html::new_document()), tree_builder);
    match read(page, &builder, || true) {
        MarkupEnd::Unusual { from, opts } => {
            let tokenizer = Tokenizer::new(builder, opts);
            let mut parser = driver::Parser { tokenizer, input_buffer: BufferQueue::default() };
            for piece in pieces(&page[from..], steps) {
                parser.process(StrTendril::from_slice(piece));
            }
            (parser.finish(), from)
        }
        MarkupEnd::End | MarkupEnd::Limit => {
            let _ = builder.process_token(Token::EOFToken, 1);
            builder.end();
            (builder.sink.finish(), page.len())
        }
    }
}

fn read_by_html5ever(page: &str, scripting_enabled: bool) -> Html {
    let sink = HtmlTreeSink::new(Html::new_document());
    // A mark at the beginning is left out here, since html5ever also leaves out one that follows a script.
    let page = page.strip_prefix('\u{feff}').unwrap_or(page);
    let tokenizer = TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() };
    let tree_builder = TreeBuilderOpts { scripting_enabled, ..TreeBuilderOpts::default() };
    driver::parse_document(sink, ParseOpts { tokenizer, tree_builder }).one(StrTendril::from_slice(page))
}

/// Splits a text into pieces of these lengths, and the rest. A piece ends where a character ends.
fn pieces<'t>(text: &'t str, steps: &[u8]) -> Vec<&'t str> {
    let mut rest = text;
    let mut pieces = Vec::with_capacity(steps.len() + 1);
    for step in steps {
        let (piece, after) = rest.split_at(rest.ceil_char_boundary(usize::from(*step)));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Returns each node on a line of its own, with its depth.
fn lines(html: &Html) -> Vec<String> {
    let mut lines = vec![format!("{:?}", html.quirks_mode)];
    for node in html.tree.root().descendants() {
        let depth = node.ancestors().count();
        let text = match node.value() {
            // The order of attributes is not compared, since scraper keeps them in no order.
            scraper::Node::Element(element) => {
                let mut attributes: Vec<_> =
                    element.attrs.iter().map(|(name, value)| format!("{name:?} {:?}", &**value)).collect();
                attributes.sort();
                format!("{:?} {attributes:?}", element.name)
            }
            other => format!("{other:?}"),
        };
        lines.push(format!("{depth} {text}"));
    }
    lines
}
