//! Finds the parts of a page that need no selector: blocks of JSON-LD, and `<meta>` elements. Both are found in one
//! pass over the page's text, without a DOM.
//!
//! The module reads tags as the HTML tokenizer does. Only two kinds of elements matter here, so it keeps no stack of
//! open elements. Comments, scripts, styles and other elements of plain text contain no tags. Templates are left
//! out. `<noscript>` counts as markup, since a crawler runs no scripts.

use std::borrow::Cow;
use std::ops::Range;

use crate::text::bounded;

/// The limits of what is kept of a page: the most blocks, the most `<meta>` elements, and the most bytes of the
/// content of a `<meta>`.
const BLOCKS_MAX: usize = 256;
const METAS_MAX: usize = 1_000;
const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// The blocks of JSON-LD and the `<meta>` elements of a page.
#[derive(Debug, Default)]
pub(super) struct Islands {
    /// The byte ranges of the page's text that contain the blocks of JSON-LD.
    pub(super) blocks: Vec<Range<usize>>,
    /// The `<meta>` elements: for each the name, in lower case, and the content.
    metas: Vec<(String, String)>,
}

impl Islands {
    pub(super) fn read(text: &str) -> Self {
        let mut islands = Self::default();
        let Some(last) = last_candidate(text.as_bytes()) else { return islands };
        for tag in Tags::new(text).take_while(|tag| tag.start <= last) {
            islands.take(&tag);
        }
        islands
    }

    fn take(&mut self, tag: &Tag<'_>) {
        if tag.is("script") && self.blocks.len() < BLOCKS_MAX {
            self.blocks.extend(tag.content.clone().filter(|_| is_linked_data(tag)));
        } else if tag.is("meta") && self.metas.len() < METAS_MAX {
            self.meta(tag);
        }
    }

    fn meta(&mut self, tag: &Tag<'_>) {
        let (mut names, mut content) = (Vec::new(), None);
        for (name, value) in tag.attributes() {
            if ["name", "property", "itemprop", "http-equiv"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known))
            {
                names.push(value.trim().to_ascii_lowercase());
            } else if name.eq_ignore_ascii_case("content") && content.is_none() {
                content = Some(value);
            }
        }
        let Some(content) = content else { return };
        let content = bounded(&content, CONTENT_BYTES_MAX);
        self.metas.extend(names.into_iter().map(|name| (name, content.to_owned())));
    }

    /// Returns the contents of the `<meta>` elements with this name or property. Upper and lower case are equal.
    pub(super) fn metas<'i>(&'i self, name: &str) -> impl Iterator<Item = &'i str> {
        self.metas.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, c)| c.as_str())
    }
}

/// Returns the offset of the last place at which a `<meta>` or a block of JSON-LD may begin; `None` if there is none.
/// Reading the tags up to there is enough. Many pages have both in the head alone, and only other scripts at the end.
fn last_candidate(bytes: &[u8]) -> Option<usize> {
    let begins = |at: &usize| {
        let after = &bytes[at + 1..];
        match after.first() {
            Some(b'm' | b'M') => after_name(after, b"meta").is_some(),
            Some(b's' | b'S') => after_name(after, b"script").is_some_and(may_be_linked_data),
            _ => false,
        }
    };
    let mut end = bytes.len();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        // The block at the start may be shorter, and the last one has no bytes after it: these two are always searched.
        if bytes[start..].first_chunk().filter(|_| end - start == BLOCK_BYTES).is_none_or(has_candidate) {
            let found = memchr::memrchr_iter(b'<', &bytes[start..end]).map(|at| start + at).find(begins);
            if found.is_some() {
                return found;
            }
        }
        end = start;
    }
    None
}

/// The number of bytes that are searched at once for the beginning of a candidate.
const BLOCK_BYTES: usize = 128;

/// Returns whether `<me` or `<sc` begins in a block, in upper or lower case. The block has two more bytes, so that all
/// three letters can be read. Without branches, the compiler makes this a comparison of many bytes at once: a search
/// for each `<` would take half of the time of reading JSON-LD and `<meta>` from a page.
fn has_candidate(block: &[u8; BLOCK_BYTES + 2]) -> bool {
    let mut found = false;
    for at in 0..BLOCK_BYTES {
        let (second, third) = (block[at + 1] | 0x20, block[at + 2] | 0x20);
        let named = ((second == b'm') & (third == b'e')) | ((second == b's') & (third == b'c'));
        found |= (block[at] == b'<') & named;
    }
    found
}

/// Returns what comes after a name at the start of `bytes`, in upper or lower case.
fn after_name<'b>(bytes: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
    let (start, rest) = bytes.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(rest)
}

