//! Checks CSS selectors. For a selector that is not valid, returns the place of the mistake and the reason.
//!
//! The rules are those of scraper's parser, which parses selectors at run time. scraper's errors contain no place
//! and name internal types of its parser, so this module runs the same underlying parser again and looks at its
//! position.

use std::borrow::Borrow;
use std::fmt::{self, Write};

use cssparser::{BasicParseErrorKind, ParseErrorKind, ToCss};
use precomputed_hash::PrecomputedHash;
use selectors::parser::{self, ParseRelative, SelectorList, SelectorParseErrorKind};

use crate::not_css::NotCss;

/// The error for a selector that is not valid, with the place of the mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorMistake {
    /// The byte offset of the mistake in the selector. It is the selector's length if the selector ends too early.
    pub at: usize,
    /// The reason, as one line of text.
    pub reason: String,
    /// The construct of another tool, if the mistake is such a construct.
    pub not_css: Option<NotCss>,
}

/// Checks that a CSS selector is valid, and that its brackets and quotes are closed.
///
/// CSS itself closes open brackets and quotes at the end of a text, so `a[href` would be valid. In a selector that a
/// person wrote, an open bracket is most likely a slip.
///
/// ```
/// use opilio_extract_grammar::check_selector;
///
/// assert!(check_selector("ul.menu > li:not(.ad) a[href]").is_ok());
/// let mistake = check_selector("a[href").unwrap_err();
/// assert_eq!((mistake.at, &*mistake.reason), (1, "the bracket `[` is not closed"));
/// ```
///
/// # Errors
/// When the selector is not valid.
pub fn check_selector(css: &str) -> Result<(), SelectorMistake> {
    let mut parser = cssparser::Parser::new(css);
    let parsed = SelectorList::parse(&Rules, &mut parser, ParseRelative::No);
    let open = unclosed(css);
    if parsed.is_ok() {
        return match open {
            Some((at, reason)) => Err(SelectorMistake { at, reason, not_css: None }),
            None => Ok(()),
        };
    }
    if let Some(meant) = NotCss::find(css) {
        let at = meant.place_in(css).unwrap_or(0);
        let reason = meant.to_string().replace(char::is_control, " ");
        return Err(SelectorMistake { at, reason, not_css: Some(meant) });
    }
    let (at, reason) = open.unwrap_or_else(|| explain(css));
    Err(SelectorMistake { at, reason, not_css: None })
}

/// Converts a place from the parser's line and column to a byte offset.
fn offset(css: &str, place: cssparser::SourceLocation) -> usize {
    let mut line_start = 0;
    let mut line = 0;
    for (at, c) in css.char_indices() {
        if line == place.line {
            break;
        }
        let ends_line = match c {
            '\n' | '\u{c}' => true,
            '\r' => css.as_bytes().get(at + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends_line {
            line += 1;
            line_start = at + 1;
        }
    }
    let column = usize::try_from(place.column).unwrap_or(1).saturating_sub(1);
    css.floor_char_boundary((line_start + column).min(css.len()))
}

/// Returns the place of the first bracket or quote that is not closed, or that closes nothing, and the reason why it
/// is a mistake.
fn unclosed(css: &str) -> Option<(usize, String)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut chars = css.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' | '\'' => {
                let mut closed = false;
                while let Some((_, inner)) = chars.next() {
                    match inner {
                        '\\' => {
                            chars.next();
                        }
                        inner if inner == c => {
                            closed = true;
                            break;
                        }
                        _ => {}
                    }
                }
                if !closed {
                    return Some((at, format!("the quote `{c}` is not closed")));
                }
            }
            '/' if chars.peek().is_some_and(|(_, next)| *next == '*') => {
                let end = css[at + 2..].find("*/").map(|end| at + 2 + end + 2);
                let Some(end) = end else { return Some((at, "the comment `/*` is not closed".to_owned())) };
                while chars.peek().is_some_and(|(at, _)| *at < end) {
                    chars.next();
                }
            }
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => {
                let opening = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                match open.pop() {
                    Some((_, other)) if other == opening => {}
                    _ => return Some((at, format!("the bracket `{c}` closes nothing"))),
                }
            }
            _ => {}
        }
    }
    open.first().map(|(at, c)| (*at, format!("the bracket `{c}` is not closed")))
}

