//! Reads what an answer's headers say about the host: `Retry-After`, and announced quotas in several
//! dialects.
//!
//! All times are relative to the answer's own `Date` (RFC 9110 §6.6.1): a server's clock may be wrong, but
//! all times in one answer come from the same clock. No function here fails: a value without a sensible
//! meaning counts as absent. If an answer has none of these headers, the only cost is one pass over the names
//! of its header fields.
//!
//! | dialect | source |
//! | --- | --- |
//! | `Retry-After` | RFC 9110 §10.2.3; decimals, RFC 3339 dates and wrong weekdays are not standard, but common |
//! | `X-RateLimit-*`, `X-Rate-Limit-*` | no standard; each vendor has its own variant |
//! | `RateLimit-Limit`, `-Remaining`, `-Reset` | draft-ietf-httpapi-ratelimit-headers up to -07 |
//! | `RateLimit: limit=…, remaining=…, reset=…` | the same, -07 |
//! | `RateLimit: "name";r=…;t=…`, `RateLimit-Policy` | the same, from -08 on |

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderValue};
use jiff::civil::{DateTime, date};
use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parameters, Parser};

use crate::verdict::{Hints, Quota};

impl Hints {
    /// Reads the hints from the headers of an answer.
    ///
    /// `wall_now_ms` is the time of receipt in Unix milliseconds; it replaces a missing or unusable `Date`.
    /// `Retry-After` is used for statuses from 300 on, except 304. With a 3xx it is the shortest wait before
    /// the target is requested. With a 202 it says when a result will be ready; that is not about the host,
    /// so it is ignored.
    #[must_use]
    pub fn read(headers: &HeaderMap, status: u16, wall_now_ms: i64) -> Self {
        let raw = RawHints::collect(headers);
        if raw.is_silent() {
            return Self::default();
        }
        let now_ms = raw.date.and_then(text).and_then(instant_ms).unwrap_or(wall_now_ms);
        let retry_after = raw
            .retry_after
            .filter(|_| status >= 300 && status != 304)
            .and_then(text)
            .and_then(|value| stated_wait(value, now_ms));
        Self { retry_after, quota: raw.quota(headers, now_ms) }
    }
}

/// The header fields that may contain a hint, collected in one pass.
#[derive(Default)]
struct RawHints<'a> {
    date: Option<&'a HeaderValue>,
    retry_after: Option<&'a HeaderValue>,
    families: [Family<'a>; 3],
    structured: Option<&'a HeaderValue>,
    policy: Option<&'a HeaderValue>,
}

/// The header fields of one naming family, such as `X-RateLimit-*`: limit, remaining and reset.
#[derive(Default, Clone, Copy)]
struct Family<'a> {
    limit: Option<&'a HeaderValue>,
    remaining: Option<&'a HeaderValue>,
    reset: Option<&'a HeaderValue>,
    /// The field that Discord sends instead of `reset`; it is always relative to now.
    reset_after: Option<&'a HeaderValue>,
}

impl<'a> RawHints<'a> {
    fn collect(headers: &'a HeaderMap) -> Self {
        let mut raw = Self::default();
        for (name, value) in headers {
            let Some(field) = raw.field(name.as_str()) else { continue };
            field.get_or_insert(value);
        }
        raw
    }

