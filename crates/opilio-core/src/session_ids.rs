//! Session ids in URLs: ids that a server writes into every link for a visitor without cookies.
//!
//! Each fetch of a page of such a server gives links with a new id. A crawl that took the id for a part of
//! the URL would never end. The patterns are those of Heritrix and the Wayback Machine, and some of common
//! shop software.

use std::borrow::Cow;
use std::cell::OnceCell;

use url::Url;

use crate::canonical::normalize_escapes;

/// Removes the session ids from a URL, for its dedup key. Requests still use the URL as it is written.
///
/// | of | where |
/// | --- | --- |
/// | Java | `;jsessionid=…` at the end of a segment, also as `%3Bjsessionid=…`; `?jsessionid=…` |
/// | PHP | `PHPSESSID=…` |
/// | ASP | `ASPSESSIONID` and eight letters |
/// | ASP.NET | a segment such as `(S(lit3py55t21z5v55vlm25s55))` |
/// | ColdFusion | `CFID=…` with `CFTOKEN=…` |
/// | boards and shops | `sid=` with 32 hex digits; `osCsid`, `zenid`, `XTCsid`, `sessionid`, `session_id`, `sessid` with 16 letters and digits or more |
///
/// Names are compared without regard to case and with percent-encoding decoded. The other parameters keep
/// their order and their spelling.
///
/// ```
/// let url = url::Url::parse("https://a.example/x;jsessionid=1A530637289A03B07199A44E8D531427?b=2&a=1")?;
/// assert_eq!(opilio_core::without_session_ids(&url).as_str(), "https://a.example/x?b=2&a=1");
/// # Ok::<(), url::ParseError>(())
/// ```
#[must_use]
pub fn without_session_ids(url: &Url) -> Cow<'_, Url> {
    let path = in_path(url.path());
    let query = url.query().and_then(in_query);
    if path.is_none() && query.is_none() {
        return Cow::Borrowed(url);
    }
    let mut url = url.clone();
    if let Some(path) = path {
        url.set_path(&path);
    }
    if let Some(query) = query {
        url.set_query(Some(&*query).filter(|query| !query.is_empty()));
    }
    Cow::Owned(url)
}

/// Returns whether a parameter with this value is certainly a session id, even without other parameters
/// beside it.
#[must_use]
pub fn is_session_id(name: &str, value: &str) -> bool {
    if !matches!(name.len(), 3..=10 | 20) {
        return false;
    }
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("jsessionid") || is("phpsessid") || is("cftoken") {
        return !value.is_empty();
    }
    if is("sid") {
        return value.len() == 32 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    }
    if LONG.iter().any(|known| is(known)) {
        return value.len() >= 16 && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
    }
    let letters =
        |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    let asp = name.get(..12).filter(|start| start.eq_ignore_ascii_case("ASPSESSIONID"));
    asp.is_some() && letters(&name[12..], 8) && letters(value, 24)
}

/// Returns the path without its session ids; `None` if it contains none.
fn in_path(path: &str) -> Option<String> {
    if !path.bytes().any(|byte| matches!(byte, b';' | b'(' | b'%')) {
        return None;
    }
    let mut changed = false;
    let mut out = String::with_capacity(path.len());
    for (at, segment) in path.split('/').enumerate() {
        if is_asp_net(segment) {
            changed = true;
            continue;
        }
        if at > 0 {
            out.push('/');
        }
        let kept = in_segment(segment);
        changed |= kept.is_some();
        out.push_str(kept.as_deref().unwrap_or(segment));
    }
    changed.then_some(out)
}

/// Returns a path segment or a query without the session parameter (`;name=value`) in it; `None` if it
/// contains none.
fn in_segment(segment: &str) -> Option<String> {
    if segment.contains("%3")
        && let Some(at) = find_ignoring_case(segment, "%3bjsessionid")
    {
        let before = &segment[..at];
        return Some(in_segment(before).unwrap_or_else(|| before.to_owned()));
    }
    let (first, params) = segment.split_once(';')?;
    let is_id = |param: &&str| {
        let (name, value) = param.split_once('=').unwrap_or((param, ""));
        is_session_id(name, value)
    };
    if !params.split(';').any(|param| is_id(&param)) {
        return None;
    }
    let kept = params.split(';').filter(|param| !is_id(param));
    Some(kept.fold(first.to_owned(), |out, param| out + ";" + param))
}

/// Returns the query without its session ids; `None` if it contains none.
fn in_query(query: &str) -> Option<String> {
    // `CFID` is an ordinary number, and counts as a session id only if `CFTOKEN` is also there.
    let token = OnceCell::new();
    let find_token = || query.split('&').any(|pair| name_of(pair).eq_ignore_ascii_case("cftoken"));
    let has_token = || *token.get_or_init(find_token);
    let is_id = |pair: &str| {
        let name = name_of(pair);
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        is_session_id(&name, value) || name.eq_ignore_ascii_case("cfid") && has_token()
    };
    let may_have = |pair: &str| pair.contains(';') || pair.contains("%3") || is_id(pair);
    if !query.split('&').any(may_have) {
        return None;
    }
    let mut changed = false;
    let mut kept: Vec<Cow<'_, str>> = Vec::new();
    for pair in query.split('&') {
        if is_id(pair) {
            changed = true;
            continue;
        }
        match in_segment(pair) {
            Some(less) => {
                changed = true;
                if !is_id(&less) {
                    kept.push(less.into());
                }
            }
            None => kept.push(pair.into()),
        }
    }
    changed.then(|| kept.join("&"))
}

