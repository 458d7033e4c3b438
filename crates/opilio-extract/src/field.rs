//! Fields of a page: a CSS selector, and the part of the matching elements that becomes the value.
//!
//! The command line, configuration files and code describe fields with the same words:
//!
//! | words | value |
//! | --- | --- |
//! | none | the text of the first match, as a person reads it; `None` without a match |
//! | `attr=NAME` | an attribute, of the first match that has this attribute |
//! | `own_text` | the text directly in the element, without that of elements inside |
//! | `raw` | the text exactly as written in the markup, with all white space |
//! | `html` | the markup of the element, with its own tags |
//! | `all` | a list of the values of all matches |
//! | `one` | the value of the only match; several matches are an error |
//!
//! Use at most one of `attr`, `own_text`, `raw` and `html`, and at most one of `all` and `one`, in any order.

use std::fmt;
use std::str::FromStr;

use opilio_extract_grammar::NotCss;
use serde::Serialize;
use thiserror::Error;

use crate::document::Document;
use crate::error::SelectorError;
use crate::select::{Element, Matches, selector};

/// The part of a matching element that becomes a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Part {
    /// The text, in one line, as [`Element::text`] returns it.
    #[default]
    Text,
    /// The text directly in the element ([`Element::own_text`]).
    OwnText,
    /// The text exactly as written in the markup ([`Element::raw_text`]).
    Raw,
    /// The markup ([`Element::html`]).
    Html,
    /// The value of this attribute.
    Attr(String),
}

/// The number of matches that become values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// Only the first match becomes the value.
    #[default]
    First,
    /// The only match becomes the value. Several matches are an error.
    One,
    /// All matches become values, in a list.
    All,
}

/// A CSS selector, and the part of the matching elements that becomes the value.
///
/// ```
/// # mod opilio { pub use opilio_extract as extract; }
/// use opilio::extract::{Document, Field, Value};
///
/// let page = Document::new("https://shop.example/".parse()?, None, "<a href=/1>one</a> <a href=/2>two</a>".into());
/// assert_eq!(Field::new("a")?.read(&page)?, Value::Text(Some("one".into())));
/// assert_eq!(Field::with_words("a", "attr=href, all")?.read(&page)?, Value::List(vec!["/1".into(), "/2".into()]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    css: String,
    part: Part,
    count: Count,
}

impl Field {
    /// Returns a field for the text of the first match.
    ///
    /// # Errors
    /// When the selector is not valid.
    pub fn new(css: &str) -> Result<Self, SelectorError> {
        selector(css)?;
        Ok(Self { css: css.to_owned(), part: Part::default(), count: Count::default() })
    }

    /// Returns a field that is described by words, which are separated by commas.
    ///
    /// # Errors
    /// When the selector is not valid, a word is unknown, or two words contradict each other.
    pub fn with_words(css: &str, words: &str) -> Result<Self, FieldError> {
        let (mut part, mut count) = (None, None);
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let twice = match read_word(word)? {
                Word::Part(one) => part.replace(one).is_some(),
                Word::Count(one) => count.replace(one).is_some(),
            };
            if twice {
                return Err(FieldError::Contradiction { words: words.to_owned(), word: word.to_owned() });
            }
        }
        let field = Self::new(css)?;
        Ok(Self { part: part.unwrap_or_default(), count: count.unwrap_or_default(), ..field })
    }

    /// Sets the part of the matches that becomes the value.
    #[must_use]
    pub fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// Sets how many matches become values.
    #[must_use]
    pub fn count(mut self, count: Count) -> Self {
        self.count = count;
        self
    }

    /// Returns the selector.
    #[must_use]
    pub fn css(&self) -> &str {
        &self.css
    }

    /// Returns the words that describe part and count. The result is empty for the default, the text of the first
    /// match.
    #[must_use]
    pub fn words(&self) -> String {
        let part = match &self.part {
            Part::Text => None,
            Part::OwnText => Some("own_text".to_owned()),
            Part::Raw => Some("raw".to_owned()),
            Part::Html => Some("html".to_owned()),
            Part::Attr(name) => Some(format!("attr={name}")),
        };
        let count = match self.count {
            Count::First => None,
            Count::One => Some("one".to_owned()),
            Count::All => Some("all".to_owned()),
        };
        part.into_iter().chain(count).collect::<Vec<_>>().join(", ")
    }

    /// Reads the value of the field from a page. Builds the page's DOM.
    ///
    /// # Errors
    /// When several elements match and [`Count::One`] is wanted.
    pub fn read(&self, page: &Document) -> Result<Value, FieldReadError> {
        let matches = page.css(&self.css)?;
        match self.count {
            Count::All => Ok(Value::List(self.values(&matches).collect())),
            Count::First => Ok(Value::Text(self.values(&matches).next())),
            Count::One => {
                if matches.iter().nth(1).is_some() {
                    return Err(FieldReadError::Several { selector: self.css.clone() });
                }
                Ok(Value::Text(self.values(&matches).next()))
            }
        }
    }

    /// Returns the value that the field has for a document without markup.
    #[must_use]
    pub fn nothing(&self) -> Value {
        match self.count {
            Count::All => Value::List(Vec::new()),
            Count::First | Count::One => Value::Text(None),
        }
    }

    fn values<'m>(&'m self, matches: &'m Matches<'_>) -> impl Iterator<Item = String> + 'm {
        matches.iter().filter_map(|element| self.part.of(&element))
    }
}

