//! Directives of a page to crawlers: `<meta name=robots>` and the header field `X-Robots-Tag`.
//!
//! Neither of them is standardised. The rules here are the rules that Google documents ("Robots meta tag and
//! X-Robots-Tag HTTP header specifications") and that other search engines follow. Upper and lower case are equal.
//! Directives to all crawlers and directives to this crawler by name both apply; if they contradict each other, the
//! stricter directive applies.

use std::ops::{BitOr, BitOrAssign};

/// The directives of a page to crawlers. The default contains no directives.
///
/// Directives concern a page that was fetched already; whether it may be fetched at all is decided by robots.txt.
/// Combine directives from several places with `|`.
///
/// ```
/// # mod opilio { pub use opilio_extract as extract; }
/// use opilio::extract::Directives;
///
/// let header = Directives::of_header("otherbot: noindex, opilio: nofollow", "Opilio/0.1 (+https://a.example)");
/// let meta = Directives::of_meta("robots", "noarchive", "Opilio");
/// let both = header | meta;
/// assert!(both.nofollow && both.noarchive && !both.noindex);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Directives {
    /// The page says `noindex` or `none`: crawlers should not show this page in an index.
    pub noindex: bool,
    /// The page says `nofollow` or `none`: crawlers should not follow the links of this page.
    pub nofollow: bool,
    /// The page says `noarchive`: crawlers should not show others a stored copy of this page.
    pub noarchive: bool,
}

impl Directives {
    /// Reads the value of one `X-Robots-Tag` field. `user_agent` names this crawler: a product token, or a whole
    /// `User-Agent` that begins with the product token.
    ///
    /// In `otherbot: noindex, nofollow`, the name before the colon is the crawler to which the words after the colon
    /// apply, up to the next such name. So several fields that were joined with commas are read correctly, too.
    #[must_use]
    pub fn of_header(value: &str, user_agent: &str) -> Self {
        let (mut said, mut for_us) = (Self::default(), true);
        for part in value.split(',') {
            let rule = match part.split_once(':') {
                Some((name, rule)) if is_name(name.trim()) => {
                    for_us = names_us(name.trim(), user_agent);
                    rule
                }
                // This word is a rule with a value, or the end of a date. Neither contains a known directive.
                Some(_) => continue,
                None => part,
            };
            if for_us {
                said |= Self::of_words(rule);
            }
        }
        said
    }

    /// Reads a `<meta>` element by its `name` and `content`. `user_agent` names this crawler.
    #[must_use]
    pub fn of_meta(name: &str, content: &str, user_agent: &str) -> Self {
        MetaRobots::read(name, content).map_or_else(Self::default, |meta| meta.read_by(user_agent))
    }

    /// Returns whether the page has none of these directives.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Reads directives separated by commas. Some authors write semicolons or spaces instead of commas.
    fn of_words(text: &str) -> Self {
        let mut said = Self::default();
        for word in text.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')) {
            let is = |wanted: &str| word.eq_ignore_ascii_case(wanted);
            said.noindex |= is("noindex") || is("none");
            said.nofollow |= is("nofollow") || is("none");
            said.noarchive |= is("noarchive");
        }
        said
    }
}

impl BitOr for Directives {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            noindex: self.noindex || other.noindex,
            nofollow: self.nofollow || other.nofollow,
            noarchive: self.noarchive || other.noarchive,
        }
    }
}

impl BitOrAssign for Directives {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// A `<meta>` element with directives to crawlers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaRobots {
    /// The name of the crawler that the directives are for; `robots` means all crawlers.
    pub name: String,
    /// The directives that the element contains.
    pub directives: Directives,
}

impl MetaRobots {
    /// Reads a `<meta>` element; returns `None` if it has no directive. A `<meta>` of another purpose (such as a
    /// description) whose text contains the word of a directive is read, too; this is harmless, since no crawler has
    /// the name of that `<meta>`.
    pub(crate) fn read(name: &str, content: &str) -> Option<Self> {
        let directives = Directives::of_words(content);
        let asks = !directives.is_empty() && name.len() <= NAME_BYTES_MAX;
        asks.then(|| Self { name: name.to_owned(), directives })
    }

