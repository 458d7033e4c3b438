//! Implements `FieldValue` for the types that a field may have. The list of these types is closed, so that the
//! compiler can name the allowed types if a field has another type.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use rust_decimal::Decimal;
use serde_json::Value;
use url::Url;

use super::FieldValue;
use super::date::{self, Dated};
use super::number::{self, NoNumber};
use super::plan::ValueKind;
use super::price::{Price, decimal_of};
use super::reader::{FieldReader, Raw, Unreadable};
use crate::link::LINK_BYTES_MAX;

/// The most bytes of text that one field may have (4 MiB).
pub(super) const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;

impl<'p> Raw<'p> {
    /// Returns the text of a raw value, for a type that is made from a text.
    ///
    /// # Errors
    /// When the value is a list or an object of JSON, or a number whose digits JSON does not keep.
    pub fn into_text(self, wanted: &'static str) -> Result<Cow<'p, str>, Unreadable> {
        let text = match self {
            Self::Text { text, .. } => text,
            Self::Json(Value::String(text)) => Cow::Borrowed(text.as_str()),
            Self::Json(Value::Number(number)) if decimal_of(number).is_some() => {
                Cow::Owned(number.to_string())
            }
            Self::Json(Value::Bool(yes)) => Cow::Borrowed(if *yes { "true" } else { "false" }),
            Self::Element(element) => Cow::Owned(element.text()),
            Self::Json(_) => return Err(Unreadable::wanted(wanted)),
        };
        if text.len() > TEXT_BYTES_MAX {
            return Err(Unreadable::wanted("a text of at most 4 MiB"));
        }
        Ok(text)
    }
}

impl FieldValue for String {
    const KIND: ValueKind = ValueKind::Text;

    fn read<'p>(raw: Raw<'p>, _: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
        raw.into_text("a text").map(Cow::into_owned)
    }
}

impl FieldValue for bool {
    const KIND: ValueKind = ValueKind::Bool;

    /// Reads a bool. An attribute without a value means `true`, as in HTML.
    fn read<'p>(raw: Raw<'p>, _: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
        const WANTED: &str = "true or false, yes or no, on or off, 1 or 0";
        let text = raw.into_text(WANTED)?;
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(Unreadable::with_hint(WANTED, "use `with = function` for other words")),
        }
    }
}

/// Returns a number in plain digits, such as `-1234.56`, from a text or a JSON number.
fn plain<'p>(raw: Raw<'p>, reader: &FieldReader<'_, 'p>, wanted: &'static str) -> Result<String, Unreadable> {
    match raw {
        Raw::Json(Value::Number(number)) => {
            let exact = decimal_of(number).map(|number| number.to_string());
            exact.ok_or_else(|| Unreadable::with_hint(wanted, "JSON does not hold all its digits"))
        }
        raw => {
            let form = reader.source().and_then(|source| source.number);
            let text = raw.into_text(wanted)?;
            number::read(&text, form).map_err(|no| Unreadable::with_hint(wanted, no.hint()))
        }
    }
}

macro_rules! whole_numbers {
    ($($type:ty, $wanted:literal;)*) => {$(
        impl FieldValue for $type {
            const KIND: ValueKind = ValueKind::Whole;

            fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
                let plain = plain(raw, reader, $wanted)?;
                // Zeros after the point are ignored, so `5.00` is a whole number, too.
                let whole = match plain.split_once('.') {
                    Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
                    _ => &plain,
                };
                whole.parse().map_err(|_| Unreadable::wanted($wanted))
            }
        }
    )*};
}

whole_numbers! {
    u8, "a whole number from 0 to 255";
    u16, "a whole number from 0 to 65535";
    u32, "a whole number from 0 to 4294967295";
    u64, "a whole number from 0 to 18446744073709551615";
    usize, "a whole number from 0";
    i8, "a whole number from -128 to 127";
    i16, "a whole number from -32768 to 32767";
    i32, "a whole number from -2147483648 to 2147483647";
    i64, "a whole number of 64 bits";
    isize, "a whole number";
}

macro_rules! floats {
    ($($type:ty)*) => {$(
        impl FieldValue for $type {
            const KIND: ValueKind = ValueKind::Float;

            fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
                const WANTED: &str = "a number";
                let read = match raw {
                    Raw::Json(Value::Number(number)) => number.to_string().parse().ok(),
                    raw => plain(raw, reader, WANTED)?.parse().ok(),
                };
                read.filter(|number: &$type| number.is_finite()).ok_or_else(|| Unreadable::wanted(WANTED))
            }
        }
    )*};
}

floats! { f32 f64 }

impl FieldValue for Decimal {
    const KIND: ValueKind = ValueKind::Decimal;

    fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
        const WANTED: &str = "a number of at most 28 digits";
        let plain = plain(raw, reader, WANTED)?;
        Self::from_str_exact(&plain).map_err(|_| Unreadable::wanted(WANTED))
    }
}

impl FieldValue for Price {
    const KIND: ValueKind = ValueKind::Price;

    fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
        const WANTED: &str = "a price such as \"12.50 €\"";
        let form = reader.source().and_then(|source| source.number);
        let read = match raw {
            Raw::Json(value) => Self::of_json(value, form),
            raw => Self::read(&raw.into_text(WANTED)?, form),
        };
        read.map_err(|no| match no {
            NoNumber::Other => {
                Unreadable::with_hint(WANTED, "take the price out of the text by `re`, if it stands in one")
            }
            no => Unreadable::with_hint(WANTED, no.hint()),
        })
    }
}

impl FieldValue for Url {
    const KIND: ValueKind = ValueKind::Url;

    /// Resolves the URL against the page and its `<base>`. Only http and https URLs are accepted, since a crawler
    /// cannot fetch other URLs.
    fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
        const WANTED: &str = "a URL of http or https";
        let document = reader.subject.document;
        let element = match &raw {
            Raw::Text { element, .. } => *element,
            Raw::Json(_) | Raw::Element(_) => None,
        };
        let text = raw.into_text(WANTED)?;
        if text.len() > LINK_BYTES_MAX {
            return Err(Unreadable::wanted("a URL of at most 8 KiB"));
        }
        let is_text = element.is_some_and(|element| element.href().is_none())
            && reader.source().is_some_and(|source| source.at.reads_text());
        if is_text {
            // The text of an element without `href` or `src` is not resolved against the page, since any words would
            // resolve to some URL.
            let url = Self::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let hint = "it has no href and no src: name the attribute by `attr`";
            return url.ok_or_else(|| Unreadable::with_hint(WANTED, hint));
        }
        let resolved = match element {
            Some(element) => document.resolve_in(&element, &text),
            None => document.resolve(&text),
        };
        resolved.ok_or_else(|| Unreadable::wanted(WANTED))
    }
}

macro_rules! dates {
    ($($type:ty)*) => {$(
        impl FieldValue for $type {
            const KIND: ValueKind = ValueKind::Date;

            fn read<'p>(raw: Raw<'p>, reader: &mut FieldReader<'_, 'p>) -> Result<Self, Unreadable> {
                let format = reader.source().and_then(|source| source.date);
                let text = raw.into_text(<$type>::WANTED)?;
                date::read(&text, format).ok_or_else(|| match format {
                    Some(format) => Unreadable::with_hint(<$type>::WANTED, format!("dates there are said to be written as {format:?}")),
                    None => Unreadable::with_hint(<$type>::WANTED, "say how it is written by `date = \"%d.%m.%Y\"`"),
                })
            }
        }
    )*};
}

dates! { Date DateTime Time Timestamp }