    fn field(&mut self, name: &str) -> Option<&mut Option<&'a HeaderValue>> {
        let [x, dashed, draft] = &mut self.families;
        Some(match name {
            "date" => &mut self.date,
            "retry-after" => &mut self.retry_after,
            "ratelimit" => &mut self.structured,
            "ratelimit-policy" => &mut self.policy,
            "x-ratelimit-limit" => &mut x.limit,
            "x-ratelimit-remaining" => &mut x.remaining,
            "x-ratelimit-reset" => &mut x.reset,
            "x-ratelimit-reset-after" => &mut x.reset_after,
            "x-rate-limit-limit" => &mut dashed.limit,
            "x-rate-limit-remaining" => &mut dashed.remaining,
            "x-rate-limit-reset" => &mut dashed.reset,
            "x-rate-limit-reset-after" => &mut dashed.reset_after,
            "ratelimit-limit" => &mut draft.limit,
            "ratelimit-remaining" => &mut draft.remaining,
            "ratelimit-reset" => &mut draft.reset,
            _ => return None,
        })
    }

    fn is_silent(&self) -> bool {
        self.retry_after.is_none()
            && self.structured.is_none()
            && self.families.iter().all(|family| family.remaining.is_none())
    }

    /// Returns the tightest of all announced quotas.
    fn quota(&self, headers: &HeaderMap, now_ms: i64) -> Option<Quota> {
        let policies = if self.policy.is_some() { read_policies(headers) } else { Vec::new() };
        let mut quotas: Vec<Quota> =
            self.families.iter().filter_map(|family| family.quota(now_ms, &policies)).collect();
        if self.structured.is_some() {
            read_structured(headers, now_ms, &policies, &mut quotas);
        }
        quotas.into_iter().reduce(tighter)
    }
}

impl Family<'_> {
    fn quota(&self, now_ms: i64, policies: &[Policy]) -> Option<Quota> {
        let limit = self.limit.and_then(text);
        let said = limit.and_then(first_number).map(count);
        let window = limit
            .and_then(|limit| limit.split([',', ';']).find_map(|part| part.trim().strip_prefix("w=")))
            .and_then(seconds)
            .or_else(|| window_of(policies, said));
        let after = self.reset_after.and_then(text).and_then(decimal).and_then(whole_delta);
        let reset = after.or_else(|| self.reset.and_then(text).and_then(|value| reset(value, now_ms)));
        sensible(Announced {
            limit: said,
            remaining: self.remaining.and_then(text).and_then(first_number)?,
            reset,
            window,
        })
    }
}

/// One policy of the header field `RateLimit-Policy`.
struct Policy {
    name: Option<String>,
    limit: Option<u32>,
    window: Option<Duration>,
}

/// A quota as the server announced it, not yet checked for contradictions.
struct Announced {
    limit: Option<u32>,
    remaining: f64,
    reset: Option<Duration>,
    window: Option<Duration>,
}

/// Checks an announced quota; `None` if its numbers contradict each other.
fn sensible(said: Announced) -> Option<Quota> {
    let remaining = count(said.remaining);
    // If only the window's length is given, the window ends after that length at the latest.
    let reset = said.reset.or(said.window)?;
    let longest = if remaining == 0 { SPENT_RESET_MAX } else { RESET_MAX };
    let contradicts = said.limit.is_some_and(|limit| remaining > limit)
        || said.window.is_some_and(|window| reset > window + ROUNDING)
        || reset > longest
        || (reset.is_zero() && remaining == 0);
    (!contradicts).then_some(Quota { limit: said.limit, remaining, reset, window: said.window })
}

/// Returns the quota that allows fewer requests per time. If both are spent, returns the quota that is reset
/// later.
fn tighter(a: Quota, b: Quota) -> Quota {
    let pace = |quota: &Quota| f64::from(quota.remaining) / quota.reset.as_secs_f64().max(1e-3);
    match pace(&a).total_cmp(&pace(&b)) {
        std::cmp::Ordering::Less => a,
        std::cmp::Ordering::Greater => b,
        std::cmp::Ordering::Equal if a.reset >= b.reset => a,
        std::cmp::Ordering::Equal => b,
    }
}

