//! Reads HTML as it is usually written, by searching for the few bytes that end a text, a name or a value.
//!
//! [`Scanner`] splits a page into texts and tags. It knows the common forms of markup only and stops at the first
//! unusual form; the rest of the page, or all of it, is then read by a complete parser. Two modules use it:
//! [`tokens`] gives its pieces to html5ever's tree builder, and [`quick`] collects title and links without a tree.

pub(crate) mod compare;
pub(crate) mod quick;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use std::ops::Range;

use html5ever::tokenizer::states::RawKind;
use memchr::memmem;

/// The most attributes of a tag that are read here. The caller compares each of them with all others.
const ATTRIBUTES_MAX: usize = 64;

/// A piece of a page, with byte ranges of the page.
#[derive(Debug)]
enum MarkupPiece {
    Text(Range<usize>),
    Comment(Range<usize>),
    /// A whole DOCTYPE.
    Doctype(Range<usize>),
    /// A start tag. Its attributes are in [`Scanner::attributes`].
    Start {
        name: Range<usize>,
        self_closing: bool,
    },
    End {
        name: Range<usize>,
    },
}

/// An attribute, with its name as written and the value as written, both as byte ranges of the page.
#[derive(Debug)]
struct RawAttribute {
    name: Range<usize>,
    value: Range<usize>,
}

/// Splits a page into pieces.
struct Scanner<'p> {
    page: &'p str,
    /// The offset of the next byte to read. An unusual form does not move it.
    at: usize,
    /// The attributes of the last start tag.
    attributes: Vec<RawAttribute>,
}

impl<'p> Scanner<'p> {
    /// Begins at the start of a page. A byte order mark there is left out.
    fn new(page: &'p str) -> Self {
        let at = if page.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { page, at, attributes: Vec::new() }
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.page.len()
    }

    /// Reads the next piece of a page that is not at its end. Returns `None` for an unusual form.
    fn piece(&mut self) -> Option<MarkupPiece> {
        let bytes = self.page.as_bytes();
        let text = self.at..markup_start(bytes, self.at);
        if !text.is_empty() {
            self.at = text.end;
            return Some(MarkupPiece::Text(text));
        }
        match bytes.get(self.at + 1)? {
            b'/' => self.end_tag(),
            b'!' => self.declaration(),
            b'?' => self.comment_up_to_bracket(self.at + 1),
            _ => self.start_tag(),
        }
    }

    /// Reads the text of an element up to its end tag or the end of the page. The end tag is not read. Returns
    /// `None` for an unusual form.
    fn raw_text(&mut self, kind: RawKind, name: &str) -> Option<Range<usize>> {
        let rest = &self.page.as_bytes()[self.at..];
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
        let text = self.at..self.at + end;
        self.at = text.end;
        Some(text)
    }

    /// Reads a comment that ends at the next `>`, as `<?xml version="1.0"?>` and `<![endif]>` do.
    fn comment_up_to_bracket(&mut self, start: usize) -> Option<MarkupPiece> {
        let end = start + memchr::memchr(b'>', &self.page.as_bytes()[start..])?;
        self.at = end + 1;
        Some(MarkupPiece::Comment(start..end))
    }

    /// Reads what begins with `<!`.
    fn declaration(&mut self) -> Option<MarkupPiece> {
        const DOCTYPE: &[u8] = b"doctype";
        let inside = self.at + 2;
        let bytes = &self.page.as_bytes()[inside..];
        if let Some(text) = bytes.strip_prefix(b"--") {
            let length = memmem::find(text, b"-->")?;
            let text = &text[..length];
            // These comments end earlier.
            if text.starts_with(b">") || text.starts_with(b"->") || memmem::find(text, b"--!>").is_some() {
                return None;
            }
            let start = inside + 2;
            self.at = start + length + 3;
            return Some(MarkupPiece::Comment(start..start + length));
        }
        if bytes.get(..DOCTYPE.len()).is_some_and(|word| word.eq_ignore_ascii_case(DOCTYPE)) {
            let end = inside + memchr::memchr(b'>', bytes)? + 1;
            let doctype = self.at..end;
            self.at = end;
            return Some(MarkupPiece::Doctype(doctype));
        }
        // In SVG and MathML, this begins a text.
        if bytes.starts_with(b"[CDATA[") {
            return None;
        }
        self.comment_up_to_bracket(inside)
    }

    fn end_tag(&mut self) -> Option<MarkupPiece> {
        let name = self.tag_name(self.at + 2)?;
        let bytes = self.page.as_bytes();
        let close = name.end + spaces(&bytes[name.end..]);
        if bytes.get(close) != Some(&b'>') {
            return None;
        }
        self.at = close + 1;
        Some(MarkupPiece::End { name })
    }

    fn start_tag(&mut self) -> Option<MarkupPiece> {
        let name = self.tag_name(self.at + 1)?;
        let bytes = self.page.as_bytes();
        self.attributes.clear();
        let mut at = name.end;
        let (end, self_closing) = loop {
            at += spaces(&bytes[at..]);
            match bytes.get(at)? {
                b'>' => break (at + 1, false),
                b'/' if bytes.get(at + 1)? == &b'>' => break (at + 2, true),
                b'/' => at += 1,
                _ => {
                    if self.attributes.len() == ATTRIBUTES_MAX {
                        return None;
                    }
                    let (attribute, end) = self.attribute(at)?;
                    self.attributes.push(attribute);
                    at = end;
                }
            }
        };
        self.at = end;
        Some(MarkupPiece::Start { name, self_closing })
    }

    fn tag_name(&self, start: usize) -> Option<Range<usize>> {
        let rest = &self.page.as_bytes()[start..];
        if !rest.first()?.is_ascii_alphabetic() {
            return None;
        }
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b':' | b'_');
        let length = rest.iter().position(|byte| !is_part(byte))?;
        let ends = is_space(rest[length]) || matches!(rest[length], b'/' | b'>');
        ends.then_some(start..start + length)
    }

    /// Reads an attribute. Returns it with the offset of the byte after it.
    fn attribute(&self, start: usize) -> Option<(RawAttribute, usize)> {
        let bytes = self.page.as_bytes();
        let ends = |byte: &u8| is_space(*byte) || matches!(byte, b'/' | b'>' | b'=');
        let name = start..start + bytes[start..].iter().position(ends)?;
        // Such names come from markup in which a quote is missing.
        if name.is_empty() || bytes[name.clone()].iter().any(|byte| matches!(byte, b'"' | b'\'' | b'<')) {
            return None;
        }
        let equals = name.end + spaces(&bytes[name.end..]);
        if bytes.get(equals)? != &b'=' {
            let (value, end) = (name.end..name.end, name.end);
            return Some((RawAttribute { name, value }, end));
        }
        let value_start = equals + 1 + spaces(&bytes[equals + 1..]);
        let (value, end) = match bytes.get(value_start)? {
            quote @ (b'"' | b'\'') => {
                let inside = value_start + 1;
                let length = memchr::memchr(*quote, &bytes[inside..])?;
                (inside..inside + length, inside + length + 1)
            }
            b'>' => return None,
            _ => {
                let ends = |byte: &u8| is_space(*byte) || *byte == b'>';
                let end = value_start + bytes[value_start..].iter().position(ends)?;
                (value_start..end, end)
            }
        };
        Some((RawAttribute { name, value }, end))
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

/// White space as the tokenizer of the HTML standard understands it, with the carriage returns that it replaces.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}
