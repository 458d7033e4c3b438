//! A tokenizer for HTML as it is usually written.
//!
//! html5ever's tokenizer reads one character at a time and takes most of the time of a parse. This one searches for
//! the few bytes that end a text, a name or a value. It reads the common forms of markup only. At the first unusual
//! form it stops, and html5ever's tokenizer reads the rest of the page. Both give their tokens to html5ever's tree
//! builder, so the tree is the same: a test compares them.

use std::borrow::Cow;
use std::ops::Range;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{RawKind, State};
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::{Attribute, LocalName, QualName, ns};
use memchr::memmem;

use crate::entities::decoded_attribute;

/// The most attributes of a tag that are read here, since each is compared with all others.
const ATTRIBUTES_MAX: usize = 64;

/// The most bytes of a page that are read here; a `StrTendril` cannot be longer than 4 GiB.
const BYTES_MAX: usize = 1 << 30;

/// The number of bytes after which the caller is asked whether to go on.
const PIECE_BYTES: usize = 1024;

/// The reason why the tokenizer stopped.
pub(crate) enum MarkupEnd {
    /// The page was read to its end.
    End,
    /// The caller did not want to go on.
    Limit,
    /// From this offset on, the page has to be read by html5ever's tokenizer with these options.
    Unusual { from: usize, opts: TokenizerOpts },
}

/// Reads a page and gives its tokens to `sink`. The sink's token for the end of the page is left to the caller.
/// `goes_on` is asked about every 1,024 bytes.
pub(crate) fn read<S: TokenSink>(page: &str, sink: &S, mut goes_on: impl FnMut() -> bool) -> MarkupEnd {
    let unusual = |from, state, last_start_tag_name| {
        let initial_state = Some(state);
        let opts = TokenizerOpts {
            initial_state,
            last_start_tag_name,
            discard_bom: false,
            ..TokenizerOpts::default()
        };
        MarkupEnd::Unusual { from, opts }
    };
    // The tokenizer of the HTML standard treats these two characters in a special way wherever they are.
    let start = if page.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    if page.len() > BYTES_MAX || memchr::memchr2(b'\r', 0, page.as_bytes()).is_some() {
        return unusual(start, State::Data, None);
    }
    let mut reader = MarkupReader { page, input: StrTendril::from_slice(page), at: start, sink };
    let mut asked_at = 0;
    while reader.at < page.len() {
        if reader.at - asked_at >= PIECE_BYTES {
            asked_at = reader.at;
            if !goes_on() {
                return MarkupEnd::Limit;
            }
        }
        let start = reader.at;
        match reader.token() {
            Some(TextMode::Data) => {}
            Some(TextMode::Raw(kind, name)) => {
                let start = reader.at;
                if reader.raw_text(kind, &name).is_none() {
                    return unusual(start, State::RawData(kind), Some(name.to_string()));
                }
            }
            Some(TextMode::Plain) => {
                reader.characters(reader.at..page.len());
                reader.at = page.len();
            }
            None => return unusual(start, State::Data, None),
        }
    }
    MarkupEnd::End
}

/// Replaces the line breaks of a page by line feeds, as the HTML standard does before it reads a page (§13.2.3.5).
pub(crate) fn with_line_feeds(page: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\r', page.as_bytes()).is_none() {
        return Cow::Borrowed(page);
    }
    Cow::Owned(page.replace("\r\n", "\n").replace('\r', "\n"))
}

/// How the text after a token is read.
enum TextMode {
    /// Text, and markup.
    Data,
    /// The text of an element, such as a script, which ends at its end tag only.
    Raw(RawKind, LocalName),
    /// Text up to the end of the page.
    Plain,
}

/// The state of reading. Methods return `None` for an unusual form; they have then given nothing to the sink.
struct MarkupReader<'p, S> {
    page: &'p str,
    /// The page, in the form that shares parts of it without copying.
    input: StrTendril,
    /// The offset of the next byte to read.
    at: usize,
    sink: &'p S,
}

