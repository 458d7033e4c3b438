//! Reads dates and times, either in a given format, or in the formats of ISO 8601, RFC 3339 and RFC 2822.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::fmt::{rfc2822, temporal::Pieces};
use jiff::{Timestamp, tz::Offset};

/// A type of the crate `jiff`, for dates or times, that a field may have.
pub(super) trait Dated: Sized {
    const WANTED: &'static str;

    /// Makes a value of the parts (year, hour and so on) that a format has read; `None` if parts are missing.
    fn of_parts(parts: &BrokenDownTime) -> Option<Self>;

    /// Makes a value of a text in one of the usual formats (ISO 8601, RFC 3339, RFC 2822); `None` if it is in none
    /// of them.
    fn of_text(text: &str) -> Option<Self>;
}

/// Reads a value from a text: by `format`, if there is one, else in one of the usual formats.
pub(super) fn read<T: Dated>(text: &str, format: Option<&str>) -> Option<T> {
    let text = text.trim();
    if text.len() > BYTES_MAX {
        return None;
    }
    match format {
        Some(format) => strtime::parse(format, text).ok().and_then(|parts| T::of_parts(&parts)),
        None => T::of_text(text),
    }
}

const BYTES_MAX: usize = 200;

impl Dated for Date {
    const WANTED: &'static str = "a date";

    fn of_parts(parts: &BrokenDownTime) -> Option<Self> {
        parts.to_date().ok()
    }

    fn of_text(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok().map(|pieces| pieces.date());
        pieces.or_else(|| DateTime::of_text(text).map(DateTime::date))
    }
}

impl Dated for DateTime {
    const WANTED: &'static str = "a date with a time";

    fn of_parts(parts: &BrokenDownTime) -> Option<Self> {
        parts.to_datetime().ok()
    }

    fn of_text(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok();
        let read = pieces.and_then(|pieces| Some(pieces.date().to_datetime(pieces.time()?)));
        read.or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.datetime()))
    }
}

impl Dated for Time {
    const WANTED: &'static str = "a time";

    fn of_parts(parts: &BrokenDownTime) -> Option<Self> {
        parts.to_time().ok()
    }

    fn of_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// A point in time. A text without an offset from UTC is refused, since it does not determine a point in time.
impl Dated for Timestamp {
    const WANTED: &'static str = "an instant: a date with a time and an offset";

    fn of_parts(parts: &BrokenDownTime) -> Option<Self> {
        parts.to_timestamp().ok()
    }

    fn of_text(text: &str) -> Option<Self> {
        let read = text.parse().ok();
        read.or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())).or_else(|| {
            // Some pages write `2026-11-30 08:00:00 UTC`.
            let civil = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"))?;
            Offset::UTC.to_timestamp(DateTime::of_text(civil)?).ok()
        })
    }
}