fn name_of(pair: &str) -> Cow<'_, str> {
    normalize_escapes(pair.split_once('=').map_or(pair, |(name, _)| name))
}

/// Returns whether a segment is a session id of ASP.NET: `(S(24 characters))`, possibly with other such
/// fields, or the 24 characters alone.
fn is_asp_net(segment: &str) -> bool {
    let Some(inner) = segment.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else { return false };
    let is_id = |text: &str| text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_id(inner) {
        return true;
    }
    let (mut rest, mut has_session) = (inner, false);
    while !rest.is_empty() {
        let ticket = rest.split_once('(').and_then(|(letter, rest)| Some((letter, rest.split_once(')')?)));
        let Some((letter, (value, after))) = ticket else { return false };
        if letter.len() != 1
            || !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            return false;
        }
        has_session |= letter.eq_ignore_ascii_case("s") && is_id(value);
        rest = after;
    }
    has_session
}

fn find_ignoring_case(text: &str, lower: &str) -> Option<usize> {
    let windows = text.as_bytes().windows(lower.len());
    windows.into_iter().position(|window| window.eq_ignore_ascii_case(lower.as_bytes()))
}

/// The names of parameters that hold a session id if the value has 16 letters and digits or more.
const LONG: [&str; 6] = ["oscsid", "zenid", "xtcsid", "sessionid", "session_id", "sessid"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "0123456789abcdef0123456789ABCDEF";

    fn left(rest: &str) -> String {
        let url = Url::parse(&format!("http://a.example{rest}")).unwrap();
        without_session_ids(&url).as_str().strip_prefix("http://a.example").unwrap().to_owned()
    }

    #[test]
    fn what_is_known_to_be_a_session_id_goes() {
        for (with, without) in [
            ("/x;jsessionid=1A53", "/x"),
            ("/x;JSESSIONID=1A53.node-1!77?b=2&a=1", "/x?b=2&a=1"),
            ("/x;v=1;jsessionid=1A53;w=2/y", "/x;v=1;w=2/y"),
            ("/x%3Bjsessionid=1A53?a", "/x?a"),
            ("/x%3bjsessionid%3D1A53", "/x"),
            ("/x?jsessionid=1", "/x"),
            ("/x?a=1;jsessionid=1&b=2", "/x?a=1&b=2"),
            ("/x?PHPSESSID=abc,d-e&a=1", "/x?a=1"),
            ("/x?a=1&phpsessid=q", "/x?a=1"),
            ("/x?%50HPSESSID=q", "/x"),
            ("/x?sid=0123456789abcdef0123456789ABCDEF&t=5", "/x?t=5"),
            ("/x;sid=0123456789abcdef0123456789ABCDEF", "/x"),
            ("/x?CFID=12&CFTOKEN=34&a=1", "/x?a=1"),
            ("/x?a=1&cftoken=ab-34&b=2&cfid=12", "/x?a=1&b=2"),
            ("/x?ASPSESSIONIDQQGGGKUU=KNFOHFKCBDNEFJLDNHMBPKGO", "/x"),
            ("/(S(lit3py55t21z5v55vlm25s55))/y.aspx", "/y.aspx"),
            ("/app/(X(1)S(lit3py55t21z5v55vlm25s55)F(a-b_c))/y", "/app/y"),
            ("/(lit3py55t21z5v55vlm25s55)/y.aspx", "/y.aspx"),
            ("/x?osCsid=a1b2c3d4e5f6a1b2c3d4e5f6a1", "/x"),
            ("/x?zenid=a1b2c3d4e5f6a1b2c3d4e5f6a1&cPath=2_3", "/x?cPath=2_3"),
            ("/x?sessionid=a1b2c3d4e5f6a1b2#top", "/x#top"),
        ] {
            assert_eq!(left(with), without, "{with}");
        }
    }

    #[test]
    fn what_may_choose_a_page_stays() {
        for rest in [
            "/x",
            "/x?",
            "/x?sid=7",
            "/x?sid=0123456789abcdef0123456789abcde",
            "/x?sid=0123456789abcdef0123456789abcdeg",
            "/x?session_id=2024",
            "/x?sessionid=room-7-in-the-main-hall",
            "/x?CFID=12",
            "/x?side=0123456789abcdef0123456789abcdef",
            "/x?PHPSESSID",
            "/x?PHPSESSID=",
            "/x?q=jsessionid",
            "/x;v=1?a=%3Bjs",
            "/x;sid=7;v=2",
            "/(s(short))/y",
            "/wiki/Set_(S(24))",
            "/wiki/(disambiguation)",
            "/x?ASPSESSIONID=KNFOHFKCBDNEFJLDNHMBPKGO",
            "/%28S(x)%29",
        ] {
            assert_eq!(left(rest), rest, "{rest}");
        }
    }

    #[test]
    fn a_url_without_ids_is_not_copied() {
        let url = Url::parse(&format!("http://a.example/x;v=1?a=1&b={HEX}")).unwrap();
        assert!(matches!(without_session_ids(&url), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn nothing_is_left_to_take(rest in "(/|;|\\(|\\)|S|jsessionid=|sid=0123456789abcdef0123456789abcdef|%3B|\\?|&|=|[a-z]|CFID=1|CFTOKEN=2|é){0,20}") {
            let Ok(url) = Url::parse(&format!("http://a.example/{rest}")) else { return Ok(()) };
            let once = without_session_ids(&url).into_owned();
            prop_assert_eq!(&*without_session_ids(&once), &once);
            prop_assert_eq!(once.host_str(), url.host_str());
            prop_assert!(once.as_str().len() <= url.as_str().len());
        }
    }
}