impl<S: TokenSink> MarkupReader<'_, S> {
    /// Reads the text up to the next markup, or one piece of markup.
    fn token(&mut self) -> Option<TextMode> {
        let bytes = self.page.as_bytes();
        let text_end = markup_start(bytes, self.at);
        if text_end > self.at {
            let text = self.at..text_end;
            self.at = text_end;
            self.text(text, State::Data, None);
            return Some(TextMode::Data);
        }
        match bytes.get(self.at + 1)? {
            b'/' => self.end_tag(),
            b'!' => self.declaration(),
            b'?' => self.comment_up_to_bracket(self.at + 1),
            _ => self.start_tag(),
        }
    }

    /// Gives text to the sink. Text with character references is read by html5ever's tokenizer.
    fn text(&self, text: Range<usize>, state: State, last_start_tag_name: Option<String>) {
        if memchr::memchr(b'&', &self.page.as_bytes()[text.clone()]).is_none() {
            self.characters(text);
            return;
        }
        let opts = TokenizerOpts {
            initial_state: Some(state),
            last_start_tag_name,
            discard_bom: false,
            ..TokenizerOpts::default()
        };
        self.by_html5ever(text, opts);
    }

    fn by_html5ever(&self, part: Range<usize>, opts: TokenizerOpts) {
        let tokenizer = Tokenizer::new(Forward(self.sink), opts);
        let queue = BufferQueue::default();
        queue.push_back(self.shared(part));
        // A text or a DOCTYPE never makes the tokenizer stop before the end of its input.
        let _ = tokenizer.feed(&queue);
        tokenizer.end();
    }

    fn characters(&self, text: Range<usize>) {
        if !text.is_empty() {
            let _ = self.emit(Token::CharacterTokens(self.shared(text)));
        }
    }

    fn comment(&mut self, text: Range<usize>, end: usize) -> TextMode {
        let _ = self.emit(Token::CommentToken(self.shared(text)));
        self.at = end;
        TextMode::Data
    }

    /// Reads a comment that ends at the next `>`, as `<?xml version="1.0"?>` and `<![endif]>` do.
    fn comment_up_to_bracket(&mut self, start: usize) -> Option<TextMode> {
        let end = start + memchr::memchr(b'>', &self.page.as_bytes()[start..])?;
        Some(self.comment(start..end, end + 1))
    }

    /// Reads what begins with `<!`.
    fn declaration(&mut self) -> Option<TextMode> {
        const DOCTYPE: &[u8] = b"doctype";
        let inside = self.at + 2;
        let bytes = &self.page.as_bytes()[inside..];
        if bytes.starts_with(b"--") {
            let text = &bytes[2..];
            let length = memmem::find(text, b"-->")?;
            let text = &text[..length];
            // These comments end earlier.
            if text.starts_with(b">") || text.starts_with(b"->") || memmem::find(text, b"--!>").is_some() {
                return None;
            }
            let start = inside + 2;
            return Some(self.comment(start..start + length, start + length + 3));
        }
        if bytes.get(..DOCTYPE.len()).is_some_and(|word| word.eq_ignore_ascii_case(DOCTYPE)) {
            let end = inside + memchr::memchr(b'>', bytes)? + 1;
            let doctype = self.at..end;
            self.at = end;
            self.by_html5ever(doctype, TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() });
            return Some(TextMode::Data);
        }
        // In SVG and MathML, this begins a text.
        if bytes.starts_with(b"[CDATA[") {
            return None;
        }
        self.comment_up_to_bracket(inside)
    }

    fn end_tag(&mut self) -> Option<TextMode> {
        let (name, after) = self.tag_name(self.at + 2)?;
        let bytes = self.page.as_bytes();
        let close = after + spaces(&bytes[after..]);
        if bytes.get(close) != Some(&b'>') {
            return None;
        }
        self.at = close + 1;
        Some(self.tag(TagKind::EndTag, name, TagAttributeList::default()))
    }

    fn start_tag(&mut self) -> Option<TextMode> {
        let (name, after) = self.tag_name(self.at + 1)?;
        let (attributes, end) = self.attributes(after)?;
        self.at = end;
        Some(self.tag(TagKind::StartTag, name, attributes))
    }

    fn tag(&self, kind: TagKind, name: LocalName, attributes: TagAttributeList) -> TextMode {
        let tag = Tag {
            kind,
            name: name.clone(),
            self_closing: attributes.self_closing,
            attrs: attributes.list,
            had_duplicate_attributes: attributes.duplicate,
        };
        match self.emit(Token::TagToken(tag)) {
            TokenSinkResult::RawData(kind) => TextMode::Raw(kind, name),
            TokenSinkResult::Plaintext => TextMode::Plain,
            // No script is run, and the encoding of the page is known.
            TokenSinkResult::Continue
            | TokenSinkResult::Script(_)
            | TokenSinkResult::EncodingIndicator(_) => TextMode::Data,
        }
    }

    /// Reads the name of a tag. Returns it with the offset of the byte after it.
    fn tag_name(&self, start: usize) -> Option<(LocalName, usize)> {
        let rest = &self.page.as_bytes()[start..];
        if !rest.first()?.is_ascii_alphabetic() {
            return None;
        }
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b':' | b'_'))?;
        if !is_space(rest[length]) && !matches!(rest[length], b'/' | b'>') {
            return None;
        }
        Some((self.name(start..start + length), start + length))
    }

    /// Returns a name in lower case.
    fn name(&self, name: Range<usize>) -> LocalName {
        let name = &self.page[name];
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            LocalName::from(name.to_ascii_lowercase())
        } else {
            LocalName::from(name)
        }
    }

    /// Reads the attributes of a start tag. Returns them with the offset of the byte after the tag.
    fn attributes(&self, mut at: usize) -> Option<(TagAttributeList, usize)> {
        let bytes = self.page.as_bytes();
        let mut attributes = TagAttributeList::default();
        loop {
            at += spaces(&bytes[at..]);
            match bytes.get(at)? {
                b'>' => return Some((attributes, at + 1)),
                b'/' if bytes.get(at + 1)? == &b'>' => {
                    attributes.self_closing = true;
                    return Some((attributes, at + 2));
                }
                b'/' => at += 1,
                _ => {
                    let (name, value, end) = self.attribute(at)?;
                    at = end;
                    attributes.add(name, value)?;
                }
            }
        }
    }

    /// Reads an attribute. Returns its name, its value, and the offset of the byte after it.
    fn attribute(&self, start: usize) -> Option<(LocalName, StrTendril, usize)> {
        let bytes = self.page.as_bytes();
        let length =
            bytes[start..].iter().position(|byte| is_space(*byte) || matches!(byte, b'/' | b'>' | b'='))?;
        let name = start..start + length;
        // `="` and quotes in names come from markup in which a quote is missing.
        if length == 0 || bytes[name.clone()].iter().any(|byte| matches!(byte, b'"' | b'\'' | b'<')) {
            return None;
        }
        let equals = name.end + spaces(&bytes[name.end..]);
        if bytes.get(equals)? != &b'=' {
            return Some((self.name(name.clone()), StrTendril::new(), name.end));
        }
        let value_start = equals + 1 + spaces(&bytes[equals + 1..]);
        let (value, end) = match bytes.get(value_start)? {
            quote @ (b'"' | b'\'') => {
                let length = memchr::memchr(*quote, &bytes[value_start + 1..])?;
                (value_start + 1..value_start + 1 + length, value_start + length + 2)
            }
            b'>' => return None,
            _ => {
                let length = bytes[value_start..].iter().position(|byte| is_space(*byte) || *byte == b'>')?;
                (value_start..value_start + length, value_start + length)
            }
        };
        let value = match decoded_attribute(&self.page[value.clone()]) {
            Cow::Borrowed(_) => self.shared(value),
            Cow::Owned(decoded) => StrTendril::from(decoded),
        };
        Some((self.name(name), value, end))
    }

    /// Reads the text of an element up to its end tag, which is not read.
    fn raw_text(&mut self, kind: RawKind, name: &str) -> Option<()> {
        let start = self.at;
        let rest = &self.page.as_bytes()[start..];
        let end =
            memchr::memchr_iter(b'<', rest).find(|at| is_end_tag(&rest[*at..], name)).unwrap_or(rest.len());
        let is_script = match kind {
            RawKind::Rcdata | RawKind::Rawtext => false,
            RawKind::ScriptData => true,
            RawKind::ScriptDataEscaped(_) => return None,
        };
        // A comment in a script may contain a script, and then the end tag is another one.
        if is_script && memmem::find(&rest[..end], b"<!--").is_some() && has_script_tag(&rest[..end]) {
            return None;
        }
        let text = start..start + end;
        self.at = text.end;
        if kind == RawKind::Rcdata {
            self.text(text, State::RawData(kind), Some(name.to_owned()));
        } else {
            self.characters(text);
        }
        Some(())
    }

    fn shared(&self, part: Range<usize>) -> StrTendril {
        // Lengths fit, since a longer page is not read here.
        self.input.subtendril(part.start as u32, part.len() as u32)
    }

    fn emit(&self, token: Token) -> TokenSinkResult<S::Handle> {
        self.sink.process_token(token, 1)
    }
}

