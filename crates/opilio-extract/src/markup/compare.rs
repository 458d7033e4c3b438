//! Compares what is read here with what complete parsers read. Tests and fuzz targets call it; crawls do not.

use super::quick;
use super::tokens::{MarkupEnd, read, with_line_feeds};
use crate::dom::{Dom, LinkTexts};
use crate::link::Reach;
use crate::pass;
use crate::skim::Skim;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::{StrTendril, TendrilSink};
use html5ever::tokenizer::{Token, TokenSink, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{ParseOpts, driver};
use scraper::{Html, HtmlTreeSink};
use url::Url;

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

/// Checks that title and links are those of the pass with lol_html, or of the DOM where that pass is wrong.
///
/// The content of `<noscript>` is left out: it is markup here, as for a browser without scripts, and the pass reads
/// it as if it were a page of its own.
///
/// # Panics
/// When both differ.
pub(crate) fn assert_same_skim(page: &str) {
    let page = &page.replace("noscript", "nobr");
    if page.to_ascii_lowercase().contains("noscript") {
        return;
    }
    for reach in [Reach::Pages, Reach::Images] {
        let Some(quick) = quick::skim(page, reach) else { continue };
        let pass = pass::stream(page, reach);
        if quick != pass {
            let page = with_line_feeds(page);
            assert_eq!(
                quick::skim(&page, reach).as_ref(),
                Some(&by_dom(&page, reach)),
                "{page:?}, pass: {pass:?}"
            );
        }
    }
}

fn by_dom(page: &str, reach: Reach) -> Skim {
    // Parsing cannot fail: the URL is a constant.
    let url = Url::parse("https://site.example/").expect("a constant");
    Dom::parse(page).skim(LinkTexts::Skip, reach, &url)
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
