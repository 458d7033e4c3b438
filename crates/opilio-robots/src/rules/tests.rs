//! Tests of robots.txt: the table of cases, properties, and limits.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use proptest::prelude::*;
use url::Url;

use super::cases::CASES;
use super::{ROBOTS_BYTES_MAX, Robots, STARRED_MAX, product_token};

#[test]
fn decides_every_case_of_the_table() {
    let mut wrong = Vec::new();
    for case in CASES {
        let robots = Robots::parse(case.file, case.user_agent);
        for (path, allowed) in case.paths {
            if robots.allows(path) != *allowed {
                wrong.push(format!("{}: {path} should be {allowed}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn decides_the_table_alike_for_all_line_ends() {
    for case in CASES.iter().filter(|case| !case.file.contains(&b'\r')) {
        let expected = Robots::parse(case.file, case.user_agent);
        for end in [&b"\r\n"[..], b"\r"] {
            let file = case.file.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(end);
            assert_eq!(Robots::parse(&file, case.user_agent), expected, "{}", case.name);
        }
    }
}

fn utf16(text: &str, octets: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(octets).collect()
}

#[test]
fn decides_the_table_alike_in_utf_16_with_its_mark() {
    let ends: [fn(u16) -> [u8; 2]; 2] = [u16::to_le_bytes, u16::to_be_bytes];
    for case in CASES {
        let Ok(text) = std::str::from_utf8(case.file) else { continue };
        let text = text.trim_start_matches('\u{feff}');
        for octets in ends {
            let robots = Robots::parse(&utf16(text, octets), case.user_agent);
            for (path, allowed) in case.paths {
                assert_eq!(robots.allows(path), *allowed, "{}: {path}", case.name);
            }
        }
    }
    for octets in ends {
        // The files contain letters beyond ASCII, each kind of line end, and an odd byte at the end.
        for end in ["\n", "\r\n", "\r"] {
            let lines = ["User-agent: *", "Disallow: /ツ", "Disallow: /a", "Sitemap: http://a.example/s.xml"];
            let mut file = utf16(&lines.join(end), octets);
            file.push(b'x');
            let robots = Robots::parse(&file, "Opilio");
            assert!(!robots.allows("/%E3%83%84") && !robots.allows("/a") && robots.allows("/b"), "{end:?}");
            assert_eq!(robots.sitemaps().len(), 1);
        }
        assert_eq!(Robots::parse(&utf16("", octets), "Opilio"), Robots::allow_all());
        // A file that is too long is cut at the last line end within the limit.
        let line = "Disallow: /wide/";
        let long = format!("User-agent: *\nDisallow: /a\n#{}\n{line}", "x".repeat(ROBOTS_BYTES_MAX / 2 - 40));
        let robots = Robots::parse(&utf16(&long, octets), "Opilio");
        assert!(!robots.allows("/a") && robots.allows("/wider"), "cut in the last line");
    }
}

#[test]
fn takes_the_product_token_of_a_user_agent() {
    for (user_agent, token) in [
        ("Opilio", "Opilio"),
        ("Opilio/0.1 (+https://opilio.example)", "Opilio"),
        (" my-bot_2 x", "my-bot_2"),
        ("Mozilla/5.0 (compatible; Bot/2.1; +http://b.example)", "Bot"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla"),
        ("Mozilla/5.0 (compatible; )", "Mozilla"),
        ("", ""),
        ("(nobody)", ""),
    ] {
        assert_eq!(product_token(user_agent), token, "{user_agent:?}");
    }
}

#[test]
fn only_the_star_speaks_to_a_crawler_without_a_token() {
    let file = b"User-agent: \nDisallow: /x\nUser-agent: *\nDisallow: /y\n";
    let robots = Robots::parse(file, "");
    assert!(robots.allows("/x"));
    assert!(!robots.allows("/y"));
}

#[test]
fn reads_the_crawl_delay_of_its_own_groups() {
    let seconds = |file: &str| Robots::parse(file.as_bytes(), "FooBot").crawl_delay();
    for (file, expected) in [
        ("User-agent: *\nCrawl-delay: 2.5\n", Some(2_500)),
        ("user-agent: foobot\ncrawl-DELAY:10 # slow\n", Some(10_000)),
        ("user-agent: foobot\ncrawl-delay 3\n", Some(3_000)),
        ("user-agent: foobot\ncrawl-delay: 10s\n", Some(10_000)),
        // If two groups are for the same agent, the larger of their delays applies.
        ("user-agent: foobot\ncrawl-delay: 9\nuser-agent: foobot\ncrawl-delay: 1\n", Some(9_000)),
        // A group for this crawler replaces the `*` group, including its delay.
        ("user-agent: *\ncrawl-delay: 9\ndisallow: /x\nuser-agent: foobot\ndisallow:\n", None),
        // A delay applies only to the agents named before it, though the rules apply to the whole group.
        ("user-agent: a\ncrawl-delay: 9\nuser-agent: foobot\ndisallow: /x\n", None),
        // Delays of other agents that are named right before or after this crawler do not apply.
        ("user-agent: foobot\ncrawl-delay: 1\n\nuser-agent: *\ncrawl-delay: 60\n", Some(1_000)),
        ("user-agent: *\ncrawl-delay: 60\nuser-agent: foobot\ncrawl-delay: 1\n", Some(1_000)),
        ("user-agent: foobot\nuser-agent: b\ncrawl-delay: 1\nuser-agent: c\ncrawl-delay: 60\n", Some(1_000)),
        ("user-agent: b\nuser-agent: foobot\ncrawl-delay: 1\nuser-agent: *\ndisallow: /x\n", Some(1_000)),
        ("user-agent: b\nuser-agent: *\ncrawl-delay: 7\nuser-agent: c\ncrawl-delay: 60\n", Some(7_000)),
        ("user-agent: foobot\ndisallow: /x\nuser-agent: *\ncrawl-delay: 60\n", None),
        ("user-agent: foobot\ncrawl-delay: soon\nuser-agent: *\ncrawl-delay: 60\n", None),
        ("user-agent: *\ncrawl-delay: 60\nuser-agent: foobot\nallow: /\n", None),
        // A delay applies to all agents that are listed before it. The delay of a group may come after the
        // group's rules.
        ("user-agent: foobot\nuser-agent: *\ncrawl-delay: 60\n", Some(60_000)),
        ("user-agent: foobot\ndisallow: /x\ncrawl-delay: 1\nuser-agent: *\ncrawl-delay: 60\n", Some(1_000)),
        ("user-agent: foobot\ncrawl-delay: 1\ndisallow: /x\ncrawl-delay: 2\n", Some(2_000)),
        // If several groups name this crawler, the largest delay applies, whatever lines are between the
        // groups.
        (
            "user-agent: foobot\ncrawl-delay: 1\nuser-agent: *\ncrawl-delay: 60\nuser-agent: foobot\ncrawl-delay: 3\n",
            Some(3_000),
        ),
        ("user-agent: *\ncrawl-delay: 0\n", Some(0)),
        ("user-agent: *\ncrawl-delay: -1\n", None),
        ("user-agent: *\ncrawl-delay: soon\n", None),
        ("user-agent: *\ncrawl-delay: .\n", None),
        ("user-agent: *\ncrawl-delay: 1.2.3\n", None),
        ("crawl-delay: 5\n", None),
    ] {
        assert_eq!(seconds(file), expected.map(Duration::from_millis), "{file:?}");
    }
    let huge = format!("user-agent: *\ncrawl-delay: {}\n", "9".repeat(400));
    assert_eq!(seconds(&huge), None);
}

#[test]
fn lists_the_sitemaps_of_the_whole_file() {
    let file = b"Sitemap: https://a.example/1.xml\nUser-agent: other\nDisallow: /\n\
        site-map: https://a.example/2.xml # second\nSITEMAP https://a.example/3.xml\n\
        Sitemap: https://a.example/1.xml\nSitemap:\nSitemap: /relative.xml\n";
    let robots = Robots::parse(file, "FooBot");
    assert_eq!(
        robots.sitemaps(),
        ["https://a.example/1.xml", "https://a.example/2.xml", "https://a.example/3.xml", "/relative.xml"]
    );
    let summary = serde_json::to_string(&Robots::default().summary()).unwrap();
    assert_eq!(summary, r#"{"crawl_delay_ms":null,"sitemaps":[]}"#);
}

#[test]
fn bounds_the_sitemaps() {
    let lines: String = (0..5_000).map(|n| format!("Sitemap: https://a.example/{n}\n")).collect();
    assert_eq!(Robots::parse(lines.as_bytes(), "x").sitemaps().len(), 1_000);
}

#[test]
fn rules_beyond_what_can_be_compared_forbid_more_and_never_less() {
    let count = STARRED_MAX + 1_000;
    let mut file = "user-agent: *\ndisallow: /exact\n".to_owned();
    file.extend((0..count).map(|n| format!("disallow: /dir{}/*{n:05}\n", n % 2)));
    file.push_str("allow: /dir0/*x\n");
    let robots = Robots::parse(file.as_bytes(), "x");
    assert_eq!(robots.widened(), 1_001);
    assert!(robots.allows("/elsewhere"));
    assert!(!robots.allows("/exact"));
    for n in 0..count {
        assert!(!robots.allows(&format!("/dir{}/a{n:05}", n % 2)), "{n}");
    }
    let few = Robots::parse(b"user-agent: *\ndisallow: /*a\nallow: /*ab\n", "x");
    assert!(few.allows("/ab") && !few.allows("/a") && few.widened() == 0);
}

proptest! {
    #[test]
    fn widening_allows_nothing_that_was_forbidden(
        lines in prop::collection::vec(("/[ab*?]{0,4}\\$?", any::<bool>()), 1..12),
        paths in prop::collection::vec("/[ab?]{0,5}", 20),
        max in 0usize..4,
    ) {
        let line = |(pattern, allow): &(String, bool)| {
            format!("{}: {pattern}\n", if *allow { "allow" } else { "disallow" })
        };
        let file: String = lines.iter().map(line).collect();
        let robots = Robots::parse(format!("user-agent: *\n{file}").as_bytes(), "x");
        let mut rules = robots.rules.to_vec();
        super::widen(&mut rules, max);
        let wider = Robots { rules: rules.into(), ..Robots::default() };
        for path in &paths {
            prop_assert!(robots.allows(path) || !wider.allows(path), "{path} in {file}");
        }
    }
}

#[test]
fn reads_500_kib_and_cuts_at_a_line_end() {
    let mut file = b"User-agent: *\nDisallow: /first\n".to_vec();
    file.extend(b"#".repeat(ROBOTS_BYTES_MAX - file.len() - 12));
    file.extend(b"\nDisallow: /second\nDisallow: /third\n");
    let robots = Robots::parse(&file, "x");
    assert!(!robots.allows("/first"));
    // The file is cut in the middle of a line, after `Disallow: /`. The part before the cut would forbid the
    // whole site.
    assert!(robots.allows("/second"));
    assert!(robots.allows("/third"));
}

#[test]
fn ignores_what_is_past_the_bound_of_a_line() {
    let long = "/".to_owned() + &"a".repeat(2083 * 8 - "disallow: ".len() - 2);
    let file = format!("user-agent: FooBot\ndisallow: {long}/qux\nallow: /x\n");
    let robots = Robots::parse(file.as_bytes(), "FooBot");
    assert!(robots.allows("/fux"));
    assert!(!robots.allows(&format!("{long}/fux")));
}

#[test]
fn says_what_missing_and_unreachable_files_mean() {
    assert!(Robots::allow_all().allows("/x"));
    assert!(!Robots::disallow_all().allows("/x"));
    assert!(Robots::disallow_all().allows("/robots.txt"));
}

#[test]
fn takes_urls_and_careless_paths() {
    let robots = Robots::parse(b"user-agent: *\ndisallow: /x?a\ndisallow: /y$\n", "x");
    let url = |text: &str| Url::parse(text).unwrap();
    assert!(!robots.allows_url(&url("https://u:p@a.example:8080/x?a=b#frag")));
    assert!(robots.allows_url(&url("https://a.example/x#?a")));
    assert!(!robots.allows_url(&url("https://a.example/y#z")));
    assert!(!robots.allows("x?a"));
    assert!(robots.allows(""));
    let query = Robots::parse(b"user-agent: *\ndisallow: /?\n", "x");
    assert!(!query.allows("?a"));
}

/// A backtracking matcher needs years for the first pattern, and a matcher that takes quadratic time needs
/// minutes for the last two files. The time limit of this test distinguishes both from linear time, even in a
/// debug build on a busy machine; it does not measure speed.
#[test]
fn hostile_patterns_take_linear_time() {
    let path = format!("/{}", "a".repeat(8_000));
    let stars = format!("user-agent: *\ndisallow: /{}b\n", "*a".repeat(8_000));
    let many: String = (0..STARRED_MAX).map(|n| format!("disallow: /*a*{n}x\n")).collect();
    let needles = format!("disallow: /*{}b\n", "a".repeat(4_000)).repeat(100);
    for rules in [stars, format!("user-agent: *\n{many}"), format!("user-agent: *\n{needles}")] {
        let begin = Instant::now();
        assert!(Robots::parse(rules.as_bytes(), "x").allows(&path));
        assert!(begin.elapsed() < Duration::from_secs(60), "took {:?}", begin.elapsed());
    }
}

/// Matches a path as RFC 9309 §2.2.3 defines it, by exhaustive search. The fast matcher must give the same
/// results.
fn matches_by_definition(pattern: &[u8], path: &[u8]) -> bool {
    match pattern {
        [] => true,
        [b'$'] => path.is_empty(),
        [b'*', rest @ ..] => (0..=path.len()).any(|skip| matches_by_definition(rest, &path[skip..])),
        [byte, rest @ ..] => path.first() == Some(byte) && matches_by_definition(rest, &path[1..]),
    }
}

/// Generates files of plausible lines, so that the tests reach the interesting branches.
fn files() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "User-agent",
        "Allow",
        "Disallow",
        "Sitemap",
        "Crawl-delay",
        "Host",
        " disalow ",
        "#",
        "",
    ]);
    let separator = prop::sample::select(vec![":", ": ", " ", "::", ""]);
    let value = prop_oneof!["[/*$a-b?%#2A ]{0,12}", Just("foobot".into()), Just("*".into()), ".{0,8}"];
    let line = (key, separator, value)
        .prop_map(|(key, separator, value)| format!("{key}{separator}{value}").replace(['\r', '\n'], ""));
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz::robots(&bytes);
    }

    #[test]
    fn no_text_panics(file in files(), path in ".{0,40}") {
        Robots::parse(file.as_bytes(), "FooBot").allows(&path);
        crate::fuzz::robots(file.as_bytes());
    }

    #[test]
    fn line_ends_do_not_matter(file in files()) {
        let lf = Robots::parse(file.as_bytes(), "FooBot");
        let crlf = file.replace('\n', "\r\n");
        prop_assert_eq!(Robots::parse(crlf.as_bytes(), "FooBot"), lf);
    }

    #[test]
    fn matches_as_defined(pattern in "/[ab*]{0,8}\\$?", path in "/[ab]{0,10}") {
        let file = format!("user-agent: *\ndisallow: {pattern}\n");
        let robots = Robots::parse(file.as_bytes(), "x");
        let expected = matches_by_definition(pattern.as_bytes(), path.as_bytes());
        prop_assert_eq!(!robots.allows(&path), expected);
    }

    #[test]
    fn spelling_of_a_path_does_not_matter(path in "/[a-zé%/ ~]{0,12}") {
        let path = path.trim_end();
        let url = Url::parse(&format!("https://a.example{path}")).unwrap();
        let file = format!("user-agent: *\ndisallow: {path}$\n");
        let robots = Robots::parse(file.as_bytes(), "x");
        prop_assert!(!robots.allows(path));
        prop_assert!(!robots.allows_url(&url), "{}", url);
    }
}
