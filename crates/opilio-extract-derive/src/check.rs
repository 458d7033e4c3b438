//! Checks the string literals in attributes at compile time, with the same grammar that is used at run time.

use opilio_extract_grammar::{NotCss, NumberForm, Segment, check_selector, read_path};
use syn::{Error, LitStr, Result};

/// Checks a CSS selector, and returns its text.
pub(crate) fn selector(text: &LitStr, attribute: &str) -> Result<String> {
    let css = text.value();
    let Err(mistake) = check_selector(&css) else { return Ok(css) };
    let reason = match &mistake.not_css {
        Some(meant) => meant_by(meant, attribute),
        None => mistake.reason,
    };
    Err(Error::new(text.span(), pointed("this is no CSS selector", &css, mistake.at, &reason)))
}

/// Returns the text that tells the user what to write instead of a construct of another tool.
fn meant_by(meant: &NotCss, attribute: &str) -> String {
    if attribute != "css" {
        return meant.to_string();
    }
    match meant {
        NotCss::Text { selector } => {
            format!("CSS selects elements, and their text is read anyway: write #[css({selector:?})]")
        }
        NotCss::Attr { selector, name } => {
            format!(
                "CSS selects elements and not their attributes: write #[css({selector:?}, attr = {name:?})]"
            )
        }
        NotCss::Html { selector } => {
            format!("CSS selects elements and not their markup: write #[css({selector:?}, html)]")
        }
        NotCss::Contains { wrong, selector } => format!(
            "`{wrong}` is not in CSS: write #[css({selector:?}, re = \"…\")], which takes the first element whose text matches"
        ),
        NotCss::XPath { css: Some(css), attr: Some(attr) } => {
            format!("it is XPath: write #[css({css:?}, attr = {attr:?})]")
        }
        NotCss::XPath { css: Some(css), attr: None } => format!("it is XPath: write #[css({css:?})]"),
        other => other.to_string(),
    }
}

/// Parses a path into JSON.
pub(crate) fn path(text: &LitStr) -> Result<Vec<Step>> {
    let path = text.value();
    match read_path(&path) {
        Ok(segments) => Ok(segments.into_iter().map(Step::from).collect()),
        Err(mistake) => Err(Error::new(
            text.span(),
            pointed("this is no path into JSON", &path, mistake.at, &mistake.reason),
        )),
    }
}

/// A step of a path into JSON. Unlike `Segment` of the grammar, it owns its name.
pub(crate) enum Step {
    Key(String),
    At(usize),
    Each,
}

impl From<Segment<'_>> for Step {
    fn from(segment: Segment<'_>) -> Self {
        match segment {
            Segment::Key(name) => Self::Key(name.to_owned()),
            Segment::At(index) => Self::At(index),
            Segment::Each => Self::Each,
        }
    }
}

/// Checks a regular expression, and returns its text.
pub(crate) fn expression(text: &LitStr) -> Result<String> {
    let re = text.value();
    let (at, reason) = match regex_syntax::parse(&re) {
        Ok(_) => return Ok(re),
        Err(regex_syntax::Error::Parse(error)) => (error.span().start.offset, error.kind().to_string()),
        Err(regex_syntax::Error::Translate(error)) => (error.span().start.offset, error.kind().to_string()),
        Err(other) => (0, other.to_string()),
    };
    let reason = match reason.contains("look-around") {
        true => "look-around is not supported: match what stands around, and take the first group".to_owned(),
        false => reason,
    };
    Err(Error::new(text.span(), pointed("this is no regular expression", &re, at, &reason)))
}

/// Reads the form of numbers from an example such as `1.234,56`.
pub(crate) fn number(text: &LitStr) -> Result<NumberForm> {
    NumberForm::by_example(&text.value()).map_err(|reason| Error::new(text.span(), reason))
}

/// Checks a date format, which may contain the `strftime` directives that jiff reads, and returns its text.
pub(crate) fn date(text: &LitStr) -> Result<String> {
    const DIRECTIVES: &str = "AaBbCDdeFfGgHhIjklMmNnPpQRSsTtUuVWwYyz%";
    let format = text.value();
    let wrong = |at, reason: &str| {
        Err(Error::new(text.span(), pointed("this is no format of dates", &format, at, reason)))
    };
    if !format.contains('%') {
        return wrong(0, "it has no directive: write days, months and years as in \"%d.%m.%Y\"");
    }
    let mut chars = format.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '%' {
            continue;
        }
        // Skips flags, a width, colons, and the point before a fraction.
        while chars.next_if(|(_, c)| matches!(c, '-' | '_' | '0'..='9' | '^' | '#' | ':' | '.')).is_some() {}
        match chars.next() {
            Some((_, directive)) if DIRECTIVES.contains(directive) => {}
            Some((_, directive)) => {
                return wrong(at, &format!("`%{directive}` is no directive that can be read"));
            }
            None => return wrong(at, "it ends within a directive"),
        }
    }
    Ok(format)
}

/// Returns a message that shows the text, with a caret below the place of the mistake.
fn pointed(what: &str, text: &str, at: usize, reason: &str) -> String {
    let at = text.floor_char_boundary(at);
    let line_at = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let line = text[line_at..].lines().next().unwrap_or_default();
    let before = text[line_at..at].chars().count();
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{what}: {reason}\n  {line}\n  {}^", " ".repeat(before))
}
