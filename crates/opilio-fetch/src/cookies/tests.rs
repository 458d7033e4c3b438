//! Tests of the rules by which cookies are accepted and sent, written as tables, and of the limits of the jar.

#![allow(clippy::unwrap_used, reason = "tests")]

use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;
use url::Url;

use super::jar::Refused;
use super::{Jar, add};

const NOW: i64 = 1_800_000_000;

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

fn line(jar: &mut Jar, at: &str, now: i64) -> String {
    let cookies = jar.of(&url(at), now).unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = cookies.iter().map(|(name, value)| format!("{}={}", text(name), text(value)));
    pairs.collect::<Vec<_>>().join("; ")
}

fn jar(from: &str, lines: &[&str]) -> Jar {
    let mut jar = Jar::default();
    for line in lines {
        jar.set(&url(from), line.as_bytes(), NOW).unwrap();
    }
    jar
}

#[test]
fn a_cookie_goes_back_to_where_it_came_from_and_nowhere_else() {
    for (from, set, to, comes) in [
        ("http://a.example.com/", "x=1", "http://a.example.com/b", true),
        ("http://a.example.com/", "x=1", "http://A.example.com.:80/", true),
        ("http://a.example.com/", "x=1", "http://a.example.com:8080/", true),
        ("http://a.example.com/", "x=1", "https://a.example.com/", true),
        ("http://a.example.com/", "x=1", "http://example.com/", false),
        ("http://a.example.com/", "x=1", "http://b.a.example.com/", false),
        ("http://a.example.com/", "x=1", "http://evil.org/", false),
        ("http://a.example.com/", "x=1; Domain=example.com", "http://b.example.com/", true),
        ("http://a.example.com/", "x=1; Domain=.EXAMPLE.com", "http://example.com/", true),
        ("http://a.example.com/", "x=1; Domain=a.example.com", "http://b.a.example.com/", true),
        ("http://a.example.com/", "x=1; Domain=example.com", "http://notexample.com/", false),
        ("http://a.example.com/", "x=1; Domain=", "http://b.a.example.com/", false),
        ("http://127.0.0.1:81/", "x=1", "http://127.0.0.1:82/", true),
        ("http://127.0.0.1/", "x=1; Domain=127.0.0.1", "http://127.0.0.1/", true),
        ("http://127.0.0.1/", "x=1", "http://127.0.0.2/", false),
        ("http://[::1]/", "x=1", "http://[0:0::1]/", true),
        ("http://localhost/", "x=1; Domain=localhost", "http://localhost/", true),
        ("http://localhost/", "x=1; Domain=localhost", "http://a.localhost/", false),
        ("https://a.example.com/", "x=1; Secure", "https://a.example.com/", true),
        ("https://a.example.com/", "x=1; Secure", "http://a.example.com/", false),
        ("http://a.example.com/dir/page", "x=1", "http://a.example.com/dir/other", true),
        ("http://a.example.com/dir/page", "x=1", "http://a.example.com/", false),
        ("http://a.example.com/dir/page", "x=1; Path=dir", "http://a.example.com/dir/", true),
        ("http://a.example.com/", "x=1; Path=/a", "http://a.example.com/a/b?q", true),
        ("http://a.example.com/", "x=1; Path=/a", "http://a.example.com/ab", false),
        ("http://a.example.com/", "x=1; HttpOnly; SameSite=Strict", "http://a.example.com/", true),
        ("https://a.example.com/x", "__Host-x=1; Secure; Path=/", "https://a.example.com/", true),
    ] {
        let mut jar = jar(from, &[set]);
        assert_eq!(!line(&mut jar, to, NOW).is_empty(), comes, "{set} from {from} to {to}");
    }
}

