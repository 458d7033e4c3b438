//! Recognises URLs that look like those of an endless site, by repeated parts or by months far in the future.
//!
//! A trap is a site that makes new URLs for ever, mostly by mistake: a relative link that makes its own path longer,
//! a calendar with a link to the next month, or a parameter that each page adds once more. These patterns can be seen
//! in the URL itself, so no page has to be fetched to find them. If all pages of a trap have the same content, the
//! trap is found after a few pages. Any other trap costs as many pages as the crawl allows for one host.

use opilio_frontier::Filtered;
use url::{Position, Url};

/// The limits above which a URL counts as a trap. Links to such URLs are not followed; seeds may have any URL.
///
/// ```
/// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
/// use opilio::{Scope, TrapRules};
///
/// let scope = Scope::new().traps(TrapRules { segments_max: 12, ..TrapRules::default() });
/// let trusting = Scope::new().traps(TrapRules::none());
/// # let _ = (scope, trusting);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrapRules {
    /// The most repetitions in a row of a block of path segments (default: 3). A block is one or more segments:
    /// `/a/a/a/a` and `/a/b/a/b/a/b/a/b` are traps, as in the crawler Heritrix.
    pub in_a_row_max: usize,
    /// The most occurrences of one segment anywhere in a path (default: 5). Example: `/a/x/a/y/a/…`.
    pub same_segment_max: usize,
    /// The most segments of a path (default: 32).
    pub segments_max: usize,
    /// The most occurrences of one name with the same value in a query (default: 3).
    pub same_parameter_max: usize,
    /// The most parameters of a query (default: 64).
    pub parameters_max: usize,
    /// The most times that a percent escape may itself be escaped (default: 3). If each page writes its own URL into
    /// a parameter such as `return`, the escapes grow to `%2525252F`.
    pub escapes_max: usize,
    /// The most pages of a host that may have the same content, byte for byte (default: 5). The links of further
    /// pages with that content are not followed. Such traps occur when a "not found" page has the status 200 and
    /// relative links: each of its links is then a new URL of the same page. Each run counts from 0.
    pub same_content_max: u32,
    /// The number of years ahead of the crawl's beginning up to which the links of a calendar are followed (default:
    /// 5). Applies only if the URL of the page and the URL of the link both hold a year and a month.
    pub calendar_years: u16,
}

impl Default for TrapRules {
    fn default() -> Self {
        Self {
            in_a_row_max: 3,
            same_segment_max: 5,
            segments_max: 32,
            same_parameter_max: 3,
            parameters_max: 64,
            escapes_max: 3,
            same_content_max: 5,
            calendar_years: 5,
        }
    }
}

impl TrapRules {
    /// Returns rules without any limits, so that no URL counts as a trap.
    #[must_use]
    pub fn none() -> Self {
        Self {
            in_a_row_max: usize::MAX,
            same_segment_max: usize::MAX,
            segments_max: usize::MAX,
            same_parameter_max: usize::MAX,
            parameters_max: usize::MAX,
            escapes_max: usize::MAX,
            same_content_max: u32::MAX,
            calendar_years: u16::MAX,
        }
    }

    /// Returns which kind of trap the path or query of this URL looks like, or `None`.
    pub(crate) fn catches(&self, url: &Url) -> Option<Filtered> {
        if self.path_is_trap(url.path()) {
            return Some(Filtered::TrapPath);
        }
        url.query().is_some_and(|query| self.query_is_trap(query)).then_some(Filtered::TrapQuery)
    }

    /// Returns a refusal if the URL of a link holds a month that is too far ahead of `year`. The caller has checked
    /// that the URL of the page holds a month, too.
    ///
    /// Only a range of 25 years is refused, not all later years. The links of a calendar lead from month to month, so
    /// they must enter this range. A number of four digits that is not a year is mostly outside of this range.
    pub(crate) fn catches_month(&self, to: &Url, year: u16) -> Option<Filtered> {
        let from = year.saturating_add(self.calendar_years);
        let closed = from.saturating_add(1)..=from.saturating_add(CALENDAR_BAND);
        let far =
            self.calendar_years < u16::MAX && month_of(to).is_some_and(|(year, _)| closed.contains(&year));
        far.then_some(Filtered::TrapCalendar)
    }