fn read_policies(headers: &HeaderMap) -> Vec<Policy> {
    let mut policies = Vec::new();
    for value in headers.get_all("ratelimit-policy") {
        let Ok(list) = Parser::new(value.as_bytes()).parse::<List>() else { continue };
        policies.extend(items(&list).map(|item| {
            Policy {
                name: name_of(&item.bare_item).map(str::to_owned),
                // Up to draft -07, the value of the item is the limit: `100;w=60`.
                limit: item
                    .bare_item
                    .as_integer()
                    .map(|n| count(i64::from(n) as f64))
                    .or_else(|| param(item, "q").map(count)),
                window: param(item, "w").and_then(whole_delta),
            }
        }));
    }
    policies
}

fn read_structured(headers: &HeaderMap, now_ms: i64, policies: &[Policy], quotas: &mut Vec<Quota>) {
    for value in headers.get_all("ratelimit") {
        if let Ok(list) = Parser::new(value.as_bytes()).parse::<List>() {
            quotas.extend(items(&list).filter_map(|item| service_limit(item, policies)));
        } else if let Ok(dictionary) = Parser::new(value.as_bytes()).parse::<Dictionary>() {
            quotas.extend(dictionary_quota(&dictionary, now_ms, policies));
        }
    }
}

/// Reads a quota in the form `"default";r=50;t=30` (draft -08 and later).
fn service_limit(item: &Item, policies: &[Policy]) -> Option<Quota> {
    let name = name_of(&item.bare_item);
    let remaining = param(item, "r")?;
    let policy = policies.iter().find(|policy| name.is_some() && policy.name.as_deref() == name);
    let limit = policy.and_then(|policy| policy.limit);
    let window = policy.and_then(|policy| policy.window);
    sensible(Announced { limit, remaining, reset: param(item, "t").and_then(whole_delta), window })
}

/// Reads a quota in the form `limit=100, remaining=50, reset=50` (draft -07).
fn dictionary_quota(dictionary: &Dictionary, now_ms: i64, policies: &[Policy]) -> Option<Quota> {
    let number = |key: &str| match dictionary.get(key)? {
        ListEntry::Item(item) => number_of(&item.bare_item),
        ListEntry::InnerList(_) => None,
    };
    let limit = number("limit").map(count);
    let reset = number("reset").and_then(|value| number_reset(value, now_ms));
    sensible(Announced { limit, remaining: number("remaining")?, reset, window: window_of(policies, limit) })
}

/// Returns the length of the window of the policy that has this limit.
fn window_of(policies: &[Policy], limit: Option<u32>) -> Option<Duration> {
    policies.iter().find(|policy| limit.is_some() && policy.limit == limit)?.window
}

fn items(list: &List) -> impl Iterator<Item = &Item> {
    list.iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    })
}

fn name_of(item: &BareItem) -> Option<&str> {
    item.as_string().map(|name| name.as_str()).or_else(|| item.as_token().map(|name| name.as_str()))
}

fn param(item: &Item, key: &str) -> Option<f64> {
    let params: &Parameters = &item.params;
    number_of(params.get(key)?)
}

/// Returns the value as a number, if it is a number that is not negative.
fn number_of(item: &BareItem) -> Option<f64> {
    let number = match item.as_integer() {
        Some(integer) => i64::from(integer) as f64,
        None => f64::from(item.as_decimal()?),
    };
    (number >= 0.0).then_some(number)
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(str::trim)
}

/// Reads `Retry-After`. Zero, past times and unreadable values give `None`; a huge wait is returned
/// unchanged.
fn stated_wait(value: &str, now_ms: i64) -> Option<Duration> {
    let wait = match decimal(value) {
        Some(secs) => Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX),
        None => until(instant_ms(value)?, now_ms)?,
    };
    (!wait.is_zero()).then_some(wait)
}

/// Reads a reset in any of the forms that servers use.
fn reset(value: &str, now_ms: i64) -> Option<Duration> {
    match decimal(value) {
        Some(number) => number_reset(number, now_ms),
        None => until(instant_ms(value)?, now_ms),
    }
}