#[test]
fn what_is_not_the_hosts_to_set_is_refused() {
    let large = format!("x={}", "a".repeat(4_096));
    for (from, set, why) in [
        ("http://a.example.com/", "x=1; Domain=com", Refused::Domain),
        ("http://a.co.uk/", "x=1; Domain=co.uk", Refused::Domain),
        ("http://me.github.io/", "x=1; Domain=github.io", Refused::Domain),
        ("http://a.unknowntld/", "x=1; Domain=unknowntld", Refused::Domain),
        ("http://a.example.com/", "x=1; Domain=b.example.com", Refused::Domain),
        ("http://a.example.com/", "x=1; Domain=b.a.example.com", Refused::Domain),
        ("http://a.example.com/", "x=1; Domain=evil.org", Refused::Domain),
        ("http://a.example.com/", "x=1; Domain=a b", Refused::Domain),
        ("http://127.0.0.1/", "x=1; Domain=0.0.1", Refused::Domain),
        ("http://127.0.0.1/", "x=1; Domain=1", Refused::Domain),
        ("http://a.example.com/", "x=1; Secure", Refused::Secure),
        ("https://a.example.com/", "__Secure-x=1", Refused::Secure),
        ("https://a.example.com/", "__host-x=1; Secure; Path=/; Domain=a.example.com", Refused::Domain),
        ("https://a.example.com/", "__Host-x=1; Secure; Path=/b", Refused::Domain),
        ("http://a.example.com/", "", Refused::Malformed),
        ("http://a.example.com/", "=1", Refused::Malformed),
        ("http://a.example.com/", "x", Refused::Malformed),
        ("http://a.example.com/", "x=a\u{7}b", Refused::Malformed),
        ("http://a.example.com/", &large, Refused::TooLarge),
    ] {
        assert_eq!(Jar::default().set(&url(from), set.as_bytes(), NOW), Err(why), "{set} from {from}");
    }
}

#[test]
fn cookies_end_when_they_say_and_after_400_days() {
    let at = "http://a.example.com/";
    let mut jar = jar(
        at,
        &["x=1; Max-Age=10; Expires=Wed, 21 Oct 2015 07:28:00 GMT", "y=2", "z=3; Max-Age=99999999999"],
    );
    assert_eq!(line(&mut jar, at, NOW + 9), "x=1; y=2; z=3");
    assert_eq!(line(&mut jar, at, NOW + 10), "y=2; z=3");
    assert_eq!(line(&mut jar, at, NOW + 400 * 86_400), "y=2");
    for gone in ["y=; Max-Age=0", "y=; Max-Age=-1", "y=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        let mut jar = self::jar(at, &["y=2", gone]);
        assert_eq!(line(&mut jar, at, NOW), "", "{gone}");
    }
}

#[test]
fn longer_paths_go_first_and_a_new_value_keeps_its_place() {
    let at = "http://a.example.com/a/b/";
    let mut jar = jar(at, &["x=1; Path=/", "y=2; Path=/", "z=3; Path=/a/b", "x=4; Path=/"]);
    assert_eq!(line(&mut jar, at, NOW), "z=3; x=4; y=2");
}

#[test]
fn an_insecure_origin_overlays_no_secure_cookie() {
    let mut jar = jar("https://a.example.com/", &["sid=good; Secure; Domain=example.com"]);
    for (from, set) in [
        ("http://a.example.com/", "sid=evil; Domain=example.com"),
        ("http://a.example.com/", "sid=evil"),
        ("http://example.com/", "sid=evil"),
    ] {
        assert_eq!(jar.set(&url(from), set.as_bytes(), NOW), Err(Refused::Secure), "{set} from {from}");
    }
    assert_eq!(line(&mut jar, "https://a.example.com/", NOW), "sid=good");
}

#[test]
fn a_flood_is_bounded_and_keeps_what_is_used_and_secure() {
    let mut jar = jar("https://a.example.com/", &["sid=1; Secure", "used=1"]);
    for n in 0..10_000 {
        jar.set(&url("https://a.example.com/"), format!("c{n}=1").as_bytes(), NOW).unwrap();
        line(&mut jar, "https://a.example.com/", NOW);
    }
    assert_eq!(jar.len(), 50);
    assert!(line(&mut jar, "https://a.example.com/", NOW).contains("sid=1"));
    for n in 0..3_000 {
        jar.set(&url(&format!("https://h{n}.example.com/")), b"x=1", NOW).unwrap();
    }
    assert_eq!(jar.len(), 1_000);
    let fat = format!("x={}", "a".repeat(4_000));
    for n in 0..10_000 {
        jar.set(&url(&format!("https://a{n}.org/")), fat.as_bytes(), NOW).unwrap();
    }
    assert!(jar.len() < 4_200, "{}", jar.len());
    assert!(!line(&mut jar, "https://a9999.org/", NOW).is_empty(), "the latest stay");
}