impl Part {
    /// Returns this part of an element. `None` if the part is an attribute that the element does not have.
    #[must_use]
    pub fn of(&self, element: &Element<'_>) -> Option<String> {
        match self {
            Self::Text => Some(element.text()),
            Self::OwnText => Some(element.own_text()),
            Self::Raw => Some(element.raw_text()),
            Self::Html => Some(element.html()),
            Self::Attr(name) => element.attr(name).map(str::to_owned),
        }
    }
}

/// The value of a field on one page. In JSON, it is a text, `null`, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// The value of one match; `None` if nothing matches.
    Text(Option<String>),
    /// The values of all matches.
    List(Vec<String>),
}

/// A field with its name, parsed from `NAME=SELECTOR` or `NAME[WORDS]=SELECTOR`.
///
/// ```
/// # mod opilio { pub use opilio_extract as extract; }
/// use opilio::extract::NamedField;
///
/// let price: NamedField = "price=.price".parse()?;
/// let images: NamedField = "images[attr=src, all]=img.product".parse()?;
/// assert_eq!((&*images.name, images.field.css()), ("images", "img.product"));
/// # Ok::<(), opilio::extract::FieldError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedField {
    /// The field's name in the output.
    pub name: String,
    /// The selector and the words of the field.
    pub field: Field,
}

impl FromStr for NamedField {
    type Err = FieldError;

    fn from_str(text: &str) -> Result<Self, FieldError> {
        let shape = || FieldError::Shape { text: text.to_owned() };
        // `h1::text` without a name has two mistakes: the name is missing, and `::text` is not CSS. The second is
        // reported.
        if let Some(meant) = NotCss::find(text).filter(|_| !text.contains(['=', '['])) {
            return Err(FieldError::NotCss { instead: instead("NAME", &meant), meant });
        }
        let at = text.find(['=', '[']).ok_or_else(shape)?;
        let (name, rest) = (text[..at].trim(), &text[at..]);
        let (words, css) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (words, rest) = rest.split_once(']').ok_or_else(shape)?;
                (words, rest.trim_start().strip_prefix('=').ok_or_else(shape)?)
            }
            None => ("", &rest[1..]),
        };
        if name.is_empty() {
            return Err(FieldError::NoName);
        }
        let css = css.trim();
        let field = Field::with_words(css, words).map_err(|error| match (&error, NotCss::find(css)) {
            (FieldError::Selector(_), Some(meant)) => {
                FieldError::NotCss { instead: instead(name, &meant), meant }
            }
            _ => error,
        })?;
        Ok(Self { name: name.to_owned(), field })
    }
}

/// Returns the text of a field that has the same meaning as the construct of another tool, if there is only one such
/// field.
fn instead(name: &str, meant: &NotCss) -> Option<String> {
    match meant {
        NotCss::Text { selector } => Some(format!("{name}={selector}")),
        NotCss::Attr { selector, name: attr } => Some(format!("{name}[attr={attr}]={selector}")),
        NotCss::Html { selector } => Some(format!("{name}[html]={selector}")),
        NotCss::Contains { selector, .. } => Some(format!("{name}[all]={selector}")),
        NotCss::XPath { css: Some(css), attr: Some(attr) } => Some(format!("{name}[attr={attr}]={css}")),
        NotCss::XPath { css: Some(css), attr: None } => Some(format!("{name}={css}")),
        _ => None,
    }
}

/// The reason why a text is not a field.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldError {
    /// There is no `=` between name and selector.
    #[error(
        "{text:?} is not a field: write NAME=SELECTOR or NAME[WORDS]=SELECTOR, such as price=.price or link[attr=href]=a"
    )]
    Shape {
        /// The text that was given.
        text: String,
    },
    /// There is no name before the `=`.
    #[error("the name of a field is empty: write NAME=SELECTOR, such as price=.price")]
    NoName,
    /// A word is not a known word of fields.
    #[error("{word:?} is not a word that a field knows: the words are {}", WORDS.join(", "))]
    Word {
        /// The unknown word.
        word: String,
    },
    /// Two words contradict each other, since they set the same property.
    #[error("the words {words:?} contradict each other: {word:?} is one too many")]
    Contradiction {
        /// All words of the field.
        words: String,
        /// The second of the two words.
        word: String,
    },
    /// The selector is not CSS but a construct of another tool.
    #[error("{meant}{}", Instead(instead.as_deref()))]
    NotCss {
        /// The construct of another tool.
        meant: NotCss,
        /// The text of the field that means the same, if there is one.
        instead: Option<String>,
    },
    /// The selector is not valid.
    #[error(transparent)]
    Selector(#[from] SelectorError),
}

struct Instead<'a>(Option<&'a str>);

