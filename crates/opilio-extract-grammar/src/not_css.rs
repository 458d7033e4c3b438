//! Recognises constructs of other tools in selectors that CSS does not have, and suggests replacements.

use std::fmt;

/// A construct in a selector that is not CSS, but whose meaning is clear.
///
/// ```
/// use opilio_extract_grammar::NotCss;
///
/// let meant = NotCss::find("a.next::attr(href)");
/// assert_eq!(meant, Some(NotCss::Attr { selector: "a.next".into(), name: "href".into() }));
/// assert_eq!(NotCss::find("a.next"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotCss {
    /// `h1::text`, which means the text of the elements that `selector` matches.
    Text {
        /// The selector without this construct.
        selector: String,
    },
    /// `a::attr(href)`, which means an attribute of the elements that `selector` matches.
    Attr {
        /// The selector without this construct.
        selector: String,
        /// The name of the attribute.
        name: String,
    },
    /// `div::html`, which means the markup of the elements that `selector` matches.
    Html {
        /// The selector without this construct.
        selector: String,
    },
    /// `p:contains("x")`, which selects elements by their text.
    Contains {
        /// The construct, such as `:contains("x")`.
        wrong: String,
        /// The selector without this construct.
        selector: String,
    },
    /// `li:first` or `li:eq(2)`, which select elements by their position among all matches.
    Place {
        /// The construct, as written.
        wrong: String,
        /// The CSS that selects the same elements.
        instead: String,
    },
    /// `//h1` or `/html/body`: an expression of XPath.
    XPath {
        /// The same expression in CSS; `None` if it cannot be translated.
        css: Option<String>,
        /// The attribute at the end of the XPath expression, if there is one.
        attr: Option<String>,
    },
}

impl NotCss {
    /// Finds a construct of another tool in a selector. Some of these constructs also occur in valid CSS, so call
    /// this function only for selectors that cannot be parsed.
    #[must_use]
    pub fn find(css: &str) -> Option<Self> {
        let css = css.trim();
        if css.len() > BYTES_MAX {
            return None;
        }
        xpath(css).or_else(|| colons(css).into_iter().find_map(|at| pseudo(css, at)))
    }

    /// Returns the byte offset in `css` at which the part that is not CSS begins. `css` is the selector in which
    /// `find` found this construct.
    pub(crate) fn place_in(&self, css: &str) -> Option<usize> {
        let before = css.len() - css.trim_start().len();
        let css = css.trim();
        match self {
            Self::XPath { .. } => Some(before),
            _ => colons(css).into_iter().find(|at| pseudo(css, *at).is_some()).map(|at| before + at),
        }
    }
}

