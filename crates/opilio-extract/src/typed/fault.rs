//! The error for a value with fields that cannot be read. It lists all these fields.

use std::borrow::Cow;
use std::fmt;

use crate::text::bounded;

/// The most faults of one value that are listed. Further faults are only counted.
const FAULTS_MAX: usize = 20;

/// The most bytes of the page's text that a fault shows. The other parts of a fault have the same limit.
const TEXT_BYTES_MAX: usize = 80;
const URL_BYTES_MAX: usize = 300;

/// The error for a page with fields that cannot be read. It lists these fields.
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
    /// The number of further faults that are not listed.
    pub(super) unlisted: usize,
    /// Peculiarities of the page that may explain the faults. Each is a sentence without the full stop.
    pub(super) notes: Vec<String>,
}

/// The fault of one field: the reason why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// The path of the field, such as `Product.offers[2].price`.
    pub field: String,
    /// The sources of the field, as they are written above the field in the struct.
    pub asked: String,
    /// The content that the sources have on this page.
    pub found: FoundThere,
    /// The kind of value that the field needs; empty if any value would do.
    pub wanted: Cow<'static, str>,
    /// A hint on how to make the field readable; empty if there is no hint.
    pub hint: Cow<'static, str>,
}

/// The content that a source has in place of a readable value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FoundThere {
    /// Nothing matches the source.
    Nothing,
    /// The source has an element or an attribute that is empty.
    Empty,
    /// The source has several matches where only one is allowed. Contains the number of matches.
    Several(usize),
    /// The source has a text or a JSON value that cannot be read as the field's type. Contains it, shortened to 80
    /// bytes and with control characters escaped; a list or an object is only named.
    Text(String),
    /// The source has something that cannot be read at all. Contains a description.
    Unreadable(String),
}

impl FoundThere {
    /// Makes a `Text` from a text of the page, shortened and in one line.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(shown(text, TEXT_BYTES_MAX))
    }

    pub(super) fn unreadable(reason: &str) -> Self {
        Self::Unreadable(shown(reason, TEXT_BYTES_MAX * 2))
    }
}

/// Returns a text from a server for a message, shortened to `bytes_max` bytes. Control characters are escaped, and
/// so are characters that change the direction of writing.
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

    /// Returns the faults of the fields that cannot be read: at most 20 of them.
    #[must_use]
    pub fn faults(&self) -> &[FieldFault] {
        &self.faults
    }

    /// Returns the number of fields that cannot be read, including those that are not listed.
    #[must_use]
    pub fn count(&self) -> usize {
        self.faults.len() + self.unlisted
    }

    /// Returns the URL of the page, without user name and password.
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