/// The attributes of a start tag.
#[derive(Default)]
struct TagAttributeList {
    list: Vec<Attribute>,
    self_closing: bool,
    duplicate: bool,
}

impl TagAttributeList {
    /// Adds an attribute, unless there is one of this name. Returns `None` if there are too many.
    fn add(&mut self, name: LocalName, value: StrTendril) -> Option<()> {
        if self.list.len() == ATTRIBUTES_MAX {
            return None;
        }
        if self.list.iter().any(|attribute| attribute.name.local == name) {
            self.duplicate = true;
        } else {
            self.list.push(Attribute { name: QualName::new(None, ns!(), name), value });
        }
        Some(())
    }
}

/// Gives the tokens of a part of the page to the sink of the page, without the end of the part.
struct Forward<'s, S>(&'s S);

impl<S: TokenSink> TokenSink for Forward<'_, S> {
    type Handle = S::Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<S::Handle> {
        match token {
            Token::EOFToken => TokenSinkResult::Continue,
            token => self.0.process_token(token, line),
        }
    }
}

/// Returns the offset of the next `<` that begins markup, or the length of the page. Before other characters than
/// letters, `/`, `!` and `?`, a `<` is text.
fn markup_start(bytes: &[u8], from: usize) -> usize {
    let begins = |at: &usize| {
        bytes.get(at + 1).is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'/' | b'!' | b'?'))
    };
    memchr::memchr_iter(b'<', &bytes[from..]).map(|at| from + at).find(begins).unwrap_or(bytes.len())
}

