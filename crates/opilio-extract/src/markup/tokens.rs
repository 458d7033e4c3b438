//! Gives the pieces of a page to html5ever's tree builder.
//!
//! html5ever's own tokenizer reads one character at a time and takes most of the time of a parse. It still reads
//! texts with rare character references, DOCTYPEs, and the rest of a page from the first unusual form on. The tree is the
//! same: a test compares them.

use std::borrow::Cow;
use std::ops::Range;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{RawKind, State};
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::{Attribute, LocalName, QualName, ns};

use super::{MarkupPiece, RawAttribute, Scanner};
use crate::entities::{ReferencePlace, decoded_attribute, decoded_common};

/// The most bytes of a page that are read here; a `StrTendril` cannot be longer than 4 GiB.
const BYTES_MAX: usize = 1 << 30;

/// The number of bytes after which the caller is asked whether to go on.
const PIECE_BYTES: usize = 1024;

/// The reason why the reading ended.
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
    let mut scanner = Scanner::new(page);
    let unusual = |from| MarkupEnd::Unusual { from, opts: options(State::Data, None) };
    // The tokenizer of the HTML standard treats these two characters in a special way wherever they are.
    if page.len() > BYTES_MAX || memchr::memchr2(b'\r', 0, page.as_bytes()).is_some() {
        return unusual(scanner.at);
    }
    let tokens = Tokens { page, input: StrTendril::from_slice(page), sink };
    let mut asked_at = 0;
    while !scanner.is_at_end() {
        if scanner.at - asked_at >= PIECE_BYTES {
            asked_at = scanner.at;
            if !goes_on() {
                return MarkupEnd::Limit;
            }
        }
        let Some(piece) = scanner.piece() else { return unusual(scanner.at) };
        match tokens.give(piece, &scanner.attributes) {
            TextMode::Data => {}
            TextMode::Raw(kind, name) => {
                let text = scanner.raw_text(kind, &name);
                if kind == RawKind::Rcdata {
                    tokens.text(text, State::RawData(kind), Some(&name));
                } else {
                    tokens.characters(text);
                }
            }
            TextMode::Plain => {
                tokens.characters(scanner.at..page.len());
                scanner.at = page.len();
            }
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

fn options(state: State, last_start_tag_name: Option<String>) -> TokenizerOpts {
    let initial_state = Some(state);
    TokenizerOpts { initial_state, last_start_tag_name, discard_bom: false, ..TokenizerOpts::default() }
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

/// Converts pieces of a page to tokens and gives them to the sink.
struct Tokens<'p, S> {
    page: &'p str,
    /// The page, in the form that shares parts of it without copying.
    input: StrTendril,
    sink: &'p S,
}

impl<S: TokenSink> Tokens<'_, S> {
    fn give(&self, piece: MarkupPiece, attributes: &[RawAttribute]) -> TextMode {
        match piece {
            MarkupPiece::Text(text) => self.text(text, State::Data, None),
            MarkupPiece::Comment(text) => {
                let _ = self.emit(Token::CommentToken(self.shared(text)));
            }
            MarkupPiece::Doctype(doctype) => self.by_html5ever(doctype, options(State::Data, None)),
            MarkupPiece::Start { name, self_closing } => {
                return self.start_tag(name, self_closing, attributes);
            }
            MarkupPiece::End { name } => {
                let _ = self.emit(Token::TagToken(Tag {
                    kind: TagKind::EndTag,
                    name: self.name(name),
                    self_closing: false,
                    attrs: Vec::new(),
                    had_duplicate_attributes: false,
                }));
            }
        }
        TextMode::Data
    }

    /// Gives text to the sink. Text with rare character references is read by html5ever's tokenizer.
    fn text(&self, text: Range<usize>, state: State, last_start_tag_name: Option<&str>) {
        let raw = &self.page[text.clone()];
        if memchr::memchr(b'&', raw.as_bytes()).is_none() {
            self.characters(text);
        } else if let Some(decoded) = decoded_common(raw, ReferencePlace::Text) {
            let _ = self.emit(Token::CharacterTokens(StrTendril::from(decoded)));
        } else {
            self.by_html5ever(text, options(state, last_start_tag_name.map(str::to_owned)));
        }
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

    fn start_tag(&self, name: Range<usize>, self_closing: bool, attributes: &[RawAttribute]) -> TextMode {
        let name = self.name(name);
        let (attrs, had_duplicate_attributes) = self.attributes(attributes);
        let tag = Tag {
            kind: TagKind::StartTag,
            name: name.clone(),
            self_closing,
            attrs,
            had_duplicate_attributes,
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

    /// Returns the attributes of a tag, and whether several have the same name: then only the first is returned.
    fn attributes(&self, raw: &[RawAttribute]) -> (Vec<Attribute>, bool) {
        let mut attributes: Vec<Attribute> = Vec::with_capacity(raw.len());
        for RawAttribute { name, value } in raw {
            let name = self.name(name.clone());
            if attributes.iter().any(|attribute| attribute.name.local == name) {
                continue;
            }
            let value = match decoded_attribute(&self.page[value.clone()]) {
                Cow::Borrowed(_) => self.shared(value.clone()),
                Cow::Owned(decoded) => StrTendril::from(decoded),
            };
            attributes.push(Attribute { name: QualName::new(None, ns!(), name), value });
        }
        let had_duplicates = attributes.len() < raw.len();
        (attributes, had_duplicates)
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

    fn shared(&self, part: Range<usize>) -> StrTendril {
        // Lengths fit, since a longer page is not read here.
        self.input.subtendril(part.start as u32, part.len() as u32)
    }

    fn emit(&self, token: Token) -> TokenSinkResult<S::Handle> {
        self.sink.process_token(token, 1)
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
