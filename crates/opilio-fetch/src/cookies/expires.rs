//! Reads the date in the attribute `Expires` of a cookie, as RFC 6265 §5.1.1 says. Servers write it in more forms than the
//! three of HTTP dates, so the day, the month, the year and the time may come in any order.

use jiff::civil::{DateTime, date};

/// Returns the date in Unix seconds, or `None` if the text is no date. A time zone is ignored: it is always UTC.
pub(super) fn read(text: &str) -> Option<i64> {
    let mut parts = DateParts::default();
    for token in text.split(is_delimiter).filter(|token| !token.is_empty()) {
        parts.add(token);
    }
    let DateParts {
        time: Some((hour, minute, second)),
        day: Some(day),
        month: Some(month),
        year: Some(year),
    } = parts
    else {
        return None;
    };
    let year = match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        _ => year,
    };
    if year < FIRST_YEAR {
        return None;
    }
    let at = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    // Not by `jiff::Timestamp`, whose range ends before the last day of the year 9999, which servers use.
    Some(at.duration_since(date(1970, 1, 1).at(0, 0, 0, 0)).as_secs())
}

/// The parts of a date that were found so far. Of each part, the first counts.
#[derive(Default)]
struct DateParts {
    time: Option<(i8, i8, i8)>,
    day: Option<i8>,
    month: Option<i8>,
    year: Option<i16>,
}

impl DateParts {
    fn add(&mut self, token: &str) {
        if self.time.is_none()
            && let Some(time) = time(token)
        {
            self.time = Some(time);
        } else if self.day.is_none()
            && let Some(day) = number(token, 1..=2)
        {
            self.day = i8::try_from(day).ok();
        } else if self.month.is_none()
            && let Some(month) = month(token)
        {
            self.month = Some(month);
        } else if self.year.is_none() {
            self.year = number(token, 2..=4);
        }
    }
}

/// Reads `hour:minute:second`, each of one or two digits. Other characters may follow.
fn time(token: &str) -> Option<(i8, i8, i8)> {
    let mut parts = token.splitn(3, ':');
    let (hour, minute, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let whole =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| number(part, 1..=2)).flatten();
    let parts = (whole(hour)?, whole(minute)?, number(rest, 1..=2)?);
    Some((i8::try_from(parts.0).ok()?, i8::try_from(parts.1).ok()?, i8::try_from(parts.2).ok()?))
}

/// Reads a number at the start of a token, if it has so many digits. Other characters may follow.
fn number(token: &str, digits: std::ops::RangeInclusive<usize>) -> Option<i16> {
    let count = token.bytes().take_while(u8::is_ascii_digit).count();
    digits.contains(&count).then(|| token[..count].parse().ok()).flatten()
}

/// Reads the name of a month, of which the first three letters count.
fn month(token: &str) -> Option<i8> {
    let name = token.get(..3)?;
    let nth = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(name))?;
    i8::try_from(nth + 1).ok()
}

fn is_delimiter(c: char) -> bool {
    matches!(c, '\t' | ' '..='/' | ';'..='@' | '['..='`' | '{'..='~')
}

/// An earlier year makes a date invalid.
const FIRST_YEAR: i16 = 1601;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_forms_that_servers_use() {
        for text in [
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wednesday, 21-Oct-15 07:28:00 GMT",
            "Wed Oct 21 07:28:00 2015",
            "Wed, 21-Oct-2015 07:28:00 GMT",
            "21 oct 2015 7:28:0",
            "2015 October 21 07:28:00 UTC",
        ] {
            assert_eq!(read(text), Some(1_445_412_480), "{text}");
        }
        assert_eq!(read("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(read("Thu, 01-Jan-70 00:00:01 GMT"), Some(1));
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT"), Some(253_402_300_799));
        assert_eq!(read("Mon, 01 Jan 1601 00:00:00 GMT"), Some(-11_644_473_600));
    }

    #[test]
    fn a_text_that_is_no_date_is_ignored() {
        for text in [
            "",
            "0",
            "-1",
            "Wed, 21 Oct 2015",
            "21 Oct 07:28:00",
            "Wed, 31 Feb 2015 07:28:00 GMT",
            "Wed, 32 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 2015 24:28:00 GMT",
            "Wed, 21 Oct 2015 07:60:00 GMT",
            "Wed, 21 Oct 1600 07:28:00 GMT",
            "Wed, 21 Oct 02015 07:28:00 GMT",
            "21 \u{fffd}ct 2015 07:28:00",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
