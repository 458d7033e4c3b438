//! Splits a robots.txt into lines with keys and values, and tolerates the same errors as Google's parser.

use std::time::Duration;

/// The most bytes of a line that are read; the rest is ignored. This is the limit of Google's parser: eight
/// times 2083 bytes (the longest URL of old browsers), less one byte.
pub(crate) const LINE_BYTES_MAX: usize = 2083 * 8 - 1;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The keys that this parser understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineKey {
    UserAgent,
    Allow,
    Disallow,
    Sitemap,
    /// `Crawl-delay`, a custom key that is not part of RFC 9309.
    CrawlDelay,
}

/// The spellings of each key. The key of a line matches if it starts with a spelling (so `Disallowed:` is a
/// rule, too). The misspellings are exactly those that Google's parser accepts.
const SPELLINGS: &[(&[u8], LineKey)] = &[
    (b"user-agent", LineKey::UserAgent),
    (b"useragent", LineKey::UserAgent),
    (b"user agent", LineKey::UserAgent),
    (b"allow", LineKey::Allow),
    (b"disallow", LineKey::Disallow),
    (b"dissallow", LineKey::Disallow),
    (b"dissalow", LineKey::Disallow),
    (b"disalow", LineKey::Disallow),
    (b"diasllow", LineKey::Disallow),
    (b"disallaw", LineKey::Disallow),
    (b"sitemap", LineKey::Sitemap),
    (b"site-map", LineKey::Sitemap),
    (b"crawl-delay", LineKey::CrawlDelay),
];

/// A line with a known key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RuleLine<'a> {
    pub(crate) key: LineKey,
    /// The value without a comment and without surrounding white space. It may be empty.
    pub(crate) value: &'a [u8],
}

/// The lines of a file that have a known key. Lines end at LF, CR or both.
pub(crate) struct RuleLines<'a> {
    rest: &'a [u8],
}

impl<'a> RuleLines<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        // As in Google's parser, a byte order mark at the start is skipped, even if only its first bytes are
        // there.
        let mark = BYTE_ORDER_MARK.iter().zip(bytes).take_while(|(a, b)| a == b);
        Self { rest: &bytes[mark.count()..] }
    }
}

impl<'a> Iterator for RuleLines<'a> {
    type Item = RuleLine<'a>;

    fn next(&mut self) -> Option<RuleLine<'a>> {
        while !self.rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', self.rest).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if let Some(line) = parse(&line[..line.len().min(LINE_BYTES_MAX)]) {
                return Some(line);
            }
        }
        None
    }
}

fn parse(line: &[u8]) -> Option<RuleLine<'_>> {
    let end = memchr::memchr(b'#', line).unwrap_or(line.len());
    let line = trim(&line[..end]);
    let (key, value) = match memchr::memchr(b':', line) {
        // The colon of an address (`Sitemap https://…`) does not end the key.
        Some(colon) if !line[colon..].starts_with(b"://") || two_words(line).is_none() => {
            (trim(&line[..colon]), trim(&line[colon + 1..]))
        }
        _ => two_words(line)?,
    };
    let (_, key) = SPELLINGS.iter().find(|(spelling, _)| {
        key.get(..spelling.len()).is_some_and(|start| start.eq_ignore_ascii_case(spelling))
    })?;
    Some(RuleLine { key: *key, value })
}

/// Splits a line without a colon at its white space, as Google's parser does: only a line of exactly two
/// words is accepted.
fn two_words(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = line.split(|byte| is_space(*byte)).filter(|word| !word.is_empty());
    let (key, value) = (words.next()?, words.next()?);
    words.next().is_none().then_some((key, value))
}

/// Reads a number of seconds with an optional fraction. Text after the number is ignored, as in `10s`.
pub(crate) fn seconds(value: &[u8]) -> Option<Duration> {
    let end = value.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.')).unwrap_or(value.len());
    let number: f64 = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    Duration::try_from_secs_f64(number).ok()
}

/// Returns whether C's `isspace` accepts the byte, as many robots.txt parsers do. Unlike ASCII white space in
/// Rust, this includes the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0B
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}