/// Returns the place and the reason of the first mistake. The selectors of a list are parsed one by one: when the
/// parser reads a whole list, it continues after a mistake at the next comma, so the place of the mistake is lost.
fn explain(css: &str) -> (usize, String) {
    let mut parser = cssparser::Parser::new(css);
    loop {
        let parsed = parser::Selector::parse(&Rules, &mut parser);
        let reached = offset(css, parser.current_source_location());
        if let Err(error) = parsed {
            return mistake_at(css, reached, &error.kind);
        }
        match parser.next() {
            Ok(cssparser::Token::Comma) => {}
            Ok(_) => {
                let at = next_token(css, reached);
                return (at, format!("`{}` does not belong there", quoted(token(&css[at..]))));
            }
            Err(_) => return (css.len(), "something in it does not belong there".to_owned()),
        }
    }
}

/// Returns the place and the reason of a mistake. `reached` is the byte offset at which the parser stopped; the
/// mistake is there or before it.
fn mistake_at(css: &str, reached: usize, kind: &ParseErrorKind<SelectorParseErrorKind>) -> (usize, String) {
    let read = css[..reached].trim_end();
    let at = last_token(read);
    let said = &read[at..];
    match kind {
        ParseErrorKind::Basic(BasicParseErrorKind::EndOfInput) => (css.len(), "it ends too early".to_owned()),
        ParseErrorKind::Basic(BasicParseErrorKind::UnexpectedToken) => {
            (at, format!("`{}` does not belong there", quoted(said)))
        }
        ParseErrorKind::Basic(BasicParseErrorKind::TooManyNestedBlocks) => {
            (at, "its brackets nest too deeply".to_owned())
        }
        ParseErrorKind::Basic(_) => (at, "`@` is not part of a selector".to_owned()),
        ParseErrorKind::Custom(SelectorParseErrorKind::EmptySelector) if css.trim().is_empty() => {
            (0, "it is empty".to_owned())
        }
        ParseErrorKind::Custom(SelectorParseErrorKind::EmptySelector) => {
            let at = next_token(css, reached);
            match token(&css[at..]) {
                "" | "," => (at, "a selector is missing here".to_owned()),
                other if other.starts_with(['>', '+', '~']) => {
                    (at, "it begins with a combinator: write `:scope` in front of it".to_owned())
                }
                other => (at, format!("`{}` does not belong there", quoted(other))),
            }
        }
        ParseErrorKind::Custom(SelectorParseErrorKind::DanglingCombinator) => {
            let next = next_token(css, reached);
            match token(&css[next..]) {
                "" | "," => (at, "it ends with a combinator".to_owned()),
                other => (next, format!("`{}` does not belong there", quoted(other))),
            }
        }
        ParseErrorKind::Custom(kind) => mistake(css, (at, said), kind),
    }
}