#[test]
fn a_requests_own_cookies_go_before_those_of_the_jar() {
    let mut headers = HeaderMap::new();
    headers.insert(header::COOKIE, HeaderValue::from_static("consent=yes;sid=mine"));
    let jar = [("sid".into(), "jar".into()), ("lang".into(), "de".into())];
    add(&mut headers, &jar);
    assert_eq!(headers[header::COOKIE], "consent=yes;sid=mine; lang=de");
    assert!(headers[header::COOKIE].is_sensitive());
    let many: Vec<_> = (0..100).map(|n| (format!("c{n}").into(), "a".repeat(1_000).into())).collect();
    add(&mut headers, &many);
    assert!(headers[header::COOKIE].len() <= 7 << 10);
}

#[test]
fn a_cookie_goes_back_as_it_came_whatever_its_bytes_are() {
    let at = "http://a.example.com/";
    for (set, sent) in [
        (&b"a=one\ttwo"[..], &b"a=one\ttwo"[..]),
        (b"a\t=\tone\t; Path=/", b"a=one"),
        (b"a=1;\tPath=/;\tDomain=example.com", b"a=1"),
        (b"name=M\xfcller", b"name=M\xfcller"),
        (b"n\xe9=\xa0\xff", b"n\xe9=\xa0\xff"),
        (b"city=M\xc3\xbcnchen; Path=/", b"city=M\xc3\xbcnchen"),
        (b"a=\x85", b"a=\x85"),
        (b"a=1; Comment=\xfc; Path=/", b"a=1"),
        (b"a=\"b\xfc\"; Path=/\xfc", b""),
        (b"a=1; Expires=\xfc", b"a=1"),
        (b"a=b=\xfc=c", b"a=b=\xfc=c"),
    ] {
        let mut jar = Jar::default();
        jar.set(&url(at), set, NOW).unwrap();
        let mut headers = HeaderMap::new();
        add(&mut headers, &jar.of(&url(at), NOW).unwrap_or_default());
        let got = headers.get(header::COOKIE).map(HeaderValue::as_bytes).unwrap_or_default();
        assert_eq!(got, sent, "{:?}", String::from_utf8_lossy(set));
    }
    // The same name in other bytes is the name of another cookie. A new value replaces the old value.
    let mut jar = Jar::default();
    for set in [&b"\xfc=1"[..], b"\xc3\xbc=2", b"\xfc=3"] {
        jar.set(&url(at), set, NOW).unwrap();
    }
    let expected = vec![(b"\xfc".to_vec(), b"3".to_vec()), (b"\xc3\xbc".to_vec(), b"2".to_vec())];
    assert_eq!(jar.of(&url(at), NOW), Some(expected));
    for control in (0..32).filter(|byte| *byte != b'\t').chain([127]) {
        for set in [[b"a=", &[control][..]].concat(), [b"a=1; Path=/", &[control][..]].concat()] {
            assert_eq!(jar.set(&url(at), &set, NOW), Err(Refused::Malformed), "{control}");
        }
    }
}

proptest! {
    #[test]
    fn no_field_can_upset_the_jar_or_reach_another_site(
        host in "[a-c]{1,2}(\\.[a-c]{1,2}){0,2}\\.(com|co\\.uk|io)",
        set in "([a-c]{0,2}=?[a-z\"\\\\ ]{0,4}|.{0,8})(; ?(Domain=[a-c.]{0,6}(com|co\\.uk|io)|Path=[/a]{0,3}|Secure|Max-Age=-?[0-9]{0,20}|Expires=.{0,12})){0,4}",
        bytes in any::<Vec<u8>>(),
    ) {
        let mut jar = Jar::default();
        let from = url(&format!("https://{host}/a/b"));
        let _ = jar.set(&from, set.as_bytes(), NOW);
        let _ = jar.set(&from, &bytes, NOW);
        prop_assert!(jar.len() <= 2);
        for other in ["https://evil.org/a/b", "https://com/", "https://uk/", "https://co.uk/a/b", "https://zz.com/a/b"] {
            prop_assert_eq!(jar.of(&url(other), NOW), None);
        }
        if let Some(cookies) = jar.of(&from, NOW) {
            let mut headers = HeaderMap::new();
            add(&mut headers, &cookies);
            prop_assert!(headers.contains_key(header::COOKIE));
        }
    }
}
