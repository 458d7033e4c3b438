//! What is said of fields that cannot be read: all of a value at once.

use std::borrow::Cow;
use std::fmt;

use crate::text::bounded;

/// How many faults of one value are listed; the others are counted.
const FAULTS_MAX: usize = 20;

/// The longest text of a page in a fault, in bytes, and the longest other part.
const TEXT_BYTES_MAX: usize = 80;
const URL_BYTES_MAX: usize = 300;

/// The fields that cannot be read on one page.
///
/// ```
/// use opilio_extract::{Document, Extract};
///
/// #[derive(Extract)]
/// struct Product {
///     #[css("h1")]
///     name: String,
///     #[css(".stock")]
///     stock: u32,
/// }
///
/// let page = Document::new("https://shop.example/7".parse()?, None, "<p class=stock>many</p>".into());
/// assert_eq!(
///     page.extract::<Product>().err().unwrap().to_string(),
///     "2 fields cannot be read on https://shop.example/7: Product.name: nothing is there: css(\"h1\"); \
///      Product.stock: css(\".stock\") is \"many\", not a whole number from 0 to 4294967295: \
///      take the number out of the text by `re`, if it stands in one"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractFaults {
    pub(super) url: String,
    pub(super) faults: Vec<FieldFault>,
    /// How many more there are.
    pub(super) unlisted: usize,
    /// What is peculiar about the page, each a sentence without its end.
    pub(super) notes: Vec<String>,
}

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The field, such as `Product.offers[2].price`.
    pub field: String,
    /// The sources that were asked, as they are written above the field.
    pub asked: String,
    /// What was there.
    pub found: FoundThere,
    /// What was wanted; empty where anything would have done.
    pub wanted: Cow<'static, str>,
    /// What may help; empty if nothing is known.
    pub hint: Cow<'static, str>,
}

/// What a source has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundThere {
    /// Nothing.
    Nothing,
    /// An element or an attribute with nothing in it.
    Empty,
    /// More matches than one.
    Several(usize),
    /// This text: at most 80 bytes of it, control characters escaped.
    Text(String),
    /// Something that cannot be read at all, in words.
    Unreadable(String),
}

impl FoundThere {
    /// A text of the page, bounded and in one line.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(shown(text, TEXT_BYTES_MAX))
    }

    pub(super) fn unreadable(reason: &str) -> Self {
        Self::Unreadable(shown(reason, TEXT_BYTES_MAX * 2))
    }
}

/// A text of a server in bounded form: control characters, and characters that turn a line around, are escaped.
pub(super) fn shown(text: &str, bytes_max: usize) -> String {
    let text = text.trim();
    let (mut out, mut cut) = (String::new(), false);
    for c in text.chars() {
        let before = out.len();
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        if out.len() > bytes_max {
            out.truncate(before);
            cut = true;
            break;
        }
    }
    if cut {
        out.push('…');
    }
    out
}

impl ExtractFaults {
    pub(super) fn new() -> Self {
        Self { url: String::new(), faults: Vec::new(), unlisted: 0, notes: Vec::new() }
    }

    pub(super) fn at(&mut self, url: &str) {
        self.url = bounded(url, URL_BYTES_MAX).to_owned();
    }

    pub(super) fn add(&mut self, fault: FieldFault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn append(&mut self, more: Self) {
        self.unlisted += more.unlisted;
        more.faults.into_iter().for_each(|fault| self.add(fault));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// The fields, at most 20 of them.
    #[must_use]
    pub fn faults(&self) -> &[FieldFault] {
        &self.faults
    }

    /// How many fields cannot be read.
    #[must_use]
    pub fn count(&self) -> usize {
        self.faults.len() + self.unlisted
    }

    /// The page, without user name and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl std::error::Error for ExtractFaults {}

impl fmt::Display for ExtractFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count() {
            1 => write!(f, "a field cannot be read on {}", self.url)?,
            count => write!(f, "{count} fields cannot be read on {}", self.url)?,
        }
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { ": " } else { "; " })?;
        }
        if self.unlisted > 0 {
            write!(f, "; and {} more", self.unlisted)?;
        }
        self.notes.iter().try_for_each(|note| write!(f, " ({note})"))
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, asked, found, wanted, hint } = self;
        write!(f, "{field}: ")?;
        match found {
            FoundThere::Nothing => write!(f, "nothing is there: {asked}")?,
            FoundThere::Empty => write!(f, "{asked} is there and empty")?,
            FoundThere::Several(count) => {
                write!(f, "{asked} matches {count} elements, of which there should be one")?
            }
            FoundThere::Text(text) => {
                write!(f, "{asked} is \"{text}\"")?;
                if !wanted.is_empty() {
                    write!(f, ", not {wanted}")?;
                }
            }
            FoundThere::Unreadable(reason) => write!(f, "{asked} cannot be read: {reason}")?,
        }
        if hint.is_empty() { Ok(()) } else { write!(f, ": {hint}") }
    }
}