/// Returns the place and a text for people for a mistake, for which the parser has only the names of its types.
fn mistake(css: &str, (at, said): (usize, &str), kind: &SelectorParseErrorKind) -> (usize, String) {
    use SelectorParseErrorKind as Kind;
    let said = quoted(said);
    let reason = match kind {
        Kind::UnsupportedPseudoClassOrElement => {
            let at = colons_before(css, at);
            let name = css[at..].split(|c: char| !is_name(c) && c != ':').next().unwrap_or_default();
            return (at, format!("the pseudo-class or pseudo-element `{}` is not supported", quoted(name)));
        }
        Kind::EmptySelector | Kind::DanglingCombinator => "a selector is missing here".to_owned(),
        Kind::UnexpectedIdent => format!("the name `{said}` does not belong there"),
        Kind::NoIdentForPseudo | Kind::PseudoElementExpectedIdent | Kind::PseudoElementExpectedColon => {
            "a name is missing after a colon".to_owned()
        }
        Kind::ClassNeedsIdent => "a class is missing after a dot".to_owned(),
        Kind::ExpectedNamespace => "the namespace in front of `|` is not declared".to_owned(),
        Kind::ExplicitNamespaceUnexpectedToken => "a name is missing after `|`".to_owned(),
        Kind::BadValueInAttr => {
            let at = last_token(css[..at].trim_end_matches(|c: char| c == ']' || c.is_whitespace()));
            return (at, "a value in brackets needs quotes".to_owned());
        }
        Kind::NoQualifiedNameInAttributeSelector | Kind::InvalidQualNameInAttr => {
            "the name of an attribute is missing in brackets".to_owned()
        }
        Kind::UnexpectedTokenInAttributeSelector | Kind::ExpectedBarInAttr => {
            format!("`{said}` in brackets does not belong there")
        }
        Kind::NonCompoundSelector => "only one element may be named there".to_owned(),
        Kind::InvalidState
        | Kind::NonPseudoElementAfterSlotted
        | Kind::InvalidPseudoElementAfterSlotted
        | Kind::InvalidPseudoElementInsideWhere => format!("`{said}` does not belong there"),
    };
    (at, reason)
}

/// Returns the byte offset at which the last token of a text begins. Here, a token is a name or one other character.
fn last_token(text: &str) -> usize {
    let name = text.len() - text.chars().rev().take_while(|c| is_name(*c)).map(char::len_utf8).sum::<usize>();
    if name < text.len() {
        return name;
    }
    text.char_indices().next_back().map_or(0, |(at, _)| at)
}

/// Returns the byte offset at which the next token begins, from `from` on.
fn next_token(css: &str, from: usize) -> usize {
    css.len() - css[from..].trim_start().len()
}

/// Returns the token at the beginning of a text: a name with the characters that mark it (such as `.` or `#`), or
/// one character.
fn token(text: &str) -> &str {
    let mark = text.chars().next().filter(|c| !is_name(*c)).map_or(0, char::len_utf8);
    let name = text[mark..].find(|c| !is_name(c)).unwrap_or(text.len() - mark);
    &text[..mark + name]
}

/// Returns the byte offset at which the pseudo-class begins whose name or bracket is at `at`.
fn colons_before(css: &str, at: usize) -> usize {
    let name_end = css[..at].trim_end_matches(|c: char| is_name(c) || c == '(').len();
    let colons = css[..name_end].len() - css[..name_end].trim_end_matches(':').len();
    if colons == 0 { at } else { name_end - colons }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '_' || !c.is_ascii()
}

