//! Tests of what headers announce, for each dialect.
#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use http::HeaderName;
use proptest::prelude::*;

/// 2026-10-21T07:27:00Z, in Unix milliseconds.
const NOW_MS: i64 = 1_792_567_620_000;

fn read(status: u16, headers: &[(&str, &str)]) -> Hints {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    Hints::read(&map, status, NOW_MS)
}

fn wait_ms(headers: &[(&str, &str)]) -> Option<u128> {
    read(429, headers).retry_after.map(|wait| wait.as_millis())
}

/// Reads a quota as (limit, remaining, reset in ms, window in ms).
fn quota(headers: &[(&str, &str)]) -> Option<(Option<u32>, u32, u128, Option<u128>)> {
    let quota = read(200, headers).quota?;
    Some((
        quota.limit,
        quota.remaining,
        quota.reset.as_millis(),
        quota.window.map(|window| window.as_millis()),
    ))
}

#[test]
fn retry_after_is_read_in_each_of_its_forms() {
    for (value, ms) in [
        ("120", Some(120_000)),
        (" 7 ", Some(7_000)),
        ("1.5", Some(1_500)),
        ("0.25", Some(250)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", Some(60_000)),
        ("Wednesday, 21-Oct-26 07:28:00 GMT", Some(60_000)),
        ("Wed Oct 21 07:28:00 2026", Some(60_000)),
        ("2026-10-21T07:28:00Z", Some(60_000)),
        ("2026-10-21T09:28:00.500+02:00", Some(60_500)),
        ("86400", Some(86_400_000)),
        ("0", None),
        ("0.0", None),
        ("-5", None),
        ("Wed, 21 Oct 2026 07:27:00 GMT", None),
        ("Wed, 21 Oct 2020 07:28:00 GMT", None),
        ("soon", None),
        ("", None),
        (".", None),
        ("1.2.3", None),
        ("1e3", None),
        ("inf", None),
        ("NaN", None),
        ("Wed, 32 Oct 2026 07:28:00 GMT", None),
    ] {
        assert_eq!(wait_ms(&[("retry-after", value)]), ms, "{value:?}");
    }
}

#[test]
fn a_huge_wait_is_kept_for_the_host_to_clamp() {
    let digits = "9".repeat(400);
    assert_eq!(read(429, &[("retry-after", &digits)]).retry_after, Some(Duration::MAX));
    assert!(read(503, &[("retry-after", "99999999999")]).retry_after.unwrap() > Duration::from_secs(1 << 36));
}

#[test]
fn a_date_is_a_stated_wait_however_far_ahead_and_whatever_its_weekday() {
    let century = Some(2_309_877_179_000);
    let millennia = Some(251_609_733_179_000);
    for (value, ms) in [
        // The weekday is wrong: that day is a Thursday.
        ("Fri, 31 Dec 2099 23:59:59 GMT", century),
        ("Thu, 31 Dec 2099 23:59:59 GMT", century),
        ("Fri Dec 31 23:59:59 2099", century),
        ("2099-12-31T23:59:59Z", century),
        ("Friday, 21-Oct-26 07:28:00 GMT", Some(60_000)),
        ("Mon, 21 Oct 2026 07:28:00 GMT", Some(60_000)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", millennia),
        ("Sat, 31 Dec 9999 23:59:59 GMT", millennia),
        ("9999-12-31T23:59:59Z", millennia),
        ("9999-12-31T23:59:59+00:00", millennia),
        ("Mon, 21 Oct 2020 07:28:00 GMT", None),
        ("Thu, 31 Feb 2099 23:59:59 GMT", None),
        ("Sol, 31 Dec 2099 23:59:59 GMT", None),
        ("Fri, 31 Dec 2099", None),
        ("2099-12-31T23:59:59", None),
        ("2099-12-31", None),
        (", 31 Dec 2099 23:59:59 GMT", None),
    ] {
        assert_eq!(wait_ms(&[("retry-after", value)]), ms, "{value:?}");
    }
    let own = [("retry-after", "Fri, 21 Oct 2026 07:28:00 GMT"), ("date", "Fri, 21 Oct 2026 07:27:45 GMT")];
    assert_eq!(wait_ms(&own), Some(15_000), "the answer's own clock may have a wrong weekday, too");
}

#[test]
fn a_date_is_read_against_the_answers_own_clock() {
    let at = [("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), ("date", "Wed, 21 Oct 2026 07:27:45 GMT")];
    assert_eq!(wait_ms(&at), Some(15_000));
    let broken = [("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), ("date", "yesterday")];
    assert_eq!(wait_ms(&broken), Some(60_000));
}

#[test]
fn retry_after_counts_on_redirects_refusals_and_failures_only() {
    for status in [301, 302, 307, 403, 413, 429, 500, 502, 503] {
        assert!(read(status, &[("retry-after", "5")]).retry_after.is_some(), "{status}");
    }
    for status in [200, 202, 304] {
        assert!(read(status, &[("retry-after", "5")]).retry_after.is_none(), "{status}");
    }
}

#[test]
fn each_form_of_reset_is_told_apart() {
    for (value, ms) in [
        ("60", Some(60_000)),
        ("59.25", Some(59_250)),
        ("1792567680", Some(60_000)),
        ("1792567680.5", Some(60_500)),
        ("1792567680000", Some(60_000)),
        ("Wed, 21 Oct 2026 07:28:00 GMT", Some(60_000)),
        ("2026-10-21T07:28:00Z", Some(60_000)),
        ("-60", None),
        ("1792567000", None),
        ("999999", None),
        ("4000000000", None),
        ("99999999999999999999", None),
        ("later", None),
    ] {
        for prefix in ["x-ratelimit", "x-rate-limit", "ratelimit"] {
            let names = [format!("{prefix}-limit"), format!("{prefix}-remaining"), format!("{prefix}-reset")];
            let got = quota(&[(&names[0], "40"), (&names[1], "39"), (&names[2], value)]);
            assert_eq!(got, ms.map(|ms| (Some(40), 39, ms, None)), "{prefix} {value:?}");
        }
    }
}

#[test]
fn epochs_are_read_against_the_answers_own_clock() {
    let date = ("date", "Wed, 21 Oct 2026 07:27:45 GMT");
    for value in ["1792567680", "1792567680000", "Wed, 21 Oct 2026 07:28:00 GMT"] {
        let got = quota(&[date, ("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", value)]);
        assert_eq!(got, Some((None, 3, 15_000, None)), "{value}");
    }
}

#[test]
fn the_structured_fields_are_read() {
    let minute = ("ratelimit-policy", r#""default";q=40;w=60"#);
    for (headers, expected) in [
        (vec![("ratelimit", r#""default";r=39;t=58"#), minute], Some((Some(40), 39, 58_000, Some(60_000)))),
        (vec![("ratelimit", "default;r=39;t=58"), minute], Some((Some(40), 39, 58_000, Some(60_000)))),
        (vec![("ratelimit", r#""default";r=39;t=58"#)], Some((None, 39, 58_000, None))),
        // No time to the reset is given, so the window's length is used.
        (vec![("ratelimit", r#""default";r=39"#), minute], Some((Some(40), 39, 60_000, Some(60_000)))),
        (vec![("ratelimit", r#""default";r=39"#)], None),
        // Both are rejected: a reset later than the window's end, and more requests left than the limit.
        (vec![("ratelimit", r#""default";r=39;t=3600"#), minute], None),
        (vec![("ratelimit", r#""default";r=41;t=10"#), minute], None),
        // The form of the drafts up to -07.
        (vec![("ratelimit", "limit=40, remaining=39, reset=60")], Some((Some(40), 39, 60_000, None))),
        (
            vec![
                ("ratelimit", "limit=40, remaining=39, reset=60"),
                ("ratelimit-policy", "40;w=60, 900;w=3600"),
            ],
            Some((Some(40), 39, 60_000, Some(60_000))),
        ),
        (
            vec![("ratelimit-limit", "40, 40;w=60"), ("ratelimit-remaining", "1"), ("ratelimit-reset", "12")],
            Some((Some(40), 1, 12_000, Some(60_000))),
        ),
        (vec![("ratelimit", r#""default";r=-1;t=5"#)], None),
        (vec![("ratelimit", r#""default";r="many";t=5"#)], None),
        (vec![("ratelimit", "(1 2);r=3;t=4")], None),
        (vec![("ratelimit", "limit=(1 2), remaining=3, reset=4")], Some((None, 3, 4_000, None))),
        (vec![("ratelimit", "=;=,")], None),
    ] {
        assert_eq!(quota(&headers), expected, "{headers:?}");
    }
}

#[test]
fn of_several_quotas_the_tightest_holds() {
    let policies = ("ratelimit-policy", r#""burst";q=10;w=1, "day";q=1000;w=86400"#);
    let limits = ("ratelimit", r#""burst";r=9;t=1, "day";r=100;t=40000"#);
    assert_eq!(quota(&[policies, limits]).unwrap().1, 100);
    // Both quotas are spent; the one with the later reset is used.
    let spent = ("ratelimit", r#""burst";r=0;t=1, "day";r=0;t=40000"#);
    assert_eq!(quota(&[policies, spent]).unwrap().2, 40_000_000);
    // One answer announces quotas in two dialects, in two header fields.
    let mixed = [
        ("x-ratelimit-remaining", "50"),
        ("x-ratelimit-reset", "60"),
        ("ratelimit", r#""a";r=5;t=60"#),
        ("ratelimit", r#""b";r=30;t=60"#),
    ];
    assert_eq!(quota(&mixed).unwrap().1, 5);
}

#[test]
fn nonsense_is_as_good_as_not_said() {
    for headers in [
        vec![("x-ratelimit-remaining", "39")],
        vec![("x-ratelimit-reset", "60")],
        vec![("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "60")],
        vec![("x-ratelimit-remaining", "unlimited"), ("x-ratelimit-reset", "60")],
        vec![("x-ratelimit-limit", "40"), ("x-ratelimit-remaining", "41"), ("x-ratelimit-reset", "60")],
        // A month's quota that is not spent is not spread over the month.
        vec![("x-ratelimit-remaining", "9000"), ("x-ratelimit-reset", "1800000")],
        // The quota is spent, but its reset is now, so there is nothing to wait for.
        vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "0")],
    ] {
        assert_eq!(quota(&headers), None, "{headers:?}");
    }
}

#[test]
fn a_spent_quota_of_a_month_is_believed() {
    let month = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000")];
    assert_eq!(quota(&month), Some((None, 0, 1_800_000_000, None)));
    assert_eq!(
        quota(&[("x-ratelimit-remaining", "2"), ("x-ratelimit-reset-after", "1.337")]).unwrap().2,
        1_337
    );
}

#[test]
fn an_answer_that_says_nothing_has_no_hints() {
    assert_eq!(
        read(200, &[("date", "Wed, 21 Oct 2026 07:27:45 GMT"), ("content-type", "text/html")]),
        Hints::default()
    );
}

proptest! {
    #[test]
    fn no_header_can_upset_the_reader(
        lines in proptest::collection::vec((0..NAMES.len(), proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        now in any::<i64>(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, bytes) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                headers.append(NAMES[name], value);
            }
        }
        let _ = Hints::read(&headers, 429, now);
    }

    #[test]
    fn nothing_believed_is_beyond_its_bounds(
        lines in proptest::collection::vec((0..NAMES.len(), "[0-9]{1,14}(\\.[0-9])?|\"a\";[rtqw]=[0-9]{1,6};[rtqw]=[0-9]{1,6}"), 0..8),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(NAMES[name], value.parse().unwrap());
        }
        if let Some(quota) = Hints::read(&headers, 200, NOW_MS).quota {
            prop_assert!(quota.reset <= SPENT_RESET_MAX);
            prop_assert!(quota.limit.is_none_or(|limit| quota.remaining <= limit));
        }
    }
}

const NAMES: [&str; 12] = [
    "date",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-rate-limit-remaining",
    "x-rate-limit-reset",
    "ratelimit-remaining",
    "ratelimit-reset",
];
