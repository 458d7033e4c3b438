//! Reads values as people write them: times (`500ms`, `30s`, `5m`, `1h`), sizes (`10MiB`, `500KB`), statuses,
//! header fields. Also writes times and sizes in this way.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opilio_engine::Expectation;

/// Reads a time, which may be zero.
///
/// # Errors
/// When the text is not a number with a unit, or the time is longer than ten years.
pub fn duration(text: &str) -> Result<Duration, String> {
    let refuse =
        || format!("{text:?} is not a time: write a number and ms, s, m, h or d, such as 500ms, 30s or 5m");
    let (number, unit) = split(text).ok_or_else(refuse)?;
    let unit_secs = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(refuse()),
    };
    let secs = number * unit_secs;
    if secs > DURATION_SECS_MAX {
        return Err(format!("{text:?} is longer than ten years"));
    }
    // Rounded to whole microseconds, so that 1.1s does not become 1.099999999s.
    let micros = (secs * 1e6).round();
    Ok(Duration::from_micros(micros as u64))
}

/// Reads a time that is not zero.
///
/// # Errors
/// As [`duration`], and when the time is shorter than a millisecond.
pub fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        span if span < Duration::from_millis(1) => Err(format!("{text:?} is too short: 1ms is the least")),
        span => Ok(span),
    }
}

/// Reads how often a field is expected to be filled, as in `price=98%` or `Product.price=0.98`.
///
/// # Errors
/// When the text does not name a field and a share.
pub fn expectation(text: &str) -> Result<Expectation, String> {
    let refuse = || format!("{text:?} is not a field and a share: write Product.price=98%, or price=98%");
    let (field, share) = text.split_once('=').ok_or_else(refuse)?;
    let (field, share) = (field.trim(), share.trim());
    let number = |digits: &str| digits.trim().parse::<f64>().map_err(|_| refuse());
    let value = match share.strip_suffix('%') {
        Some(percent) => number(percent)? / 100.0,
        None => number(share)?,
    };
    let expectation = Expectation { field: field.to_owned(), share: value };
    match expectation.is_share() {
        _ if field.is_empty() => Err(refuse()),
        true => Ok(expectation),
        false if share.ends_with('%') => Err(format!("{share} is not a share: 100% is the most")),
        false => Err(format!("{share} is not a share from 0 to 1: for per cent, write {share}%")),
    }
}

/// Reads a number of bytes. Its unit is `KB`, `MB` or `GB` (powers of 1000), `KiB`, `MiB` or `GiB` (powers of
/// 1024), `B`, or none.
///
/// # Errors
/// When the text is not a size, or the size is not between 1 byte and 1 TiB.
pub fn bytes(text: &str) -> Result<u64, String> {
    let refuse = || {
        format!("{text:?} is not a size: write a number and B, KB, KiB, MB, MiB, GB or GiB, such as 10MiB")
    };
    let (number, unit) = split(text).ok_or_else(refuse)?;
    let unit_bytes: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(refuse()),
    };
    let size = (number * unit_bytes as f64).round();
    if !(1.0..=BYTES_MAX).contains(&size) {
        return Err(format!("{text:?} is out of range: from 1 B to 1024 GiB"));
    }
    Ok(size as u64)
}

/// Reads a memory limit, in the same form as a number of bytes.
///
/// # Errors
/// As [`bytes`], and when the limit is lower than a crawl needs.
pub fn memory_limit(text: &str) -> Result<u64, String> {
    let least = opilio_engine::MEMORY_LIMIT_MIN;
    match bytes(text)? {
        size if size < least => Err(format!("{text:?} is too little: {} MiB is the least", least >> 20)),
        size => Ok(size),
    }
}

/// Reads an HTTP status for a setting that lists statuses of failures.
///
/// # Errors
/// When the text is not a status, or is a status that pages have.
pub fn status(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(number @ (200 | 304)) => Err(format!("{number} is the status of a page")),
        Ok(number @ 201..=999) => Ok(number),
        _ => Err(format!("{text:?} is not a status: write numbers from 201 to 999, such as 403,999")),
    }
}

