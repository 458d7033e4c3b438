//! Removes secrets from cassettes: logins, cookies, tokens, and form fields whose names look like those of
//! passwords.
//!
//! [`LEFT_OUT`] replaces the value of each secret and the name stays, so that a replay takes the same path.
//! Two requests are compared after the secrets have been removed from both.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use url::{Url, form_urlencoded};

/// The text that replaces the value of a secret.
pub(crate) const LEFT_OUT: &str = "left-out";

/// Returns whether this is the name of a secret, for a form field, a query parameter or a header field.
fn is_secret_name(name: &str) -> bool {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    PARTS.iter().any(|part| plain.contains(part)) || WHOLE.contains(&plain.as_str())
}

/// Returns a URL without user info, and with the values of secret parameters replaced.
#[must_use]
pub fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    // Both calls fail only for URLs that cannot have user info.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    if let Some(query) = url.query().and_then(form_without_secrets) {
        url.set_query(Some(&query));
    }
    url
}

/// Returns a form with the values of its secrets replaced; `None` if it has no secrets and can stay as it is.
fn form_without_secrets(form: &str) -> Option<String> {
    let has_secret = form_urlencoded::parse(form.as_bytes())
        .any(|(name, value)| is_secret_name(&name) && !value.is_empty());
    if !has_secret {
        return None;
    }
    let pairs = form.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = form_urlencoded::parse(name.as_bytes()).next();
        let is_secret = decoded.is_some_and(|(name, _)| is_secret_name(&name)) && !value.is_empty();
        if is_secret { format!("{name}={LEFT_OUT}") } else { pair.to_owned() }
    });
    Some(pairs.collect::<Vec<_>>().join("&"))
}

/// Returns the body of a request with its secrets replaced. Handles forms, JSON, and forms with files.
pub(crate) fn body_without_secrets(headers: &HeaderMap, body: &Bytes) -> Bytes {
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = content_type.to_ascii_lowercase();
    if kind.contains("json") {
        let mut value = serde_json::from_slice::<Value>(body).unwrap_or_default();
        // A cassette finds a request by its body. The order of fields in JSON depends on a cargo feature of
        // `serde_json`, so the fields are sorted.
        value.sort_all_objects();
        return if leave_out(&mut value) { value.to_string().into() } else { body.clone() };
    }
    if kind.starts_with("multipart/") {
        return if names_a_secret(body) { Bytes::from_static(LEFT_OUT.as_bytes()) } else { body.clone() };
    }
    let form = std::str::from_utf8(body).ok().filter(|_| kind.contains("form-urlencoded") || kind.is_empty());
    form.and_then(form_without_secrets).map_or_else(|| body.clone(), Bytes::from)
}