    /// Returns the directives of this element for the crawler with this user agent.
    #[must_use]
    pub fn read_by(&self, user_agent: &str) -> Directives {
        if names_us(self.name.trim(), user_agent) { self.directives } else { Directives::default() }
    }
}

/// Returns whether `name` means every crawler, or the crawler with this user agent.
fn names_us(name: &str, user_agent: &str) -> bool {
    // RFC 9309 §2.2.1: a product token consists of letters, `-` and `_`.
    let end = user_agent.find(|c: char| !(c.is_ascii_alphabetic() || matches!(c, '-' | '_')));
    let product = &user_agent[..end.unwrap_or(user_agent.len())];
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    is("robots") || is("*") || (!product.is_empty() && is(product))
}

/// Returns whether the text before a colon is the name of a crawler.
fn is_name(text: &str) -> bool {
    let is_valued = VALUED.iter().any(|word| text.eq_ignore_ascii_case(word));
    !is_valued && !text.contains(char::is_whitespace) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// The most bytes of a crawler's name. No known crawler has a longer name.
const NAME_BYTES_MAX: usize = 256;

/// The rules that have a value after a colon.
const VALUED: [&str; 4] = ["max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(said: Directives) -> String {
        let words = [(said.noindex, "i"), (said.nofollow, "f"), (said.noarchive, "a")];
        words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect()
    }

    #[test]
    fn header_fields_hold_for_those_they_name() {
        for (value, wanted) in [
            ("noindex", "i"),
            ("NoIndex , NOFOLLOW", "if"),
            ("none", "if"),
            ("noarchive", "a"),
            ("all", ""),
            ("index, follow", ""),
            ("noindex; nofollow", "if"),
            ("noindex nofollow", "if"),
            ("nofollowing, no-follow", ""),
            ("googlebot: nofollow", ""),
            ("opilio: nofollow", "f"),
            ("OPILIO : none", "if"),
            ("robots: nofollow", "f"),
            ("*: nofollow", "f"),
            ("noindex, otherbot: nofollow", "i"),
            ("otherbot: noindex, nofollow", ""),
            ("otherbot: noindex, opilio: nofollow, noarchive", "fa"),
            ("opilio: nofollow, otherbot: noindex", "f"),
            ("max-snippet: 20, nofollow", "f"),
            ("unavailable_after: 25 Jun 2030 15:00:00 PST, noindex", "i"),
            ("unavailable_after: Tue, 25 Jun 2030 15:00:00 GMT, noindex", "i"),
            ("opilio-news: nofollow", ""),
            ("", ""),
            (",,:,", ""),
        ] {
            assert_eq!(
                words(Directives::of_header(value, "Opilio/0.1 (+https://a.example)")),
                wanted,
                "{value}"
            );
        }
    }

    #[test]
    fn metas_are_for_all_or_for_us() {
        for (name, content, wanted) in [
            ("robots", "noindex,nofollow", "if"),
            (" ROBOTS ", "None", "if"),
            ("opilio", "nofollow", "f"),
            ("googlebot", "nofollow", ""),
            ("description", "nofollow", ""),
            ("", "nofollow", ""),
        ] {
            assert_eq!(words(Directives::of_meta(name, content, "Opilio/0.1")), wanted, "{name} {content}");
        }
        assert_eq!(words(Directives::of_meta("my-bot_x", "none", "my-bot_x/2")), "if");
        assert_eq!(words(Directives::of_meta("", "none", "/1.0")), "", "no product, no name");
    }

    #[test]
    fn what_several_say_adds_up() {
        let said = Directives::of_words("noindex") | Directives::of_words("follow, nofollow");
        assert_eq!(words(said), "if");
        assert!(Directives::of_words("all").is_empty());
    }
}