    fn path_is_trap(&self, path: &str) -> bool {
        if is_escaped_over(path, self.escapes_max) {
            return true;
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let count = path.bytes().filter(|byte| *byte == b'/').count() + 1;
        if count > self.segments_max {
            return true;
        }
        if count <= self.in_a_row_max.min(self.same_segment_max) {
            return false;
        }
        let segments: Vec<&str> = path.split('/').collect();
        stands_in_a_row(&segments, self.in_a_row_max) || stands_too_often(&segments, self.same_segment_max)
    }

    fn query_is_trap(&self, query: &str) -> bool {
        if is_escaped_over(query, self.escapes_max) {
            return true;
        }
        let count = query.bytes().filter(|byte| *byte == b'&').count() + 1;
        if count > self.parameters_max {
            return true;
        }
        if count <= self.same_parameter_max {
            return false;
        }
        let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        stands_too_often(&pairs, self.same_parameter_max)
    }
}

/// Returns whether a block of one or more pieces occurs more than `max` times in a row.
fn stands_in_a_row(pieces: &[&str], max: usize) -> bool {
    let longest = pieces.len() / max.saturating_add(1);
    (1..=longest).any(|block| {
        // If many pieces in a row equal the piece that is `block` places further on, a block is repeated.
        let mut again = 0;
        pieces.iter().zip(&pieces[block..]).any(|(one, other)| {
            again = if one == other { again + 1 } else { 0 };
            again >= block * max
        })
    })
}

/// Returns whether a non-empty piece occurs more than `max` times.
fn stands_too_often(pieces: &[&str], max: usize) -> bool {
    if pieces.len() <= max {
        return false;
    }
    let mut sorted: Vec<&str> = pieces.iter().copied().filter(|piece| !piece.is_empty()).collect();
    sorted.sort_unstable();
    sorted.windows(max + 1).any(|window| window.first() == window.last())
}

/// Returns whether the text has a percent sign that was escaped more than `max` times, such as `%2525…`.
fn is_escaped_over(text: &str, max: usize) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("%25") {
        let times = rest.as_bytes()[at + 1..].chunks(2).take_while(|pair| *pair == b"25").count();
        if times > max {
            return true;
        }
        rest = &rest[at + 1 + 2 * times..];
    }
    false
}

/// Returns the year and the month in a URL such as `/2031/07`, `/2031-07-01` or `?year=2031&month=7`.
pub(crate) fn month_of(url: &Url) -> Option<(u16, u8)> {
    let text = &url[Position::BeforePath..Position::AfterQuery];
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        let Some(year) = year(word) else { continue };
        // The word after the year is the month.
        let mut after = words.clone();
        let next = after.next()?;
        let named = next.eq_ignore_ascii_case("month") || next.eq_ignore_ascii_case("m");
        if let Some(month) = month(if named { after.next()? } else { next }) {
            return Some((year, month));
        }
    }
    None
}

fn year(word: &str) -> Option<u16> {
    let all_digits = word.len() == 4 && word.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| word.parse().ok()).flatten()
}

fn month(word: &str) -> Option<u8> {
    let short = word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    short.then(|| word.parse().ok()).flatten().filter(|month| (1..=12).contains(month))
}