/// Returns whether the tag of a script, after its name, may say that the script is JSON-LD. An entity may stand for any
/// character of its type. A tag of unusual length is not searched.
fn may_be_linked_data(inside: &[u8]) -> bool {
    const SEARCHED_BYTES: usize = 1024;
    let inside = &inside[..inside.len().min(SEARCHED_BYTES)];
    let tag = &inside[..end_of_tag(inside)];
    tag.len() == SEARCHED_BYTES
        || tag.contains(&b'&')
        || tag.windows(4).any(|four| four.eq_ignore_ascii_case(b"json"))
}

fn is_linked_data(tag: &Tag<'_>) -> bool {
    const TYPE: &str = "application/ld+json";
    let kind = tag.attributes().find(|(name, _)| name.eq_ignore_ascii_case("type"));
    kind.is_some_and(|(_, kind)| {
        let kind = kind.trim();
        kind.get(..TYPE.len()).is_some_and(|start| start.eq_ignore_ascii_case(TYPE))
            && kind[TYPE.len()..].trim_start().chars().next().is_none_or(|c| c == ';')
    })
}

/// Returns whether scripts probably create the content of the page: it has some scripts and nearly no text.
pub(super) fn looks_scripted(text: &str) -> bool {
    let (mut scripts, mut words, mut at) = (0, 0, 0);
    for tag in Tags::new(text) {
        words += text[at..tag.start.max(at)].bytes().filter(u8::is_ascii_alphanumeric).count();
        at = tag.content.as_ref().map_or(tag.end, |content| content.end);
        scripts += usize::from(tag.is("script"));
        if words > WORDS_BYTES_MIN {
            return false;
        }
    }
    words += text[at..].bytes().filter(u8::is_ascii_alphanumeric).count();
    scripts > 0 && words <= WORDS_BYTES_MIN
}

/// The number of bytes of letters and digits, outside of tags and scripts, up to which a page counts as having
/// nearly no text.
const WORDS_BYTES_MIN: usize = 200;

/// A start tag that is not inside a template.
struct Tag<'t> {
    name: &'t str,
    inside: &'t str,
    /// The byte offset in the page's text at which the tag begins. The field `end` is the offset at which the tag
    /// ends.
    start: usize,
    end: usize,
    /// The range of the element's content, if the content is plain text; else `None`.
    content: Option<Range<usize>>,
}

impl<'t> Tag<'t> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Returns the attributes: the names as they are written, and the values with their entities decoded.
    fn attributes(&self) -> impl Iterator<Item = (&'t str, Cow<'t, str>)> + use<'t> {
        TagAttributes(self.inside)
    }
}

/// An iterator over the start tags of a page.
struct Tags<'t> {
    text: &'t str,
    at: usize,
    templates: usize,
}

impl<'t> Tags<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, templates: 0 }
    }

    /// Moves to the place after the first `end` that comes at or after `from`.
    fn skip(&mut self, from: usize, end: &str) {
        let found = self.text.get(from..).and_then(|rest| rest.find(end));
        self.at = found.map_or(self.text.len(), |found| from + found + end.len());
    }

    /// Moves to the place after a comment, or after other markup that begins with `<!`, `<?` or a `</` without a
    /// name.
    fn skip_comment(&mut self, start: usize) {
        let rest = &self.text[start..];
        match rest.strip_prefix("<!--") {
            Some(inside) if inside.starts_with('>') || inside.starts_with("->") => self.skip(start, ">"),
            Some(_) => self.skip(start + 4, "-->"),
            None => self.skip(start, ">"),
        }
    }
}

impl<'t> Iterator for Tags<'t> {
    type Item = Tag<'t>;

    fn next(&mut self) -> Option<Tag<'t>> {
        loop {
            let bytes = self.text.as_bytes();
            let start = self.at + memchr::memchr(b'<', bytes.get(self.at..)?)?;
            let closes = bytes.get(start + 1) == Some(&b'/');
            let name_at = start + 1 + usize::from(closes);
            match bytes.get(name_at) {
                Some(first) if first.is_ascii_alphabetic() => {}
                Some(b'!' | b'?') => {
                    self.skip_comment(start);
                    continue;
                }
                Some(_) if closes => {
                    self.skip_comment(start);
                    continue;
                }
                _ => {
                    self.at = name_at;
                    continue;
                }
            }
            let name_len = bytes[name_at..].iter().position(|byte| ends_name(*byte));
            let name = &self.text[name_at..name_len.map_or(bytes.len(), |len| name_at + len)];
            let inside_at = name_at + name.len();
            let end = inside_at + end_of_tag(&bytes[inside_at..]);
            // A tag that the page does not close is not a tag.
            self.at = (bytes.get(end) == Some(&b'>')).then_some(end + 1)?;
            if name.eq_ignore_ascii_case("template") {
                self.templates = if closes { self.templates.saturating_sub(1) } else { self.templates + 1 };
            }
            if closes {
                continue;
            }
            let content = is_plain_text(name).then(|| {
                let content = self.at..end_of_content(self.text, self.at, name);
                self.at = content.end;
                content
            });
            if self.templates == 0 {
                return Some(Tag { name, inside: &self.text[inside_at..end], start, end: end + 1, content });
            }
        }
    }
}

