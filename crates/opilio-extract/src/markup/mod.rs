//! Reads HTML as it is usually written, by searching for the few bytes that end a text, a name or a value.
//!
//! [`Scanner`] splits a page into texts and tags, by the rules of the HTML standard. It stops at the few forms that it
//! does not know; the rest of the page, or all of it, is then read by html5ever. Two modules use it: [`tokens`] gives its
//! pieces to html5ever's tree builder, and [`quick`] collects title and links without a tree.

#[cfg(any(test, fuzzing))]
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

/// The characters after `<!` with which a CDATA section begins.
const CDATA: &[u8] = b"[CDATA[";

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
            b'?' => Some(self.comment_up_to_bracket(self.at + 1)),
            _ => self.tag(self.at + 1, |name, self_closing| MarkupPiece::Start { name, self_closing }),
        }
    }

    /// Reads the text of an element up to its end tag or the end of the page. The end tag is not read.
    fn raw_text(&mut self, kind: RawKind, name: &str) -> Range<usize> {
        let rest = &self.page.as_bytes()[self.at..];
        let end = match kind {
            RawKind::Rcdata | RawKind::Rawtext => end_tag_of(rest, name),
            RawKind::ScriptData | RawKind::ScriptDataEscaped(_) => script_end(rest),
        };
        let text = self.at..self.at + end;
        self.at = text.end;
        text
    }

    /// Reads a piece that begins with `<![CDATA[`: a text in SVG and MathML, and a comment elsewhere. Returns `None`
    /// if the next piece is another one.
    fn cdata(&mut self, is_text: bool) -> Option<MarkupPiece> {
        let rest = &self.page.as_bytes()[self.at..];
        let text = rest.strip_prefix(b"<!")?.strip_prefix(CDATA)?;
        if !is_text {
            return Some(self.comment_up_to_bracket(self.at + 2));
        }
        let start = self.page.len() - text.len();
        let end = memmem::find(text, b"]]>").map(|length| start + length);
        self.at = end.map_or(self.page.len(), |end| end + 3);
        Some(MarkupPiece::Text(start..end.unwrap_or(self.page.len())))
    }

    /// Reads a comment that ends at the next `>`, as `<?xml version="1.0"?>` and `<![endif]>` do.
    fn comment_up_to_bracket(&mut self, start: usize) -> MarkupPiece {
        let end = memchr::memchr(b'>', &self.page.as_bytes()[start..]).map(|length| start + length);
        self.at = end.map_or(self.page.len(), |end| end + 1);
        MarkupPiece::Comment(start..end.unwrap_or(self.page.len()))
    }

    /// Reads what begins with `<!`.
    fn declaration(&mut self) -> Option<MarkupPiece> {
        const DOCTYPE: &[u8] = b"doctype";
        let inside = self.at + 2;
        let bytes = &self.page.as_bytes()[inside..];
        if let Some(text) = bytes.strip_prefix(b"--") {
            let start = inside + 2;
            let (length, end) = comment_end(text);
            self.at = start + end;
            return Some(MarkupPiece::Comment(start..start + length));
        }
        if bytes.get(..DOCTYPE.len()).is_some_and(|word| word.eq_ignore_ascii_case(DOCTYPE)) {
            let end = inside + memchr::memchr(b'>', bytes)? + 1;
            let doctype = self.at..end;
            self.at = end;
            return Some(MarkupPiece::Doctype(doctype));
        }
        if bytes.starts_with(CDATA) {
            return None;
        }
        Some(self.comment_up_to_bracket(inside))
    }

    /// Reads what begins with `</`.
    fn end_tag(&mut self) -> Option<MarkupPiece> {
        match self.page.as_bytes().get(self.at + 2) {
            Some(byte) if byte.is_ascii_alphabetic() => {
                self.tag(self.at + 2, |name, _| MarkupPiece::End { name })
            }
            Some(b'>') => {
                self.at += 3;
                Some(MarkupPiece::Text(self.at..self.at))
            }
            Some(_) => Some(self.comment_up_to_bracket(self.at + 2)),
            None => {
                let text = self.at..self.page.len();
                self.at = text.end;
                Some(MarkupPiece::Text(text))
            }
        }
    }

    /// Reads a tag, whose name begins at `start`. A tag that does not end before the page ends is no tag, and no text
    /// either. Returns `None` for a tag with too many attributes.
    fn tag(
        &mut self,
        start: usize,
        piece: impl FnOnce(Range<usize>, bool) -> MarkupPiece,
    ) -> Option<MarkupPiece> {
        self.attributes.clear();
        match self.inside_tag(start) {
            Ok((name, self_closing, end)) => {
                self.at = end;
                Some(piece(name, self_closing))
            }
            Err(TagStop::EndOfPage) => {
                self.at = self.page.len();
                Some(MarkupPiece::Text(self.at..self.at))
            }
            Err(TagStop::Unusual) => None,
        }
    }

    /// Reads the name and the attributes of a tag. Returns the name, whether the tag closes itself, and the offset after
    /// the tag.
    fn inside_tag(&mut self, start: usize) -> Result<(Range<usize>, bool, usize), TagStop> {
        let bytes = self.page.as_bytes();
        let ends = |byte: &u8| is_space(*byte) || matches!(byte, b'/' | b'>');
        let name = start..start + bytes[start..].iter().position(ends).ok_or(TagStop::EndOfPage)?;
        let mut at = name.end;
        loop {
            at += spaces(&bytes[at..]);
            match bytes.get(at).ok_or(TagStop::EndOfPage)? {
                b'>' => return Ok((name, false, at + 1)),
                b'/' if bytes.get(at + 1) == Some(&b'>') => return Ok((name, true, at + 2)),
                b'/' => at += 1,
                _ if self.attributes.len() == ATTRIBUTES_MAX => return Err(TagStop::Unusual),
                _ => {
                    let (attribute, end) = self.attribute(at).ok_or(TagStop::EndOfPage)?;
                    self.attributes.push(attribute);
                    at = end;
                }
            }
        }
    }

    /// Reads an attribute. Returns it with the offset of the byte after it; `None` if the page ends in it.
    fn attribute(&self, start: usize) -> Option<(RawAttribute, usize)> {
        let bytes = self.page.as_bytes();
        let ends = |byte: &u8| is_space(*byte) || matches!(byte, b'/' | b'>' | b'=');
        // A `=` at the start belongs to the name.
        let name = start..start + 1 + bytes[start + 1..].iter().position(ends)?;
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
            _ => {
                let ends = |byte: &u8| is_space(*byte) || *byte == b'>';
                let end = value_start + bytes[value_start..].iter().position(ends)?;
                (value_start..end, end)
            }
        };
        Some((RawAttribute { name, value }, end))
    }
}