impl fmt::Display for Instead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |field| write!(f, ", as in the field {field}"))
    }
}

/// The reason why a field cannot be read on a page.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldReadError {
    /// Several elements match, but the field allows only one match.
    #[error("several elements match the CSS selector `{selector}`, where one is expected")]
    Several {
        /// The selector of the field.
        selector: String,
    },
    /// The selector is not valid.
    #[error(transparent)]
    Selector(#[from] SelectorError),
}

enum Word {
    Part(Part),
    Count(Count),
}

const WORDS: [&str; 6] = ["attr=NAME", "own_text", "raw", "html", "all", "one"];

fn read_word(word: &str) -> Result<Word, FieldError> {
    let wrong = || FieldError::Word { word: word.to_owned() };
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim().trim_matches(['"', '\'']))),
        None => (word, None),
    };
    Ok(match (key, value) {
        // The tree has HTML names in lower case; SVG names (`viewBox`) keep their case.
        ("attr", Some(name)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Word::Part(Part::Attr(name.to_owned()))
        }
        ("own_text" | "own-text", None) => Word::Part(Part::OwnText),
        ("raw", None) => Word::Part(Part::Raw),
        ("html", None) => Word::Part(Part::Html),
        ("text", None) => Word::Part(Part::Text),
        ("all", None) => Word::Count(Count::All),
        ("one", None) => Word::Count(Count::One),
        ("first", None) => Word::Count(Count::First),
        _ => return Err(wrong()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const PAGE: &str = "<h1> Tea <b>pot</b>\n </h1><a href=/1 title=x>one</a><a>none</a><a href=/2>two</a>";

    fn read(field: &str) -> String {
        let page = Document::new("http://a.test/".parse().unwrap(), None, PAGE.into());
        let field: NamedField = field.parse().unwrap_or_else(|error| panic!("{field}: {error}"));
        let value = field.field.read(&page).map(|value| serde_json::to_string(&value).unwrap());
        value.unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn every_word_says_what_becomes_the_value() {
        for (field, value) in [
            ("x=h1", r#""Tea pot""#),
            ("x=h2", "null"),
            ("x[text]=h1", r#""Tea pot""#),
            ("x[own_text]=h1", r#""Tea""#),
            ("x[raw]=h1", r#"" Tea pot\n ""#),
            ("x[html]=b", r#""<b>pot</b>""#),
            ("x[attr=href]=a", r#""/1""#),
            ("x[attr=title]=a[href='/2']", "null"),
            ("x[all]=a", r#"["one","none","two"]"#),
            ("x[all,attr=href]=a", r#"["/1","/2"]"#),
            ("x [ attr = \"href\" , all ] = a", r#"["/1","/2"]"#),
            ("x[all]=h2", "[]"),
            ("x[one]=h1", r#""Tea pot""#),
            ("x[one]=h2", "null"),
            ("x[one]=a", "several elements match the CSS selector `a`, where one is expected"),
            ("x[]=a[href=\"/2\"]", r#""two""#),
        ] {
            assert_eq!(read(field), value, "{field}");
        }
    }

    #[test]
    fn the_words_of_a_field_read_as_the_same_field() {
        for words in ["", "all", "attr=href, all", "own_text, one", "raw", "html"] {
            let field = Field::with_words("a", words).unwrap();
            assert_eq!(field.words(), words);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a-z]|=|\\[|\\]|::|:|\\(|\\)|text|attr|contains|eq|//|@|'|\"|,|é|\\\\| ){0,24}") {
            let _ = text.parse::<NamedField>();
            let _ = NotCss::find(&text).map(|meant| meant.to_string());
            let _ = Field::with_words("a", &text);
        }
    }

    #[test]
    fn what_is_no_field_is_told_how_to_write_one() {
        for (field, part) in [
            ("price", "write NAME=SELECTOR or NAME[WORDS]=SELECTOR"),
            ("price[all", "write NAME=SELECTOR"),
            ("price[all].x", "write NAME=SELECTOR"),
            ("=.x", "the name of a field is empty"),
            ("[all]=.x", "the name of a field is empty"),
            ("x[href]=a", "\"href\" is not a word that a field knows: the words are attr=NAME"),
            ("x[attr=href all]=a", "\"attr=href all\" is not a word that a field knows"),
            ("x[attr]=a", "\"attr\" is not a word"),
            ("x[all=1]=a", "\"all=1\" is not a word"),
            ("x[html,raw]=a", "\"raw\" is one too many"),
            ("x[all,one]=a", "\"one\" is one too many"),
            ("x=a[", "CSS selector `a[`"),
            ("x=", "CSS selector ``"),
            ("x=h1::text", "as in the field x=h1"),
            ("x=a::attr(href)", "as in the field x[attr=href]=a"),
            ("x=div::html", "as in the field x[html]=div"),
            (r#"x=p:contains("y")"#, "as in the field x[all]=p"),
            ("x=//a/@href", "as in the field x[attr=href]=a"),
        ] {
            let error = field.parse::<NamedField>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("Unsupported"), "{field}: {error}");
        }
    }
}
