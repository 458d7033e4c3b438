//! Matches URLs against the patterns of a scope. A pattern may contain letters of any alphabet.
//!
//! A URL is ASCII: its path is percent-encoded and its host is written in punycode. People, however, type the
//! letters that browsers show. So a pattern is compared with a URL twice: both as written, and both in a
//! readable (decoded) form.

use std::borrow::Cow;

use globset::{GlobBuilder, GlobMatcher};
use unicode_normalization::UnicodeNormalization;
use url::{Position, Url};

/// A pattern for URLs. Only `*` is special: it stands for any text, as in robots.txt.
#[derive(Clone, Debug)]
pub(crate) struct UrlPattern {
    /// The pattern as it was given.
    text: Box<str>,
    typed: GlobMatcher,
    /// Compares the readable form of the pattern with the readable form of a URL.
    readable: GlobMatcher,
    /// Whether both matchers are equal. Then a URL whose readable form is the URL itself is compared only once.
    is_plain: bool,
}

/// A URL to be compared with patterns. Its readable form is made only once.
pub(crate) struct ReadableUrl<'a> {
    url: &'a str,
    /// The readable form; `None` if it equals the URL, as for most URLs.
    readable: Option<String>,
}

/// A text that cannot be parsed as a pattern.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the URL pattern {pattern:?}")]
pub struct PatternError {
    pattern: String,
    #[source]
    source: globset::Error,
}

impl UrlPattern {
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternError> {
        let glob =
            |text: &str| glob(text).map_err(|source| PatternError { pattern: pattern.to_owned(), source });
        let readable = readable_pattern(pattern);
        Ok(Self {
            text: pattern.into(),
            typed: glob(pattern)?,
            readable: glob(&readable)?,
            is_plain: readable == pattern,
        })
    }

    /// Returns the pattern as it was given.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns whether the pattern can match no URL, because no http or https URL begins as the pattern does.
    pub(crate) fn is_matchless(&self) -> bool {
        let begins = self.text.split('*').next().unwrap_or_default();
        let ends = begins.len() == self.text.len();
        let fits = |scheme: &str| {
            begins.len() > scheme.len() && begins.starts_with(scheme) || !ends && scheme.starts_with(begins)
        };
        !["http://", "https://"].into_iter().any(fits)
    }

    pub(crate) fn matches(&self, candidate: &ReadableUrl<'_>) -> bool {
        // The pattern is also compared as it was typed, since it may hold half of an escape, or half of a
        // label of a host name.
        self.readable.is_match(candidate.readable.as_deref().unwrap_or(candidate.url))
            || (!(self.is_plain && candidate.readable.is_none()) && self.typed.is_match(candidate.url))
    }
}

impl<'a> ReadableUrl<'a> {
    pub(crate) fn new(url: &'a Url) -> Self {
        let text = url.as_str();
        let host = url.host_str().unwrap_or_default();
        let readable = (text.contains('%') || host.contains("xn--")).then(|| {
            let (before, after) = (&url[..Position::BeforeHost], &url[Position::AfterHost..]);
            composed(&format!("{before}{}{}", readable_labels(host), decoded(after)))
        });
        Self { url: text, readable }
    }
}