/// Reads a reset given as a number: its size tells whether it is epoch milliseconds, epoch seconds or seconds
/// from now.
fn number_reset(number: f64, now_ms: i64) -> Option<Duration> {
    if number >= EPOCH_MS_FROM {
        until(number as i64, now_ms)
    } else if number >= EPOCH_SECS_FROM {
        until((number * 1e3) as i64, now_ms)
    } else {
        whole_delta(number)
    }
}

fn whole_delta(secs: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(secs).ok()
}

fn seconds(value: &str) -> Option<Duration> {
    whole_delta(decimal(value)?)
}

/// Returns the time from `now_ms` to an instant; `None` if the instant is past.
fn until(instant_ms: i64, now_ms: i64) -> Option<Duration> {
    u64::try_from(instant_ms.checked_sub(now_ms)?).ok().map(Duration::from_millis)
}

/// Reads an HTTP-date in any of its three forms, or an RFC 3339 date. Returns Unix milliseconds.
fn instant_ms(value: &str) -> Option<i64> {
    if let Some(time) = http_date(value) {
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        return i64::try_from(since.as_millis()).ok();
    }
    rfc_3339_ms(value)
}

/// Reads an HTTP-date and ignores its weekday. The date alone determines the day, and the weekday is often
/// wrong in dates that people wrote by hand, such as the last day of a century.
fn http_date(value: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value).ok().or_else(|| {
        let (weekday, rest) = value.split_at(value.find([',', ' '])?);
        let is_short = weekday.len() == 3 && WEEKDAYS.iter().any(|day| day.starts_with(weekday));
        if !is_short && !WEEKDAYS.contains(&weekday) {
            return None;
        }
        let with = |day: &str| format!("{}{rest}", if is_short { &day[..3] } else { day });
        WEEKDAYS.iter().find_map(|day| httpdate::parse_http_date(&with(day)).ok())
    })
}

/// Reads an RFC 3339 date field by field. The type `jiff::Timestamp` is not used, since its range ends a day
/// before the end of the year 9999.
fn rfc_3339_ms(value: &str) -> Option<i64> {
    let pieces = jiff::fmt::temporal::Pieces::parse(value).ok()?;
    let offset = i64::from(pieces.to_numeric_offset()?.seconds()) * 1_000;
    let local = DateTime::from_parts(pieces.date(), pieces.time()?).duration_since(EPOCH);
    i64::try_from(local.as_millis()).ok()?.checked_sub(offset)
}

/// Reads a number of digits, with or without a fraction. A sign, an exponent and `inf` are not accepted.
fn decimal(value: &str) -> Option<f64> {
    let plain = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { value.parse().ok() } else { None }
}

/// Returns the number at the start of a field: 100 in `100, 100;w=60`.
fn first_number(value: &str) -> Option<f64> {
    decimal(value.split([',', ';']).next()?.trim())
}

/// Converts a number to a count of requests, at most `u32::MAX`.
fn count(number: f64) -> u32 {
    // A cast from a float saturates at the largest `u32`.
    number as u32
}

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
/// A reset of at least this number is an epoch time; a smaller one counts as seconds from now. 10⁹ s from now
/// would be 31 years, and 10⁹ s after the epoch is the year 2001.
const EPOCH_SECS_FROM: f64 = 1e9;
/// An epoch time of at least this number is in milliseconds; a smaller one is in seconds. 10¹¹ s after the
/// epoch is the year 5138, and 10¹¹ ms after it is the year 1973.
const EPOCH_MS_FROM: f64 = 1e11;
/// The latest reset of a quota that is not spent: a quota with a later reset is ignored. Otherwise a month's
/// quota, spread evenly over the month, would stall a crawl that the server would let run.
const RESET_MAX: Duration = Duration::from_secs(25 * 3_600);
/// The latest reset of a spent quota: a spent quota with a later reset is ignored. A month is the longest
/// window in use.
const SPENT_RESET_MAX: Duration = Duration::from_secs(31 * 86_400);
/// The rounding error that is allowed for resets and windows, since servers state them in whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