/// Replaces the secrets in a JSON value; returns whether it had any.
fn leave_out(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter_mut().fold(false, |found, (name, value)| {
            let is_secret = is_secret_name(name)
                && !matches!(value, Value::Null | Value::Bool(_) | Value::Object(_) | Value::Array(_));
            if is_secret {
                *value = Value::from(LEFT_OUT);
            }
            is_secret | leave_out(value) | found
        }),
        Value::Array(list) => list.iter_mut().fold(false, |found, value| leave_out(value) | found),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Returns whether a part of a form with files has the name of a secret. The body of such a form is left out
/// as a whole.
fn names_a_secret(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let names = text.split("name=\"").skip(1).filter_map(|rest| rest.split('"').next());
    names.into_iter().any(is_secret_name)
}

/// Returns the header fields of a request without its secrets: without fields that have the name of a secret,
/// and without fields that the crawl marks as secret.
pub(crate) fn request_fields(headers: &HeaderMap) -> HeaderMap {
    let fields = headers.iter().filter(|(name, value)| !value.is_sensitive() && !is_secret_field(name));
    fields.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Returns the header fields of an answer with their secrets replaced: the values of cookies, the secrets in
/// the URL of `Location`, and the values of fields that have the name of a secret.
pub(crate) fn answer_fields(url: &Url, headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let value = match name {
            &header::SET_COOKIE => cookie_without_secret(value),
            &header::LOCATION => location_without_secrets(url, value),
            name if is_secret_field(name) => HeaderValue::from_static(LEFT_OUT),
            _ => value.clone(),
        };
        kept.append(name.clone(), value);
    }
    kept
}

fn is_secret_field(name: &HeaderName) -> bool {
    SECRET_FIELDS.contains(name) || is_secret_name(name.as_str())
}

/// Replaces the value of a cookie: `sid=7; Path=/` becomes `sid=left-out; Path=/`. A cookie jar accepts the
/// result, so a replay continues as the crawl did. A cookie that deletes an older one stays as it is.
fn cookie_without_secret(value: &HeaderValue) -> HeaderValue {
    let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
    let (pair, attributes) =
        text.split_once(';').map_or((text.as_str(), None), |(pair, rest)| (pair, Some(rest)));
    let left = match pair.split_once('=') {
        Some((_, value)) if value.trim().is_empty() => pair.to_owned(),
        Some((name, _)) => format!("{name}={LEFT_OUT}"),
        None => LEFT_OUT.to_owned(),
    };
    let left = attributes.map_or(left.clone(), |rest| format!("{left};{rest}"));
    HeaderValue::from_str(&left).unwrap_or(HeaderValue::from_static(LEFT_OUT))
}

fn location_without_secrets(url: &Url, value: &HeaderValue) -> HeaderValue {
    let text = value.to_str().ok();
    let Some(target) = text.and_then(|text| url.join(text).ok()) else { return value.clone() };
    let mut bare = target.clone();
    bare.set_fragment(None);
    let without = without_secrets(&target);
    // If the URL has no secrets, the field stays as it is, since it may be a relative URL.
    if without == bare {
        return value.clone();
    }
    HeaderValue::from_str(without.as_str()).unwrap_or(HeaderValue::from_static(LEFT_OUT))
}

const SECRET_FIELDS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
/// A name that contains one of these texts is the name of a secret.
const PARTS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "credential",
    "privatekey",
];
/// A name that equals one of these texts is the name of a secret, too.
const WHOLE: [&str; 7] = ["pass", "pwd", "pin", "otp", "sessionid", "sid", "auth"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn body(content_type: &'static str, text: &'static str) -> String {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        String::from_utf8(body_without_secrets(&headers, &Bytes::from_static(text.as_bytes())).to_vec())
            .unwrap()
    }

    #[test]
    fn urls_lose_user_info_and_the_values_of_secret_parameters() {
        for (url, kept) in [
            ("https://me:hush@a.example/x?b=1#part", "https://a.example/x?b=1"),
            ("https://a.example/?api_key=hush&q=a+b", "https://a.example/?api_key=left-out&q=a+b"),
            ("https://a.example/?accessToken=hush", "https://a.example/?accessToken=left-out"),
            ("https://a.example/?author=x&token=&compass=n", "https://a.example/?author=x&token=&compass=n"),
            ("https://a.example/?q=%zz&&x", "https://a.example/?q=%zz&&x"),
        ] {
            assert_eq!(without_secrets(&url.parse().unwrap()).as_str(), kept);
        }
    }

    #[test]
    fn bodies_lose_what_stands_under_password_like_names() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(body(form, "user=me&pass%77ord=hush&q=1"), "user=me&pass%77ord=left-out&q=1");
        assert_eq!(body(form, "b=1&a=%20x"), "b=1&a=%20x");
        assert_eq!(
            body(
                "application/json; charset=utf-8",
                r#"{"user":"me","login":[{"pin":7,"Pass-Word":"hush"}]}"#
            ),
            r#"{"login":[{"Pass-Word":"left-out","pin":"left-out"}],"user":"me"}"#
        );
        assert_eq!(body("application/json", r#"{ "b": 1 }"#), r#"{ "b": 1 }"#);
        let files = "--x\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\nhush\r\n--x--";
        assert_eq!(body("multipart/form-data; boundary=x", files), "left-out");
    }

    #[test]
    fn header_fields_lose_logins_cookies_and_what_the_crawl_keeps_as_a_secret() {
        let mut sensitive = HeaderValue::from_static("hush");
        sensitive.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_static("Bearer hush")),
            (header::COOKIE, HeaderValue::from_static("a=hush")),
            (HeaderName::from_static("x-api-key"), HeaderValue::from_static("hush")),
            (header::ACCEPT, HeaderValue::from_static("*/*")),
        ]);
        headers.insert("x-mine", sensitive);
        let kept = request_fields(&headers);
        assert_eq!(kept.keys().collect::<Vec<_>>(), [&header::ACCEPT]);
    }

    #[test]
    fn answers_set_the_same_cookies_to_nothing_and_lead_to_the_same_place() {
        let url: Url = "https://a.example/in".parse().unwrap();
        let mut headers = HeaderMap::new();
        for cookie in ["sid=hush; Path=/; HttpOnly", "old=; Max-Age=0", "bare"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        headers.insert(header::LOCATION, HeaderValue::from_static("/home?sid=hush&page=2"));
        let kept = answer_fields(&url, &headers);
        let cookies: Vec<_> = kept.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["sid=left-out; Path=/; HttpOnly", "old=; Max-Age=0", "left-out"]);
        assert_eq!(kept[header::LOCATION], "https://a.example/home?sid=left-out&page=2");
        headers.insert(header::LOCATION, HeaderValue::from_static("../up?page=2"));
        assert_eq!(answer_fields(&url, &headers)[header::LOCATION], "../up?page=2");
    }
}