/// Returns whether the content of an element with this name is plain text, so that it contains no tags.
fn is_plain_text(name: &str) -> bool {
    ["script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"]
        .iter()
        .any(|plain| name.eq_ignore_ascii_case(plain))
}

/// Returns the offset of the end tag of an element, where its plain text ends. Upper and lower case are equal.
fn end_of_content(text: &str, from: usize, name: &str) -> usize {
    let rest = &text.as_bytes()[from..];
    let is_end = |at: &usize| {
        let tag = &rest[*at..];
        let named = tag.get(2..2 + name.len()).is_some_and(|end| end.eq_ignore_ascii_case(name.as_bytes()));
        named
            && tag.get(1) == Some(&b'/')
            && tag.get(2 + name.len()).is_some_and(|b| b.is_ascii_whitespace() || matches!(b, b'/' | b'>'))
    };
    memchr::memchr_iter(b'<', rest).find(is_end).map_or(text.len(), |at| from + at)
}

/// Returns whether a byte ends the name of a tag. In UTF-8 such a byte is a character.
fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>')
}

/// Returns the offset of the first `>` outside of a quoted value, where the tag ends. `inside` begins after the
/// tag's name.
fn end_of_tag(inside: &[u8]) -> usize {
    let (mut at, mut after_equals) = (0, false);
    while let Some(byte) = inside.get(at) {
        match byte {
            b'>' => return at,
            b'=' => after_equals = true,
            // A quote begins a value only if a `=` precedes it.
            b'"' | b'\'' if after_equals => {
                let Some(closes) = memchr::memchr(*byte, &inside[at + 1..]) else { break };
                at += closes + 1;
                after_equals = false;
            }
            byte if byte.is_ascii_whitespace() => {}
            _ => after_equals = false,
        }
        at += 1;
    }
    inside.len()
}

/// An iterator over the attributes of a tag.
struct TagAttributes<'t>(&'t str);

impl<'t> Iterator for TagAttributes<'t> {
    type Item = (&'t str, Cow<'t, str>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        // A `=` at the beginning of an attribute is part of its name.
        let name_end =
            rest.char_indices().skip(1).find(|(_, c)| c.is_ascii_whitespace() || matches!(c, '/' | '='));
        let name_end = if rest.is_empty() { return None } else { name_end.map_or(rest.len(), |(at, _)| at) };
        let (name, rest) = rest.split_at(name_end);
        let after = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let Some(value) = after.strip_prefix('=') else {
            self.0 = rest;
            return Some((name, Cow::Borrowed("")));
        };
        let value = value.trim_start_matches(|c: char| c.is_ascii_whitespace());
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (raw, rest) = match quote {
            Some(quote) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
            None => value.split_at(value.find(|c: char| c.is_ascii_whitespace()).unwrap_or(value.len())),
        };
        self.0 = rest;
        Some((name, crate::entities::decoded_attribute(raw)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads all tags of a page, also those after the last candidate.
    fn read_to_the_end(text: &str) -> Islands {
        let mut islands = Islands::default();
        for tag in Tags::new(text) {
            islands.take(&tag);
        }
        islands
    }

    proptest! {
        #[test]
        fn the_tags_up_to_the_last_candidate_are_enough(
            text in "(<meta name=a content=|<META|<script type='application/ld(\\+|&#43;)json'>|<SCRIPT TYPE=application/ld\\+JSON |<script>|<script src=|<scripted>|</script>|<!--|-->|<template>|</template>|<title>|</title>|<p a=|['\"<>/= é]|x){0,60}",
        ) {
            let (cut, whole) = (Islands::read(&text), read_to_the_end(&text));
            prop_assert_eq!((cut.blocks, cut.metas), (whole.blocks, whole.metas));
        }
    }

    #[test]
    fn a_tag_ends_outside_of_its_quoted_values() {
        for (inside, end) in [
            (">", 0),
            (" a>", 2),
            (" a=\"x>y\">", 8),
            (" a = 'x>y' b>", 12),
            (" a='>\"' b=\"'>\">", 14),
            (" it's>", 5),
            (" a=b\"c>", 6),
            (" a=\"x>", 6),
            (" a=\"\"\"b>", 7),
            ("", 0),
        ] {
            assert_eq!(end_of_tag(inside.as_bytes()), end, "{inside}");
        }
    }
}
