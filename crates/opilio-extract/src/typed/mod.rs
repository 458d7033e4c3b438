//! Reads structs from pages, each field from the source that is written above the field. This module is the run-time
//! part of `#[derive(Extract)]`.
//!
//! The macro writes a plan, which is a constant, and one call for each field. One interpreter (`reader`) reads the
//! plan: it looks a source up, takes the wanted part of its text, and makes a value of the field's type. If fields
//! cannot be read, the error lists all of them, not only the first.

mod cache;
pub mod coverage;
mod currency;
mod date;
mod fault;
mod find;
mod follow;
mod islands;
mod leaf;
mod linked_data;
mod microdata;
mod notes;
mod number;
mod plan;
mod price;
mod reader;

#[cfg(test)]
mod tests;

pub(crate) use cache::TypedParts;
pub use currency::{Currency, NoCurrency};
pub use fault::{ExtractFaults, FieldFault, FoundThere};
pub use plan::{
    ExtractPlan, FieldPlan, FieldShape, ItemPath, JsonPath, PageFact, Piece, SourceAt, SourcePlan, ValueKind,
};
pub use price::{NoPrice, Price};
pub use reader::{FieldReader, Raw, Unreadable};

use crate::document::Document;
use crate::select::Element;
use coverage::Counter;
use reader::{Subject, Within};