/// The reason why a tag was not read.
enum TagStop {
    /// The page ends in the tag.
    EndOfPage,
    /// The tag has too many attributes.
    Unusual,
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
    text.strip_prefix(b"</").is_some_and(|tag| is_tag(tag, name))
}

/// Returns whether a tag that begins with `text` has this name. Upper and lower case are equal.
fn is_tag(text: &[u8], name: &str) -> bool {
    let Some((called, after)) = text.split_at_checked(name.len()) else { return false };
    called.eq_ignore_ascii_case(name.as_bytes())
        && after.first().is_some_and(|byte| is_space(*byte) || matches!(byte, b'/' | b'>'))
}

/// Returns the offset of the first end tag of an element, or the length of the text.
fn end_tag_of(text: &[u8], name: &str) -> usize {
    memchr::memchr_iter(b'<', text).find(|at| is_end_tag(&text[*at..], name)).unwrap_or(text.len())
}

/// Returns the offset of the end tag of a script, or the length of the text. A comment in a script may contain a script
/// with its end tag, which does not end the outer script (HTML standard §13.2.5.20, "script data escape start state").
fn script_end(text: &[u8]) -> usize {
    let first = end_tag_of(text, "script");
    if memmem::find(&text[..first], b"<!--").is_none() {
        return first;
    }
    let (mut in_comment, mut in_script, mut at) = (false, false, 0);
    while let Some(found) = memchr::memchr2(b'<', b'>', &text[at..]) {
        at += found;
        let rest = &text[at..];
        if rest[0] == b'>' {
            if text[..at].ends_with(b"--") {
                (in_comment, in_script) = (false, false);
            }
        } else if !in_comment && rest.starts_with(b"<!--") {
            in_comment = true;
        } else if is_end_tag(rest, "script") {
            if !in_script {
                return at;
            }
            in_script = false;
        } else if in_comment && is_tag(&rest[1..], "script") {
            in_script = true;
        }
        at += 1;
    }
    text.len()
}

/// Returns the length of a comment, whose text begins here, and the offset after its end.
fn comment_end(text: &[u8]) -> (usize, usize) {
    for empty in [&b">"[..], b"->"] {
        if text.starts_with(empty) {
            return (0, empty.len());
        }
    }
    let ends: [&[u8]; 2] = [b"--", b"--!"];
    for at in memchr::memchr_iter(b'>', text) {
        if let Some(end) = ends.iter().find(|end| text[..at].ends_with(end)) {
            return (at - end.len(), at + 1);
        }
    }
    // At the end of the page, the beginning of an end does not belong to the comment.
    let begun: [&[u8]; 3] = [b"--!", b"--", b"-"];
    let begun = begun.iter().find(|begun| text.ends_with(begun)).map_or(0, |begun| begun.len());
    (text.len() - begun, text.len())
}

/// Returns the number of white space characters at the beginning.
fn spaces(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len())
}

/// White space as the tokenizer of the HTML standard understands it, with the carriage returns that it replaces.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}