/// The number of years in the refused range. No calendar link leads further than this in one step.
const CALENDAR_BAND: u16 = 25;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn caught(path: &str) -> Option<Filtered> {
        TrapRules::default().catches(&Url::parse("http://a.test").unwrap().join(path).unwrap())
    }

    #[test]
    fn paths_that_say_the_same_again_and_again_are_traps() {
        for trap in [
            "/a/a/a/a",
            "/x/a/a/a/a/y",
            "/a/b/a/b/a/b/a/b/",
            "/en/shop/a/b/c/a/b/c/a/b/c/a/b/c/page.html",
            "/p/////q",
            "/a/1/a/2/a/3/a/4/a/5/a",
            "/r/%252525252F",
        ] {
            assert_eq!(caught(trap), Some(Filtered::TrapPath), "{trap}");
        }
        let deep: String = (0..33).map(|n| format!("/{n}")).collect();
        assert_eq!(caught(&deep), Some(Filtered::TrapPath));
    }

    #[test]
    fn paths_that_people_make_are_none() {
        for path in [
            "/",
            "/a/a/a",
            "/archive/11/11/11/",
            "/a/b/a/b/a/b/",
            "/2026/11/25/eleven/11",
            "/wiki/Duran_Duran/Duran/Duran",
            "/web/2020/http://example.com//x",
            "/en/docs/en/latest/en/index.html",
            "/a%20b/100%25/x",
        ] {
            assert_eq!(caught(path), None, "{path}");
        }
        let deep: String = (0..32).map(|n| format!("/{n}")).collect();
        assert_eq!(caught(&deep), None);
    }

    #[test]
    fn queries_that_grow_for_ever_are_traps() {
        let many: String = (0..65).map(|n| format!("p{n}={n}&")).collect();
        for trap in [
            "/?a=1&a=1&a=1&a=1",
            "/s?x=1&f=red&f=red&f=red&f=red&y=2",
            &format!("/?{many}"),
            "/?r=%252525252Flogin",
        ] {
            assert_eq!(caught(trap), Some(Filtered::TrapQuery), "{trap}");
        }
        for query in ["/?", "/?a=1&b=1&c=1&d=1", "/?id=1&id=2&id=3&id=4&id=5", "/?&&&&&&", "/?r=%25252F"] {
            assert_eq!(caught(query), None, "{query}");
        }
    }

    #[test]
    fn months_are_read_from_paths_and_queries() {
        let month = |path: &str| month_of(&Url::parse("http://a.test").unwrap().join(path).unwrap());
        assert_eq!(month("/calendar/2026/11"), Some((2026, 11)));
        assert_eq!(month("/events/2031-7-01/?view=day"), Some((2031, 7)));
        assert_eq!(month("/cal?year=2031&month=07"), Some((2031, 7)));
        assert_eq!(month("/cal?y=2031&m=12&d=1"), Some((2031, 12)));
        for other in ["/calendar/2026/13", "/p/20261/11", "/2026", "/x/2026/nov", "/?month=11&year=2026"] {
            assert_eq!(month(other), None, "{other}");
        }
    }

    #[test]
    fn a_calendar_is_followed_for_some_years_and_no_further() {
        let rules = TrapRules::default();
        let to =
            |path: &str| rules.catches_month(&Url::parse("http://a.test").unwrap().join(path).unwrap(), 2026);
        assert_eq!(to("/calendar/2031/12"), None);
        assert_eq!(to("/calendar/2032/01"), Some(Filtered::TrapCalendar));
        assert_eq!(to("/calendar/2056/12"), Some(Filtered::TrapCalendar));
        assert_eq!(to("/code/4500/11"), None);
        assert_eq!(to("/archive/1912/04"), None);
        assert_eq!(to("/about"), None);
    }

    #[test]
    fn who_wants_everything_gets_it() {
        let url = Url::parse(&format!("http://a.test{}?{}", "/a".repeat(500), "a=1&".repeat(500))).unwrap();
        assert_eq!(TrapRules::none().catches(&url), None);
        assert_eq!(TrapRules::none().catches_month(&Url::parse("http://a.test/2040/1").unwrap(), 2026), None);
    }

    proptest! {
        #[test]
        fn without_repetition_nothing_is_a_trap(
            segments in proptest::collection::hash_set("[a-z0-9]{1,6}", 0..32),
            names in proptest::collection::hash_set("[a-z]{1,6}", 0..64),
        ) {
            let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            let query: Vec<String> = names.iter().map(|name| format!("{name}=1")).collect();
            let url = Url::parse(&format!("http://a.test{path}?{}", query.join("&"))).unwrap();
            prop_assert_eq!(TrapRules::default().catches(&url), None);
        }

        #[test]
        fn whatever_grows_is_caught_after_a_bounded_number_of_steps(
            head in "(/[a-z]{1,3}){0,3}", step in proptest::collection::vec("[a-z]{0,3}", 1..5), query: bool,
        ) {
            let mut grown = format!("http://a.test{head}{}", if query { "?" } else { "" });
            let mut caught_at = None;
            for count in 1..=40 {
                grown += &if query { format!("&{}=1", step.concat()) } else { format!("/{}", step.join("/")) };
                if TrapRules::default().catches(&Url::parse(&grown).unwrap()).is_some() {
                    caught_at = Some(count);
                    break;
                }
            }
            prop_assert!(caught_at.is_some_and(|count| count <= 5), "{}: {:?}", grown, caught_at);
        }

        #[test]
        fn a_row_is_found_wherever_it_stands(
            before in proptest::collection::vec(0u8..9, 0..6), block in proptest::collection::vec(10u8..19, 1..4),
            after in proptest::collection::vec(20u8..29, 0..6), times in 1usize..8,
        ) {
            let numbers = [before, block.repeat(times), after].concat();
            let pieces: Vec<String> = numbers.iter().map(u8::to_string).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            if times > 3 {
                prop_assert!(stands_in_a_row(&pieces, 3));
            }
            if pieces.iter().collect::<HashSet<_>>().len() == pieces.len() {
                prop_assert!(!stands_in_a_row(&pieces, 3));
            }
        }
    }
}