/// A struct whose fields are read from a page.
///
/// `#[derive(Extract)]` implements this trait. The attribute above a field names the source of the field:
///
/// ```
/// use opilio_extract::{Document, Extract, Price};
/// use url::Url;
///
/// #[derive(Extract)]
/// struct Product {
///     #[css("h1")]
///     name: String,
///     #[ld("Product", "offers.price")]
///     #[css(".price", number = "1.234,56")]
///     price: Price,
///     #[css("li", re = "SKU: (.+)")]
///     sku: Option<String>,
///     #[css("img.product", attr = "src")]
///     images: Vec<Url>,
///     #[css(".review")]
///     reviews: Vec<Review>,
/// }
///
/// #[derive(Extract)]
/// struct Review {
///     #[css(":scope", attr = "data-stars")]
///     stars: u8,
///     #[css("p", default)]
///     text: String,
/// }
///
/// let html = r#"<h1>Kettle</h1> <p class=price>1.299 €</p> <img class=product src=/k.jpg>
///     <ul><li>SKU: K-7</ul> <div class=review data-stars=4><p>Boils.</p></div>"#;
/// let page = Document::new("https://shop.example/kettle".parse()?, None, html.into());
///
/// let kettle: Product = page.extract()?;
/// assert_eq!((kettle.name.as_str(), kettle.price.to_string()), ("Kettle", "1299 EUR".to_owned()));
/// assert_eq!((kettle.sku.as_deref(), kettle.images[0].as_str()), (Some("K-7"), "https://shop.example/k.jpg"));
/// assert_eq!((kettle.reviews[0].stars, kettle.reviews[0].text.as_str()), (4, "Boils."));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sources
///
/// | source | reads |
/// | --- | --- |
/// | `#[css("SELECTOR")]` | the text of the first match, as a person reads it; for a `Url`, its `href` or `src` |
/// | … `attr = "NAME"` | an attribute, from the first match that has this attribute |
/// | … `own_text` | the text directly in the element, without the text of elements inside it |
/// | … `raw` | the text exactly as written in the markup |
/// | … `html` | the markup of the element |
/// | … `one` | the value of the only match; several matches are an error |
/// | `#[ld("Product", "offers.price")]` | JSON-LD: the value at a path, starting from the first object of a type |
/// | `#[micro("Product", "name")]` | microdata: the value at a path, starting from the first item of a type |
/// | `#[meta("og:title")]` | the content of a `<meta>` of this name or property |
/// | `#[json("items[0].name")]` | the value at a path into the body, which is JSON |
/// | `#[json_in("script#data", "path")]` | the value at a path into the JSON in an element; `re` cuts the JSON out |
/// | `#[page(url)]` | a fact of the page: `url`, `requested_url` (or `origin`), `depth`, `fetched_at`, `header = "NAME"` |
///
/// Several sources above a field are alternatives. The first source that has something is used, even if its content
/// cannot be read as a value.
///
/// | key | does |
/// | --- | --- |
/// | `re = r"…"` | takes the first group of the first match in the text; else the next element is tried |
/// | `number = "1.234,56"` | gives an example of how the source writes numbers |
/// | `date = "%d.%m.%Y"` | gives the format in which the source writes dates |
/// | `with = function` | makes the value with a `fn(&str) -> Result<T, E>`, where `E: Display` |
/// | `parse` | makes the value with the `FromStr` of the type |
/// | `default`, `default = EXPR` | gives the value for pages without one |
///
/// On the struct, `#[extract(each = ".card")]` selects the elements of a page that are one value each
/// ([`Document::extract_all`]), and `#[extract(key = "sku")]` names the field by which values are told apart.
///
/// # Types
///
/// A field may have these types: `String`, `bool`, integers up to 64 bits, `f32`, `f64`, `rust_decimal::Decimal`,
/// `url::Url` (resolved against the page), [`Price`], `Date`, `DateTime` and `Time` of `jiff::civil`,
/// `jiff::Timestamp`; an `Option` or a `Vec` of one of these types; any struct that derives `Extract`, in which
/// `:scope` means the element that the outer selector matches. Fields of other types need `parse` or `with`.
///
/// # Coverage
///
/// A crawl counts what it finds for each field (`CrawlReport::coverage`). [`coverage::during`] counts it for any other
/// piece of work. A list is filled if one of its values is. An empty text counts as empty, also if `with` or `parse` makes
/// a value of it.
///
/// # Missing and empty values
///
/// | | `T` | `Option<T>` | `T` with `default` | `Vec<T>` | the coverage counts it as |
/// | --- | --- | --- | --- | --- | --- |
/// | nothing is found | an error | `None` | the default | an empty list | empty, with `default` defaulted |
/// | an empty element | an error that says so | `None` | the default | left out | empty, with `default` defaulted |
/// | an empty attribute: `String` | `""` | `Some("")` | `""` | `""` | empty |
/// | … `bool` | `true` | `Some(true)` | `true` | `true` | filled |
/// | … any other type | an error that says so | `None` | the default | left out | empty, with `default` defaulted |
/// | something that cannot be read | an error | an error | an error | an error | unreadable |
///
/// A value of white space alone is empty. The `content` of a `<meta>`, a text in JSON and a header field count as
/// attributes; `null` in JSON counts as nothing found. An empty text that `re` takes out counts as an empty element.
///
/// # Limits
///
/// A text may have at most 4 MiB, a list at most 10,000 values with 32 MiB of text, and an error at most 20 fields
/// with 80 bytes of text each. A value of microdata is cut off at 64 KiB.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not derive `Extract`",
    label = "write `#[derive(Extract)]` above this struct"
)]
pub trait Extract: Sized {
    /// The fields of the struct, with the sources of each field.
    const PLAN: &'static ExtractPlan;

    /// Reads all fields. Returns `None` if one of them cannot be read; then the reader contains the faults.
    #[doc(hidden)]
    fn read_fields(reader: &mut FieldReader<'_, '_>) -> Option<Self>;
}

/// A struct of which a page has several values. It derives `Extract` with `#[extract(each = "SELECTOR")]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say of which elements each is one value",
    label = "write `#[extract(each = \".card\")]` above this struct"
)]
pub trait ExtractEach: Extract {}

/// A type that a field can have: one of a closed list of types, or a struct that derives [`Extract`].
#[diagnostic::on_unimplemented(
    message = "a field cannot be read as `{Self}`",
    label = "no type that a field can have",
    note = "fields are String, bool, integers, floats, Decimal, Url, Price, jiff's dates, structs that derive Extract, and Option or Vec of these",
    note = "for a type with FromStr add `parse` to its source, for any other `with = function`"
)]
pub trait FieldValue: Sized {
    /// The kind of value that this type is made from.
    const KIND: ValueKind;