/// Reads a header field: `Name: value`.
///
/// # Errors
/// When HTTP does not allow the name or the value. The message does not repeat the value, which may be a secret.
pub fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is not a name of a header field"))?;
    let value = value.trim().parse().map_err(|_| format!("the value of {name} is none that HTTP allows"))?;
    Ok((name, value))
}

/// Returns a size as text for people, as in `512 B` or `1.50 MiB`.
pub fn show_bytes(bytes: u64) -> String {
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut size, mut unit) = (bytes as f64 / 1_024.0, 0);
    while size >= 1_024.0 && unit + 1 < BINARY_UNITS.len() {
        (size, unit) = (size / 1_024.0, unit + 1);
    }
    format!("{size:.2} {}", BINARY_UNITS[unit])
}

/// Returns a time as text for people.
pub fn show_duration(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..60 => format!("{:.1} s", span.as_secs_f64()),
        60..3_600 => format!("{} min {:02} s", secs / 60, secs % 60),
        _ => format!("{} h {:02} min", secs / 3_600, secs % 3_600 / 60),
    }
}

const BINARY_UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];

/// Splits a text into its number and its unit. Allows digits and at most one decimal point, so neither a sign nor
/// `inf` is read.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim_start()))
}

const DURATION_SECS_MAX: f64 = 10.0 * 366.0 * 86_400.0;
const BYTES_MAX: f64 = (1u64 << 40) as f64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_in_per_cent_or_from_0_to_1() {
        let read = |text| expectation(text).map(|Expectation { field, share }| (field, share));
        assert_eq!(read("price=98%"), Ok(("price".to_owned(), 0.98)));
        assert_eq!(read("Product.price = 99.5 %"), Ok(("Product.price".to_owned(), 0.995)));
        assert_eq!(read("price=0.5"), Ok(("price".to_owned(), 0.5)));
        assert_eq!(
            read("price=98"),
            Err("98 is not a share from 0 to 1: for per cent, write 98%".to_owned())
        );
        for wrong in
            ["price", "price=", "=98%", "price=much", "price=-1%", "price=101%", "price=NaN", "price=%"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_times() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1.1s", 1_100),
            ("0s", 0),
            ("1 d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1.2.3s", "infs", "1e3s", "5 parsecs", "9999999d"] {
            assert!(duration(text).is_err_and(|error| error.contains(&format!("{text:?}"))), "{text}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn reads_sizes() {
        for (text, size) in [
            ("10MiB", 10 << 20),
            ("500KB", 500_000),
            ("1gb", 1_000_000_000),
            ("7", 7),
            ("7B", 7),
            ("1.5KiB", 1_536),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "MiB", "-1B", "0", "10 bananas", "99999999GiB"] {
            assert!(bytes(text).is_err_and(|error| error.contains(&format!("{text:?}"))), "{text}");
        }
    }

    #[test]
    fn refuses_a_memory_limit_that_no_crawl_can_keep_to() {
        assert_eq!(memory_limit("512MiB"), Ok(512 << 20));
        assert_eq!(memory_limit("16MiB"), Ok(16 << 20));
        assert_eq!(memory_limit("512"), Err("\"512\" is too little: 16 MiB is the least".to_owned()));
        assert!(memory_limit("banana").is_err_and(|error| error.contains("is not a size")));
    }

    #[test]
    fn reads_statuses() {
        for (text, number) in [("403", 403), (" 999 ", 999), ("202", 202), ("302", 302)] {
            assert_eq!(status(text), Ok(number));
        }
        for text in ["", "0", "100", "199", "200", "304", "1000", "-403", "4xx", "403 999"] {
            assert!(status(text).is_err_and(|error| error.contains("status")), "{text}");
        }
    }

    #[test]
    fn shows_what_people_read() {
        assert_eq!(show_duration(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(show_duration(Duration::from_secs(125)), "2 min 05 s");
        assert_eq!(show_duration(Duration::from_secs(3_725)), "1 h 02 min");
        assert_eq!(show_bytes(1_536), "1.50 KiB");
    }
}