impl fmt::Display for NotCss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { selector } => {
                write!(f, "CSS selects elements and not their text: write `{selector}`, whose text is read")
            }
            Self::Attr { selector, name } => write!(
                f,
                "CSS selects elements and not their attributes: write `{selector}`, and ask for the attribute {name} of what it matches"
            ),
            Self::Html { selector } => write!(
                f,
                "CSS selects elements and not their markup: write `{selector}`, and ask for the html of what it matches"
            ),
            Self::Contains { wrong, selector } => write!(
                f,
                "`{wrong}` is not in CSS, which cannot ask for text: write `{selector}`, and pick by the texts of all that it matches"
            ),
            Self::Place { wrong, instead } => write!(f, "`{wrong}` is not in CSS: write {instead}"),
            Self::XPath { css, attr } => {
                f.write_str("it is XPath, and a CSS selector is read here")?;
                if let Some(css) = css {
                    write!(f, ": write `{css}`")?;
                }
                match attr {
                    Some(name) => write!(f, ", and ask for the attribute {name} of what it matches"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// Returns the byte offsets of the colons that begin a pseudo-class or pseudo-element. Colons in strings and in
/// attribute brackets are left out.
fn colons(css: &str) -> Vec<usize> {
    let (mut quote, mut brackets, mut found, mut skip) = (None, 0_usize, Vec::new(), false);
    for (at, c) in css.char_indices() {
        if std::mem::take(&mut skip) {
            continue;
        }
        match (quote, c) {
            (_, '\\') => skip = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => brackets += 1,
            (None, ']') => brackets = brackets.saturating_sub(1),
            (None, ':') if brackets == 0 && found.last().is_none_or(|last| last + 1 != at) => found.push(at),
            _ => {}
        }
    }
    found
}

/// Returns the construct at the colon at `at`, if it is a pseudo-class or pseudo-element of another tool.
fn pseudo(css: &str, at: usize) -> Option<NotCss> {
    let rest = css[at..].trim_start_matches(':');
    let name_len = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    let (name, after) = rest.split_at(name_len.unwrap_or(rest.len()));
    let argument = argument(after);
    let end = css.len() - after.len() + argument.map_or(0, |argument| argument.len() + 2);
    let wrong = css[at..end.min(css.len())].to_owned();
    let without = |what: &str| {
        let left = format!("{}{}", css[..at].trim_end(), &css[end.min(css.len())..]);
        let left = left.trim();
        if left.is_empty() { what.to_owned() } else { left.to_owned() }
    };
    let inner = argument.map(|argument| argument.trim().trim_matches(['"', '\'']));
    let place = |instead: &str| NotCss::Place { wrong: wrong.clone(), instead: instead.to_owned() };
    Some(match (name.to_ascii_lowercase().as_str(), inner) {
        ("text" | "innertext" | "textcontent", _) => NotCss::Text { selector: without("*") },
        ("attr" | "attribute", Some(name)) => NotCss::Attr { selector: without("*"), name: name.to_owned() },
        ("html" | "outerhtml" | "innerhtml" | "raw", _) => NotCss::Html { selector: without("*") },
        (
            "contains" | "icontains" | "has-text" | "text-is" | "text-matches" | "matches" | "containsown",
            _,
        ) => NotCss::Contains { wrong, selector: without("*") },
        ("first", None) => place("`:first-of-type`, or leave it out where the first match is read anyway"),
        ("last", None) => place("`:last-of-type`"),
        ("even" | "odd", None) => place(&format!("`:nth-of-type({name})`")),
        ("eq" | "nth", Some(n)) => match n.parse::<u32>() {
            Ok(n) => place(&format!("`:nth-of-type({})`, which counts from 1", n.saturating_add(1))),
            Err(_) => place("`:nth-of-type(…)` or `:nth-last-of-type(…)`, which count from 1"),
        },
        ("gt" | "lt", Some(_)) => place("`:nth-of-type(n+…)` or `:nth-of-type(-n+…)`, which count from 1"),
        ("parent", None) => place("`:not(:empty)`"),
        ("header", None) => place("`h1, h2, h3, h4, h5, h6`"),
        ("input", None) => place("`input, select, textarea, button`"),
        ("visible" | "hidden", None) => place("a class or an attribute that tells it: nothing is drawn here"),
        _ => return None,
    })
}

/// Returns the text in the parentheses with which a text begins; `None` if it does not begin with `(`.
fn argument(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('(')?;
    let (mut depth, mut quote) = (0_usize, None);
    for (at, c) in inner.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => return Some(&inner[..at]),
            (None, ')') => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Recognises XPath, and translates it to CSS if it is a simple path of names.
fn xpath(css: &str) -> Option<NotCss> {
    let begins = ["/", "./", "../", "(/", "(./"].iter().any(|start| css.starts_with(start));
    let ends = css.contains("/@") || css.contains("/text()");
    if !begins && !ends {
        return None;
    }
    let (path, attr) = match css.rsplit_once("/@") {
        Some((path, name)) => (path, Some(name.to_owned())),
        None => (css, None),
    };
    let path = path.strip_suffix("/text()").unwrap_or(path);
    let path = path.strip_prefix('.').unwrap_or(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | '*');
    let translated = path.chars().all(plain).then(|| {
        let path = path.strip_prefix("//").or_else(|| path.strip_prefix('/')).unwrap_or(path);
        path.replace("//", " ").replace('/', " > ")
    });
    Some(NotCss::XPath { css: translated.filter(|css| !css.trim().is_empty()), attr })
}

/// The most bytes of a selector that is examined: 4 KiB. People do not write longer selectors, and each colon costs
/// a scan of the rest of the selector.
const BYTES_MAX: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn habits_of_other_tools_are_told_what_to_write() {
        for (css, part) in [
            ("h1::text", "write `h1`, whose text is read"),
            ("::text", "write `*`"),
            ("div.a p::text", "write `div.a p`"),
            ("a::attr(href)", "write `a`, and ask for the attribute href"),
            ("a::attr('data-x')", "the attribute data-x"),
            ("li a::attr(href), h2 a", "write `li a, h2 a`"),
            ("div::html", "the html of"),
            (r#"p:contains("x")"#, "`:contains(\"x\")` is not in CSS, which cannot ask for text: write `p`"),
            ("p:contains('a)b') > b", "write `p > b`"),
            ("p:has-text(x)", "write `p`"),
            ("li:first", ":first-of-type"),
            ("li:eq(2)", ":nth-of-type(3)"),
            ("li:eq(-1)", "count from 1"),
            ("tr:odd", ":nth-of-type(odd)"),
            ("//h1", "XPath, and a CSS selector is read here: write `h1`"),
            ("/html/body//h1", "write `html > body h1`"),
            ("//a/@href", "write `a`, and ask for the attribute href"),
            ("a/@href", "write `a`, and ask for the attribute href"),
            ("//p/text()", "write `p`"),
            ("//div[@class='x']", "it is XPath, and a CSS selector is read here"),
        ] {
            let meant = NotCss::find(css).unwrap_or_else(|| panic!("{css}"));
            assert!(meant.to_string().contains(part), "{css}: {meant}");
        }
    }

    #[test]
    fn what_css_has_and_what_nobody_means_is_left_to_the_parser() {
        for css in [
            "a",
            "a[href]",
            "a[href*=':contains(x)']",
            "a[title=\"x::text\"]",
            "p:first-of-type",
            "p:nth-child(2n+1)",
            "a::before",
            "a:nonsense",
            r"sm\:text\:x",
            "a[",
            "",
            ":",
            "p:contains(",
            "é:é",
        ] {
            let found = NotCss::find(css);
            assert!(found.is_none() || css == "p:contains(", "{css}: {found:?}");
        }
    }
}