    /// Makes a value of this type from the raw value of a source.
    ///
    /// # Errors
    /// When the raw value is not a value of this type.
    #[doc(hidden)]
    fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable>;

    /// Reads a field that must have a value, by [`FieldReader::single`]. This is a method of the trait so that the
    /// compiler reports a wrong type only once, at the type.
    #[doc(hidden)]
    fn single(reader: &mut FieldReader<'_, '_>, field: usize) -> Option<Self> {
        reader.single(field)
    }

    /// Reads a field that may have no value, by [`FieldReader::optional`].
    #[doc(hidden)]
    fn optional(reader: &mut FieldReader<'_, '_>, field: usize) -> Option<Option<Self>> {
        reader.optional(field)
    }

    /// Reads a field that may have several values, by [`FieldReader::list`].
    #[doc(hidden)]
    fn list(reader: &mut FieldReader<'_, '_>, field: usize) -> Option<Vec<Self>> {
        reader.list(field)
    }
}

/// The facts about a page that are not in its document. They are the values of `#[page(…)]`.
pub trait PageAround {
    /// Returns the URL that was requested, before redirects.
    fn requested_url(&self) -> &str;
    /// Returns the number of links from a seed to the page.
    fn depth(&self) -> u16;
    /// Returns the time at which the page was fetched; `None` if that is not known.
    fn fetched_at(&self) -> Option<jiff::Timestamp>;
    /// Returns the value of a header field; `None` if the field is absent or not valid text.
    fn header(&self, name: &str) -> Option<&str>;
    /// Returns whether the body was cut off at a limit.
    fn is_cut(&self) -> bool;
}

impl Document {
    /// Reads a struct from the document. For a struct with `each`, reads its first value.
    ///
    /// # Errors
    /// When fields cannot be read. The error lists all of them.
    pub fn extract<T: Extract>(&self) -> Result<T, ExtractFaults> {
        one(Subject { document: self, context: None })
    }

    /// Reads all values of a struct with `each`, in document order.
    ///
    /// # Errors
    /// When fields of any value cannot be read.
    pub fn extract_all<T: ExtractEach>(&self) -> Result<Vec<T>, ExtractFaults> {
        together(each(Subject { document: self, context: None }, Within::Page))
    }

    /// Reads all values of a struct with `each`, in document order. Each value has an error of its own.
    #[must_use]
    pub fn extract_each<T: ExtractEach>(&self) -> Vec<Result<T, ExtractFaults>> {
        each(Subject { document: self, context: None }, Within::Page)
    }

    /// Reads a struct like [`Document::extract`], and takes the values of `#[page(…)]` from `context`.
    ///
    /// # Errors
    /// When fields cannot be read.
    #[doc(hidden)]
    pub fn extract_in<T: Extract>(&self, context: &dyn PageAround) -> Result<T, ExtractFaults> {
        one(Subject { document: self, context: Some(context) })
    }

    /// Reads all values like [`Document::extract_each`], and takes the values of `#[page(…)]` from `context`.
    #[doc(hidden)]
    pub fn extract_each_in<T: ExtractEach>(&self, context: &dyn PageAround) -> Vec<Result<T, ExtractFaults>> {
        each(Subject { document: self, context: Some(context) }, Within::Page)
    }
}

