//! Matches paths against the patterns of rules. Both are compared in two spellings (RFC 9309 §2.2.2, §2.2.3).
//!
//! *Plain*: unreserved octets are decoded, hex digits are upper-case, all octets that a URI must not contain
//! raw are encoded, and a `*` or `$` without its special meaning is `%2A` or `%24`. *Loose*: in the query,
//! `%3A %2F %3F %40` are decoded, too. The RFC's own example has `?baz=https://foo.bar` equal to
//! `?baz=https%3A%2F%2Ffoo.bar`, and in a query none of these four characters is a delimiter. A pattern
//! matches if it matches in one of the two spellings, because a pattern such as `/*%3F` does not say whether
//! it means the path or the query.

use memchr::memmem;
use serde::{Deserialize, Serialize};

/// The path pattern of a rule, in both spellings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Pattern {
    plain: Glob,
    loose: Option<Glob>,
}

/// The path and query of a URL, prepared for comparison with patterns.
pub(crate) struct PathTarget {
    plain: Vec<u8>,
    loose: Option<Vec<u8>>,
}

impl Pattern {
    /// Reads a pattern. Returns `None` for a pattern that cannot match any path: it starts with neither `/`
    /// nor `*`.
    pub(crate) fn new(value: &[u8]) -> Option<Self> {
        if !matches!(value.first(), Some(b'/' | b'*')) {
            return None;
        }
        let (body, end) = match value.strip_suffix(b"$") {
            Some(body) => (body, PatternEnd::Anchored),
            None => (value, PatternEnd::Open),
        };
        let plain = normalise(body, Stars::AreWild);
        let loose = loosen(&plain).map(|text| Glob::new(text, end));
        Some(Self { plain: Glob::new(plain, end), loose })
    }

    /// Returns the pattern's length in octets; the longest of all matching patterns decides. The shorter
    /// spelling counts, so that two spellings of one pattern have the same length.
    pub(crate) fn octets(&self) -> usize {
        self.loose.as_ref().unwrap_or(&self.plain).octets()
    }

    /// Returns a pattern that matches every path starting with the text before this pattern's first `*`;
    /// `None` without a `*`.
    pub(crate) fn up_to_star(&self) -> Option<Self> {
        let loose = self.loose.as_ref().and_then(Glob::up_to_star);
        Some(Self { plain: self.plain.up_to_star()?, loose })
    }

    pub(crate) fn matches(&self, target: &PathTarget) -> bool {
        if self.plain.matches(&target.plain) {
            return true;
        }
        if self.loose.is_none() && target.loose.is_none() {
            return false;
        }
        let pattern = self.loose.as_ref().unwrap_or(&self.plain);
        pattern.matches(target.loose.as_ref().unwrap_or(&target.plain))
    }
}

impl PathTarget {
    pub(crate) fn new(path_and_query: &str) -> Self {
        let bytes = path_and_query.as_bytes();
        let bytes = &bytes[..memchr::memchr(b'#', bytes).unwrap_or(bytes.len())];
        let mut plain = normalise(bytes, Stars::AreLiteral);
        if plain.first() != Some(&b'/') {
            plain.insert(0, b'/');
        }
        let loose = loosen(&plain);
        Self { plain, loose }
    }

    pub(crate) fn is_robots_txt(&self) -> bool {
        self.plain == b"/robots.txt"
    }
}

/// A pattern in one spelling: text with `*` for any octets, and whether it must match to the end of the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Glob {
    text: Box<[u8]>,
    end: PatternEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum PatternEnd {
    Open,
    Anchored,
}

impl Glob {
    fn new(text: Vec<u8>, end: PatternEnd) -> Self {
        Self { text: text.into_boxed_slice(), end }
    }

    fn octets(&self) -> usize {
        self.text.len() + usize::from(self.end == PatternEnd::Anchored)
    }

    fn up_to_star(&self) -> Option<Self> {
        let star = memchr::memchr(b'*', &self.text)?;
        Some(Self { text: self.text[..star].into(), end: PatternEnd::Open })
    }

    /// Returns whether the pattern matches. Each piece of text between two stars is taken at the first place
    /// where it occurs, which leaves the most text for the later pieces. So no other place has to be tried,
    /// and the cost is one pass over pattern and path.
    fn matches(&self, path: &[u8]) -> bool {
        let Some(star) = memchr::memchr(b'*', &self.text) else {
            return match self.end {
                PatternEnd::Open => path.starts_with(&self.text),
                PatternEnd::Anchored => *path == *self.text,
            };
        };
        let Some(mut rest) = path.strip_prefix(&self.text[..star]) else {
            return false;
        };
        let mut pieces = self.text[star + 1..].split(|byte| *byte == b'*').peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() && self.end == PatternEnd::Anchored {
                return rest.ends_with(piece);
            }
            match find(rest, piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        true
    }
}

/// Finds a needle in linear time, like [`memmem::find`], but without the set-up cost of [`memmem::find`] for
/// a needle of one octet, the most common case.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    match needle {
        [] => Some(0),
        [byte] => memchr::memchr(*byte, haystack),
        _ => memmem::find(haystack, needle),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stars {
    AreWild,
    AreLiteral,
}

fn normalise(bytes: &[u8], stars: Stars) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if let Some(decoded) = escaped(&bytes[at..]) {
            at += 3;
            match is_unreserved(decoded) {
                true => out.push(decoded),
                false => encode(decoded, &mut out),
            }
            continue;
        }
        at += 1;
        match byte {
            b'*' if stars == Stars::AreWild => out.push(byte),
            b'*' | b'$' => encode(byte, &mut out),
            _ if is_unreserved(byte) || is_reserved(byte) => out.push(byte),
            _ => encode(byte, &mut out),
        }
    }
    out
}

/// Converts a text from the plain to the loose spelling; `None` if both spellings are equal.
fn loosen(plain: &[u8]) -> Option<Vec<u8>> {
    let query = memchr::memchr(b'?', plain)? + 1;
    let mut out = plain[..query].to_vec();
    let mut at = query;
    while let Some(&byte) = plain.get(at) {
        match escaped(&plain[at..]) {
            Some(decoded @ (b':' | b'/' | b'?' | b'@')) => {
                out.push(decoded);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    (out.len() < plain.len()).then_some(out)
}

/// Returns the octet that is percent-encoded at the start of `bytes`; `None` if `bytes` does not start with a
/// percent-encoding.
fn escaped(bytes: &[u8]) -> Option<u8> {
    let &[b'%', high, low, ..] = bytes else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

fn encode(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// Returns whether a byte is unreserved in a URI (RFC 3986 §2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Returns whether a byte is reserved in a URI (RFC 3986 §2.2).
fn is_reserved(byte: u8) -> bool {
    matches!(
        byte,
        b':' | b'/'
            | b'?'
            | b'#'
            | b'['
            | b']'
            | b'@'
            | b'!'
            | b'$'
            | b'&'
            | b'\''
            | b'('
            | b')'
            | b'*'
            | b'+'
            | b','
            | b';'
            | b'='
    )
}