/// Returns a part of a selector for a message: shortened, and in one line.
fn quoted(part: &str) -> String {
    let end = part.floor_char_boundary(PART_BYTES_MAX);
    part[..end].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

const PART_BYTES_MAX: usize = 40;

/// The same rules as in scraper's `Parser`: the only pseudo-classes are those of the structure, `:is`, `:where` and
/// `:has`.
struct Rules;

impl parser::Parser<'_> for Rules {
    type Impl = Grammar;
    type Error = SelectorParseErrorKind;

    fn parse_is_and_where(&self) -> bool {
        true
    }

    fn parse_has(&self) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Grammar;

impl parser::SelectorImpl for Grammar {
    type AttrValue = CssName;
    type Identifier = CssName;
    type LocalName = CssName;
    type NamespacePrefix = CssName;
    type NamespaceUrl = CssName;
    type BorrowedNamespaceUrl = str;
    type BorrowedLocalName = str;
    type NonTSPseudoClass = NoPseudo;
    type PseudoElement = NoPseudo;
    type ExtraMatchingData<'a> = ();
}

/// A name or a value in a selector. It is not interned, since selectors are only checked here and never matched.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct CssName(String);

impl From<&str> for CssName {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl AsRef<str> for CssName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CssName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PrecomputedHash for CssName {
    fn precomputed_hash(&self) -> u32 {
        0
    }
}

impl ToCss for CssName {
    fn to_css<W: Write>(&self, out: &mut W) -> fmt::Result {
        cssparser::serialize_string(&self.0, out)
    }
}

/// The type of pseudo-elements and of other pseudo-classes. It has no values, since none are supported.
#[derive(Debug, Clone, PartialEq, Eq)]
enum NoPseudo {}

impl parser::NonTSPseudoClass for NoPseudo {
    fn is_active_or_hover(&self) -> bool {
        false
    }

    fn is_user_action_state(&self) -> bool {
        false
    }
}

impl parser::PseudoElement for NoPseudo {}

impl ToCss for NoPseudo {
    fn to_css<W: Write>(&self, _: &mut W) -> fmt::Result {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mistake_has_its_place_and_a_reason() {
        for (css, at, reason) in [
            ("", 0, "it is empty"),
            ("a[href", 1, "the bracket `[` is not closed"),
            ("a[title=\"x]", 8, "the quote `\"` is not closed"),
            ("li:not(.a", 6, "the bracket `(` is not closed"),
            ("a]", 1, "the bracket `]` closes nothing"),
            ("p /* x", 2, "the comment `/*` is not closed"),
            ("a,", 2, "a selector is missing here"),
            (".a > > .b", 5, "`>` does not belong there"),
            (".a >", 3, "it ends with a combinator"),
            ("> .a", 0, "it begins with a combinator: write `:scope` in front of it"),
            ("a..b", 2, "a class is missing after a dot"),
            ("li:hover", 2, "the pseudo-class or pseudo-element `:hover` is not supported"),
            ("ul li:nonsense(2) a", 5, "the pseudo-class or pseudo-element `:nonsense` is not supported"),
            ("p::before", 1, "the pseudo-class or pseudo-element `::before` is not supported"),
            ("a[x=1]", 4, "a value in brackets needs quotes"),
            ("h1::text", 2, "CSS selects elements and not their text: write `h1`, whose text is read"),
            ("<x>", 0, "`<x` does not belong there"),
            ("a{b}", 1, "`{b` does not belong there"),
            ("#1", 0, "`#1` does not belong there"),
            ("dc:creator", 2, "the pseudo-class or pseudo-element `:creator` is not supported"),
            ("svg|a", 3, "the namespace in front of `|` is not declared"),
        ] {
            let mistake = check_selector(css).unwrap_err();
            assert_eq!((mistake.at, mistake.reason.as_str()), (at, reason), "{css}");
        }
    }

    #[test]
    fn what_is_valid_is_accepted() {
        for css in [
            "a",
            "*",
            ".a.b#c",
            "a > b + c ~ d e",
            "a[href^='x' i]",
            ":is(a, b) :where(c)",
            "li:has(> a)",
            ":not(a, b)",
            "li:nth-child(2n + 1)",
            r"dc\:creator",
            ":scope > a",
            ":root",
            ":empty",
            "/* x */ a",
            "a[title='(']",
            "a /* [ */",
            r"sm\:text\[x\]",
            "p:first-of-type, p:last-child",
        ] {
            assert_eq!(check_selector(css), Ok(()), "{css}");
        }
        assert!(check_selector(&":not(".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(css in "([a-z]|[\\[\\]():.#>+~*,=|^$'\"\\\\/ \n\r{}@0-9]|::|é|/\\*|\\*/){0,24}") {
            if let Err(mistake) = check_selector(&css) {
                assert!(mistake.at <= css.len() && css.is_char_boundary(mistake.at));
                assert!(!mistake.reason.is_empty() && !mistake.reason.contains('\n'));
            }
        }
    }
}
