//! Parses one `Set-Cookie` field (RFC 6265bis §5.6).

use super::expires;
use super::jar::Refused;

/// The content of a `Set-Cookie` field, before the check whether the host may set it.
#[derive(Debug)]
pub(super) struct ParsedCookie {
    /// The name as sent, in any character encoding.
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// The domain in lower case, without a leading dot; `None` if the attribute is absent or empty.
    pub(super) domain: Option<String>,
    /// The path, which begins with a slash; `None` if the attribute is absent.
    pub(super) path: Option<String>,
    pub(super) secure: bool,
    /// The time of expiry in Unix seconds; `None` for a cookie that lasts as long as the crawl.
    pub(super) expires: Option<i64>,
}

/// Parses a `Set-Cookie` field. Cookies without a name are refused, since browsers treat them differently.
pub(super) fn read(line: &[u8], now: i64) -> Result<ParsedCookie, Refused> {
    // RFC 6265bis §5.6: a tab is allowed anywhere, any other control character nowhere.
    if line.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(Refused::Malformed);
    }
    let (pair, attributes) = line.split_at(line.iter().position(|byte| *byte == b';').unwrap_or(line.len()));
    let equals = pair.iter().position(|byte| *byte == b'=').ok_or(Refused::Malformed)?;
    let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
    if name.is_empty() {
        return Err(Refused::Malformed);
    }
    if name.len() + value.len() > COOKIE_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    // The names and values of attributes are ASCII. Other bytes become U+FFFD, which matches no attribute.
    let attributes = CookieAttributes::of(&String::from_utf8_lossy(attributes));
    // Max-Age takes precedence over Expires (RFC 6265bis §5.6).
    let expires = attributes.max_age.map(|age| now.saturating_add(age)).or(attributes.expires);
    Ok(ParsedCookie {
        name: name.to_vec(),
        value: value.to_vec(),
        domain: attributes.domain,
        path: attributes.path,
        secure: attributes.secure,
        expires: expires.map(|at| at.min(now.saturating_add(LASTS_SECS_MAX))),
    })
}

/// The attributes of a cookie. If one occurs several times, the last counts.
#[derive(Default)]
struct CookieAttributes {
    domain: Option<String>,
    path: Option<String>,
    secure: bool,
    /// In seconds; 0 if the cookie has to be deleted.
    max_age: Option<i64>,
    expires: Option<i64>,
}

impl CookieAttributes {
    /// Reads the attributes, each of which follows a semicolon. An unknown or unreadable one is ignored.
    fn of(text: &str) -> Self {
        let mut attributes = Self::default();
        for attribute in text.split(';') {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let (name, value) = (name.trim(), value.trim());
            if value.len() > ATTRIBUTE_BYTES_MAX {
                continue;
            }
            match &*name.to_ascii_lowercase() {
                "domain" => {
                    let domain = value.strip_prefix('.').unwrap_or(value).trim();
                    if !domain.is_empty() {
                        attributes.domain = Some(domain.to_ascii_lowercase());
                    }
                }
                "path" => attributes.path = value.starts_with('/').then(|| value.to_owned()),
                "secure" => attributes.secure = true,
                "max-age" => attributes.max_age = max_age(value).or(attributes.max_age),
                "expires" => attributes.expires = expires::read(value).or(attributes.expires),
                _ => {}
            }
        }
        attributes
    }
}

/// Reads the value of `Max-Age`: digits, with a minus for a cookie that has to be deleted.
fn max_age(value: &str) -> Option<i64> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // A number that is too large for the type is a time that never comes.
    Some(if value.starts_with('-') { 0 } else { digits.parse().unwrap_or(i64::MAX) })
}

/// The most bytes that the name and the value of a cookie may have together (RFC 6265bis §5.6).
const COOKIE_BYTES_MAX: usize = 4_096;
/// The most bytes of an attribute's value; a longer attribute is ignored (RFC 6265bis §5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1_024;
/// The longest time until a cookie expires: 400 days (RFC 6265bis §5.5).
const LASTS_SECS_MAX: i64 = 400 * 86_400;