fn readable_pattern(pattern: &str) -> String {
    let Some((scheme, rest)) = pattern.split_once("://") else {
        return composed(&punycode_decoded(&decoded(pattern)));
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    composed(&format!("{scheme}://{}{}", readable_labels(&decoded(host)), decoded(path)))
}

/// Returns a host name as browsers show it: its labels mapped by IDNA (UTS 46), in lower case.
fn readable_labels(host: &str) -> String {
    map_runs(host, |c| !matches!(c, '*' | '.' | ':' | '@' | '[' | ']'), |_| true)
}

/// Decodes the punycode labels (`xn--…`) in a text. The host name may be anywhere in the text.
fn punycode_decoded(text: &str) -> String {
    map_runs(text, |c| c.is_ascii_alphanumeric() || c == '-', |run| run.starts_with("xn--"))
}

/// Maps by IDNA those runs of label characters for which `is_worth_it` returns true. Incomplete labels stay
/// as they are.
fn map_runs(text: &str, is_label: impl Fn(char) -> bool, is_worth_it: impl Fn(&str) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (run, after) = rest.split_at(rest.find(|c| !is_label(c)).unwrap_or(rest.len()));
        match idna::domain_to_unicode(run) {
            (mapped, Ok(())) if !run.is_empty() && is_worth_it(run) => out.push_str(&mapped),
            _ => out.push_str(run),
        }
        let mut chars = after.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

/// Decodes percent escapes: those of letters of any alphabet, and those of other characters that are not delimiters.
/// All other escapes stay escapes and get upper-case hex digits, as do bytes that are not UTF-8.
fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let mut bytes = Vec::new();
        rest = &rest[at..];
        while let Some(byte) = escape(rest) {
            bytes.push(byte);
            rest = &rest[3..];
        }
        if bytes.is_empty() {
            // A percent sign that is not followed by two hex digits is an ordinary character.
            out.push('%');
            rest = &rest[1..];
        }
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                if is_readable(c) { out.push(c) } else { push_escaped(&mut out, c as u8) }
            }
            chunk.invalid().iter().for_each(|byte| push_escaped(&mut out, *byte));
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the byte that the escape at the beginning of this text encodes; `None` if the text does not begin
/// with an escape.
fn escape(text: &str) -> Option<u8> {
    let hex =
        text.strip_prefix('%')?.get(..2).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(hex, 16).ok()
}

/// Returns whether a character may replace its escape. This is false for ASCII delimiters and for all other
/// characters whose meaning differs from that of their escape.
fn is_readable(c: char) -> bool {
    let unreserved = c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let never_raw = matches!(c, ' ' | '"' | '<' | '>' | '`' | '{' | '}' | '^' | '|');
    !c.is_ascii() || unreserved || never_raw
}

/// Appends the escape of an ASCII character, or of a byte that is not UTF-8.
fn push_escaped(out: &mut String, byte: u8) {
    out.push_str(percent_encoding::percent_encode_byte(byte));
}

/// Returns the text in composed form (NFC). Unicode can write some letters in two ways, such as `é` as one character
/// or as `e` with an accent; both have the same composed form.
fn composed(text: &str) -> String {
    text.nfc().collect()
}

/// Makes the matcher of a pattern. Only `*` has a special meaning; `?`, brackets and braces are ordinary characters.
fn glob(pattern: &str) -> Result<GlobMatcher, globset::Error> {
    let mut escaped = String::with_capacity(pattern.len() + 8);
    for c in pattern.chars() {
        if matches!(c, '?' | '[' | ']' | '{' | '}' | '\\' | '!') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    let glob = GlobBuilder::new(&escaped).literal_separator(false).backslash_escape(true).build()?;
    Ok(glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn matches(pattern: &str, url: &str) -> bool {
        let url = Url::parse(url).unwrap();
        UrlPattern::new(pattern).unwrap().matches(&ReadableUrl::new(&url))
    }

    #[test]
    fn a_path_is_matched_in_its_own_alphabet_and_as_it_is_encoded() {
        for (pattern, url) in [
            ("*/café/*", "http://a.example/café/1"),
            ("*/café/*", "http://a.example/caf%C3%A9/1"),
            ("*/café/*", "http://a.example/caf%c3%a9/1"),
            ("*/caf%c3%A9/*", "http://a.example/café/1"),
            ("*/caf%C3%a9/*", "http://a.example/caf%C3%A9/1"),
            // The letter and its accent as two characters, as some systems write file names.
            ("*/café/*", "http://a.example/cafe%CC%81/1"),
            ("*/cafe\u{301}/*", "http://a.example/caf%C3%A9/1"),
            ("*/商品/*", "http://a.example/%E5%95%86%E5%93%81/7"),
            ("*/каталог/*", "http://a.example/%D0%BA%D0%B0%D1%82%D0%B0%D0%BB%D0%BE%D0%B3/7"),
            ("*/متجر*", "http://a.example/%D9%85%D8%AA%D8%AC%D8%B1"),
            ("*?q=größe*", "http://a.example/s?q=gr%C3%B6%C3%9Fe&p=2"),
            ("*/my dir/*", "http://a.example/my%20dir/x"),
            ("*/my%20dir/*", "http://a.example/my dir/x"),
            ("*/%7Eann/*", "http://a.example/~ann/"),
            ("*/~ann/*", "http://a.example/%7eann/"),
            ("*/a%2fb*", "http://a.example/a%2Fb"),
            // A site that encodes its URLs in another encoding than UTF-8.
            ("*/caf%e9/*", "http://a.example/caf%E9/1"),
            // These match only in the form in which they were typed.
            ("*%C3*", "http://a.example/caf%C3%A9/1"),
            ("*%*", "http://a.example/caf%C3%A9/1"),
            ("*/50%/*", "http://a.example/50%/x"),
            ("*/{x}|*", "http://a.example/%7Bx%7D|"),
        ] {
            assert!(matches(pattern, url), "{pattern} {url}");
        }
        for (pattern, url) in [
            ("*/café/*", "http://a.example/cafe/1"),
            ("*/café/*", "http://a.example/caf%E9/1"),
            ("*/café/*", "http://a.example/CAF%C3%89/1"),
            ("*/a/b*", "http://a.example/a%2Fb"),
            ("*?b*", "http://a.example/a%3Fb"),
            ("*/a%2Ab", "http://a.example/a-b"),
            ("*/100%25/*", "http://a.example/100%/"),
        ] {
            assert!(!matches(pattern, url), "{pattern} {url}");
        }
    }

    #[test]
    fn a_host_is_matched_in_its_own_alphabet_and_in_punycode() {
        for (pattern, url) in [
            ("*://bücher.example/*", "http://bücher.example/x"),
            ("*://bücher.example/*", "http://xn--bcher-kva.example/x"),
            ("http://BÜCHER.Example/*", "http://bücher.example/x"),
            ("*://*.bücher.example:81/*", "http://www.bücher.example:81/x"),
            ("*://xn--bcher-kva.example/*", "http://bücher.example/x"),
            ("*xn--bcher-kva.example/*", "http://bücher.example/caf%C3%A9"),
            ("*bücher.example/*", "http://www.bücher.example/x"),
            ("*b%C3%BCcher.example/*", "http://bücher.example/x"),
            ("*bücher*", "http://a.example/b%C3%BCcher"),
            ("*://пример.испытание/*", "http://xn--e1afmkfd.xn--80akhbyknj4f/"),
            ("*://例え.テスト/*", "http://xn--r8jz45g.xn--zckzah/商品"),
            ("*://straße.example/*", "http://straße.example/"),
            // Half of a punycode label; and a label that is part of a path.
            ("*xn--bch*", "http://bücher.example/x"),
            ("*/xn--bcher-kva/*", "http://a.example/xn--bcher-kva/"),
            ("*://Shop.Example/A*", "http://shop.example/A"),
            ("*://[::1]:80*/A*", "http://[::1]:8080/A"),
        ] {
            assert!(matches(pattern, url), "{pattern} {url}");
        }
        for (pattern, url) in [
            ("*://bücher.example/*", "http://bucher.example/x"),
            ("*://Shop.Example/A*", "http://shop.example/a"),
            ("*://bücher.example/*", "http://a.example/http://bücher.examples/"),
        ] {
            assert!(!matches(pattern, url), "{pattern} {url}");
        }
    }

    #[test]
    fn one_character_is_special() {
        assert!(matches("*?print=*", "http://a.example/x?print=1"));
        assert!(!matches("*?print=*", "http://a.example/x/print=1"));
        for odd in ["[", "{a", "a}b", "\\", "!x", "[!a]*", "**/x"] {
            assert!(!matches(odd, "http://a.example/q"), "{odd}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_url_matches_itself_however_it_is_written(path in "[ -~éß商\u{301}]{0,20}") {
            let Ok(url) = Url::parse(&format!("http://bücher.example/{}", path.replace('*', "x"))) else { return Ok(()) };
            let candidate = ReadableUrl::new(&url);
            proptest::prop_assert!(UrlPattern::new(url.as_str()).unwrap().matches(&candidate));
            let readable = candidate.readable.clone().unwrap();
            proptest::prop_assert!(UrlPattern::new(&readable).unwrap().matches(&candidate), "{readable}");
        }
    }
}
