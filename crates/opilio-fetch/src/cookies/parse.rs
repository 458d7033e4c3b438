//! Parses one `Set-Cookie` field (RFC 6265bis §5.6) with the `cookie` crate, and adds the checks that the crate
//! leaves to its callers.

use cookie::{Cookie, Expiration};

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
    let attributes = format!("x={}", String::from_utf8_lossy(attributes));
    let cookie = Cookie::parse(attributes).map_err(|_| Refused::Malformed)?;
    let short = |text: &&str| text.len() <= ATTRIBUTE_BYTES_MAX;
    let domain = cookie.domain().filter(short).map(|domain| domain.trim().to_ascii_lowercase());
    let expires = match (cookie.max_age(), cookie.expires()) {
        // Max-Age takes precedence over Expires (RFC 6265bis §5.6).
        (Some(age), _) => Some(now.saturating_add(age.whole_seconds())),
        (None, Some(Expiration::DateTime(at))) => Some(at.unix_timestamp()),
        (None, Some(Expiration::Session) | None) => None,
    };
    Ok(ParsedCookie {
        name: name.to_vec(),
        value: value.to_vec(),
        domain: domain.filter(|domain| !domain.is_empty()),
        path: cookie.path().filter(short).filter(|path| path.starts_with('/')).map(str::to_owned),
        secure: cookie.secure().unwrap_or(false),
        expires: expires.map(|at| at.min(now.saturating_add(LASTS_SECS_MAX))),
    })
}

/// The most bytes that the name and the value of a cookie may have together (RFC 6265bis §5.6).
const COOKIE_BYTES_MAX: usize = 4_096;
/// The most bytes of an attribute's value; a longer attribute is ignored (RFC 6265bis §5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1_024;
/// The longest time until a cookie expires: 400 days (RFC 6265bis §5.5).
const LASTS_SECS_MAX: i64 = 400 * 86_400;