impl Element<'_> {
    /// Reads a struct from this element. In the struct's selectors, `:scope` means this element.
    ///
    /// # Errors
    /// When fields cannot be read. The error lists all of them.
    pub fn extract<T: Extract>(&self) -> Result<T, ExtractFaults> {
        let subject = Subject { document: self.document(), context: None };
        reader::read(subject, Within::Element(*self), None)
    }

    /// Reads all values of a struct with `each` from the elements below this element.
    ///
    /// # Errors
    /// When fields of any value cannot be read.
    pub fn extract_all<T: ExtractEach>(&self) -> Result<Vec<T>, ExtractFaults> {
        together(self.extract_each())
    }

    /// Reads all values of a struct with `each` from the elements below this element. Each value has an error of its
    /// own.
    #[must_use]
    pub fn extract_each<T: ExtractEach>(&self) -> Vec<Result<T, ExtractFaults>> {
        each(Subject { document: self.document(), context: None }, Within::Element(*self))
    }
}

/// Reads one value from a page or an element.
fn one<T: Extract>(subject: Subject<'_>) -> Result<T, ExtractFaults> {
    let Some(css) = T::PLAN.each else { return reader::read(subject, Within::Page, None) };
    match subject.document.css(css).ok().and_then(|matches| matches.first()) {
        Some(element) => reader::read(subject, Within::Element(element), None),
        None => {
            Counter::of(T::PLAN);
            let mut faults = ExtractFaults::new();
            faults.add(FieldFault {
                field: T::PLAN.name.to_owned(),
                asked: format!("each = {css:?}"),
                found: FoundThere::Nothing,
                wanted: "".into(),
                hint: "".into(),
            });
            Err(notes::explained(faults, subject))
        }
    }
}

/// Reads all values of a struct with `each` from a page or an element.
fn each<T: ExtractEach>(subject: Subject<'_>, within: Within<'_>) -> Vec<Result<T, ExtractFaults>> {
    let css = T::PLAN.each.unwrap_or(":scope");
    // Without an element nothing else would say that the struct was looked for.
    Counter::of(T::PLAN);
    let matches = match within {
        Within::Element(element) => element.css(css),
        Within::Page | Within::Json(_) => subject.document.css(css),
    };
    // The macro has checked the selector, so there is no error here.
    let elements = matches.into_iter().flatten().enumerate();
    elements.map(|(at, element)| reader::read(subject, Within::Element(element), Some(at))).collect()
}

/// Returns all values if all of them could be read, else the faults of all values.
///
/// # Errors
/// When one of the values could not be read.
#[doc(hidden)]
pub fn together<T>(values: Vec<Result<T, ExtractFaults>>) -> Result<Vec<T>, ExtractFaults> {
    let (mut read, mut faults) = (Vec::with_capacity(values.len()), None::<ExtractFaults>);
    for value in values {
        match (value, &mut faults) {
            (Ok(value), _) => read.push(value),
            (Err(more), Some(faults)) => faults.append(more),
            (Err(first), faults @ None) => *faults = Some(first),
        }
    }
    faults.map_or(Ok(read), Err)
}

/// The functions that the code of the derive macro calls.
#[doc(hidden)]
pub mod written {
    use std::fmt::Display;
    use std::str::FromStr;

    pub use super::plan::{
        ExtractPlan, FieldPlan, FieldShape, ItemPath, JsonPath, PageFact, Piece, SourceAt, SourcePlan,
        ValueKind,
    };
    pub use super::{Extract, ExtractEach, FieldReader, FieldValue, Raw, Unreadable};
    pub use opilio_extract_grammar::{NumberForm, Segment};

    /// Returns the value that a function of the user makes from a text.
    ///
    /// # Errors
    /// When the function returns an error.
    pub fn with<T, E: Display>(
        raw: Raw<'_>,
        function: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, Unreadable> {
        let text = raw.into_text("a text")?;
        function(&text).map_err(|error| {
            Unreadable::with_hint(
                "a value that its function takes",
                super::fault::shown(&error.to_string(), 120),
            )
        })
    }

    /// Returns the value that the `FromStr` of a type makes from a text.
    ///
    /// # Errors
    /// When the `FromStr` returns an error.
    pub fn parse<T: FromStr<Err: Display>>(raw: Raw<'_>) -> Result<T, Unreadable> {
        with(raw, |text| text.trim().parse::<T>())
    }
}