/// Returns whether the text begins with the end tag of an element. Upper and lower case are equal.
fn is_end_tag(text: &[u8], name: &str) -> bool {
    let Some(after) = text.strip_prefix(b"</") else { return false };
    let Some((called, after)) = after.split_at_checked(name.len()) else { return false };
    called.eq_ignore_ascii_case(name.as_bytes())
        && after.first().is_some_and(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
}

fn has_script_tag(text: &[u8]) -> bool {
    const TAG: &[u8] = b"<script";
    memchr::memchr_iter(b'<', text)
        .any(|at| text.get(at..at + TAG.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(TAG)))
}

/// Returns the number of white space characters at the beginning.
fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len())
}

/// White space as the tokenizer of the HTML standard understands it. Carriage returns do not occur here.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;
    use html5ever::tendril::TendrilSink;
    use html5ever::tree_builder::{TreeBuilder, TreeSink};
    use html5ever::{ParseOpts, driver};
    use proptest::prelude::*;
    use scraper::{Html, HtmlTreeSink};

    /// Reads a page with the tokenizer here and, from the first unusual form on, with html5ever's. Returns the tree,
    /// and the part of the page that was read here.
    fn read_here(page: &str) -> (Html, usize) {
        let page = &*with_line_feeds(page);
        let builder = TreeBuilder::new(HtmlTreeSink::new(Html::new_document()), Default::default());
        match read(page, &builder, || true) {
            MarkupEnd::Unusual { from, opts } => {
                let tokenizer = Tokenizer::new(builder, opts);
                let mut parser = driver::Parser { tokenizer, input_buffer: BufferQueue::default() };
                parser.process(StrTendril::from_slice(&page[from..]));
                (parser.finish(), from)
            }
            MarkupEnd::End | MarkupEnd::Limit => {
                let _ = builder.process_token(Token::EOFToken, 1);
                builder.end();
                (builder.sink.finish(), page.len())
            }
        }
    }

    fn read_by_html5ever(page: &str) -> Html {
        let sink = HtmlTreeSink::new(Html::new_document());
        // A mark at the beginning is left out here, since html5ever also leaves out one that follows a script.
        let page = page.strip_prefix('\u{feff}').unwrap_or(page);
        let tokenizer = TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() };
        let options = ParseOpts { tokenizer, ..ParseOpts::default() };
        driver::parse_document(sink, options).one(StrTendril::from_slice(page))
    }

    /// Returns each node on a line of its own, with its depth.
    fn lines(html: &Html) -> Vec<String> {
        let mut lines = vec![format!("{:?}", html.quirks_mode)];
        for node in html.tree.root().descendants() {
            let depth = node.ancestors().count();
            let text = match node.value() {
                // The order of attributes is not compared, since scraper keeps them in no order.
                scraper::Node::Element(element) => {
                    let mut attributes: Vec<_> = element
                        .attrs
                        .iter()
                        .map(|(name, value)| format!("{name:?} {:?}", &**value))
                        .collect();
                    attributes.sort();
                    format!("{:?} {attributes:?}", element.name)
                }
                other => format!("{other:?}"),
            };
            lines.push(format!("{depth} {text}"));
        }
        lines
    }

    fn assert_same(page: &str) {
        assert_eq!(lines(&read_here(page).0), lines(&read_by_html5ever(page)), "{page:?}");
    }

    #[test]
    fn common_markup_is_read_here_to_its_end() {
        for page in [
            "",
            "<!DOCTYPE html><html lang=en><head><title>A &amp; B</title></head><body><p>x</p></body></html>",
            "<!doctype HTML PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd\">\n<br/>",
            "<?xml version='1.0'?><!-- a -- b --><![endif]><!--[if IE]><p><![endif]-->",
            "<script>if (a < b && '</p>') {}</script><style>a > b {}</style><textarea>\n<b>&lt;</textarea>",
            "<script><!--\nx\n//--></script><p>",
            "<A HREF='/x?a=1&b=2' class=\"a b\" Data-X = 1 checked>A</A >",
            "<input disabled value=/x/><img src=a.png alt=\"\"/>",
            "a < b > c &copy; &notit; <",
            "<p>one\r\ntwo\rthree<pre>\n\nx</pre>",
            "<plaintext><b>x</b>",
            "<a href=\"1\" HREF='2'>",
            "\u{feff}<p>\u{feff}é</p>",
            "<title>never closed <b>",
            "<noscript><p>x</p></noscript><iframe><p></iframe><xmp><b></xmp>",
        ] {
            let (_, here) = read_here(page);
            assert_eq!(here, with_line_feeds(page).len(), "{page:?}");
            assert_same(page);
        }
    }

    #[test]
    fn unusual_markup_is_read_by_html5ever() {
        for page in [
            "x<a href=\"1>",
            "x</>y",
            "x</p class=a>",
            "x<a =b>",
            "x<a b\"c>",
            "x<a b=>",
            "x<!-->y-->",
            "x<!--a--!>y-->",
            "x<!-- never closed",
            "x<svg><![CDATA[<b>]]></svg>",
            "x<script><!--<script></script>--></script>y",
            "x<p",
            "x</",
            "x<p\0>",
            "x\0y",
            "x<p.q>",
        ] {
            let (_, here) = read_here(page);
            assert!(here < page.len(), "{page:?}");
            assert_same(page);
        }
    }

    /// Markup from pieces that meet the branches of both tokenizers.
    fn markup() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            8 => prop::sample::select(vec![
                "<p>", "</p>", "<a href='/x'>", "</a>", "<b>", "</b>", "<i class=a>", "</i>", "<div id=\"x\">", "</div>",
                "<table>", "<tr>", "<td>", "</td>", "</table>", "<ul>", "<li>", "<br/>", "<title>", "</title>", "<textarea>",
                "</textarea>", "<script>", "</script>", "<style>", "</style >", "<svg>", "</svg>", "<math>", "<mi>",
                "<select>", "<option>", "<template>", "</template>", "<pre>", "\n", "<form>", "<frameset>", "<head>",
                "<body class=b>", "<html lang=en>", "</body>", "</html>", "<noscript>", "</noscript>", "<iframe>", "</iframe>",
                "<!-- c -->", "<!DOCTYPE html>", "<?xml?>", "<![endif]>", "<image>", "<nobr>", "<button>", "<h1>", "<h2>",
            ]).prop_map(str::to_owned),
            3 => "[a-z ]{1,6}",
            2 => prop::sample::select(vec![
                "<", ">", "&", "&amp;", "&lt", "&#x41;", "&notit;", "\"", "'", "=", "/", "<!--", "-->", "--!>", "</", "<!",
                "<![CDATA[", "]]>", "\0", "\r", "\r\n", "<A HREF=x&amp;y Y>", "<p a=1 a=2>", "<p a = '&copy=1' / b>", "<x-y:z>",
                "</SCRIPT>", "<plaintext>", "\u{feff}", "é", "<p/", "<a b='", "<p a=b/c>", "<!doctype", "<script", "<xmp>",
            ]).prop_map(str::to_owned),
        ];
        prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_tree_is_html5evers(page in markup()) {
            assert_same(&page);
        }

        #[test]
        fn the_tree_of_any_text_is_html5evers(page in "[<>/!a-cA-C&;='\" \n\r\t\\-?\\[\\]#\0é]{0,60}") {
            assert_same(&page);
        }
    }
}
