//! Directives to crawlers: `<meta name=robots>` and the header field `X-Robots-Tag`.
//!
//! Neither is standardised. The rules here are those that Google documents ("Robots meta tag and X-Robots-Tag
//! HTTP header specifications") and others share. Words are compared without case. Directives to all crawlers
//! and to this crawler by name both apply; of two that disagree the stricter applies.

use std::ops::{BitOr, BitOrAssign};

/// A page's directives to crawlers; none by default.
///
/// They are facts about a fetched page; robots.txt decides whether it may be fetched. Combine directives from
/// several places with `|`.
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
    /// `noindex` or `none`: do not show this page in an index.
    pub noindex: bool,
    /// `nofollow` or `none`: do not follow the links of this page.
    pub nofollow: bool,
    /// `noarchive`: keep no copy of this page for others to see.
    pub noarchive: bool,
}

impl Directives {
    /// Reads the value of one `X-Robots-Tag` field for a crawler of this user agent (a product token,
    /// or a whole `User-Agent` that begins with it).
    ///
    /// A name with a colon, as in `otherbot: noindex, nofollow`, names the crawler for the words after it, up
    /// to the next such name. So fields joined with commas are read correctly, too.
    #[must_use]
    pub fn of_header(value: &str, user_agent: &str) -> Self {
        let (mut said, mut for_us) = (Self::default(), true);
        for part in value.split(',') {
            let rule = match part.split_once(':') {
                Some((name, rule)) if is_name(name.trim()) => {
                    for_us = names_us(name.trim(), user_agent);
                    rule
                }
                // A rule with a value, or the end of a date: nothing that we know.
                Some(_) => continue,
                None => part,
            };
            if for_us {
                said |= Self::of_words(rule);
            }
        }
        said
    }

    /// Reads a `<meta>` by its `name` and `content` for a crawler of this user agent.
    #[must_use]
    pub fn of_meta(name: &str, content: &str, user_agent: &str) -> Self {
        MetaRobots::read(name, content).map_or_else(Self::default, |meta| meta.read_by(user_agent))
    }

    /// Whether there is no directive.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Commas part the words; people also write semicolons and spaces.
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

/// A `<meta>` that asks crawlers for something.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetaRobots {
    /// Which crawlers: `robots` means all of them.
    pub name: String,
    /// The directives.
    pub directives: Directives,
}

impl MetaRobots {
    /// Reads a `<meta>`; `None` without a directive. An author's description with such words is kept, too,
    /// but its name matches no crawler.
    pub(crate) fn read(name: &str, content: &str) -> Option<Self> {
        let directives = Directives::of_words(content);
        let asks = !directives.is_empty() && name.len() <= NAME_BYTES_MAX;
        asks.then(|| Self { name: name.to_owned(), directives })
    }

    /// The directives for a crawler with this user agent.
    #[must_use]
    pub fn read_by(&self, user_agent: &str) -> Directives {
        if names_us(self.name.trim(), user_agent) { self.directives } else { Directives::default() }
    }
}

/// Whether `name` means every crawler, or one with this user agent.
fn names_us(name: &str, user_agent: &str) -> bool {
    // RFC 9309 §2.2.1: a product token is made of letters, `-` and `_`.
    let end = user_agent.find(|c: char| !(c.is_ascii_alphabetic() || matches!(c, '-' | '_')));
    let product = &user_agent[..end.unwrap_or(user_agent.len())];
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    is("robots") || is("*") || (!product.is_empty() && is(product))
}

/// Whether the text before a colon is the name of a crawler.
fn is_name(text: &str) -> bool {
    let is_valued = VALUED.iter().any(|word| text.eq_ignore_ascii_case(word));
    !is_valued && !text.contains(char::is_whitespace) && !text.starts_with(|c: char| c.is_ascii_digit())
}

/// No crawler has a longer name.
const NAME_BYTES_MAX: usize = 256;

/// Rules that have a value behind a colon.
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
