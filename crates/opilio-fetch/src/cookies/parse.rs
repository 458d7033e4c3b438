//! Parses one `Set-Cookie` field (RFC 6265bis §5.6) by the `cookie` crate, and adds the checks that the crate
//! leaves to its callers.

use cookie::{Cookie, Expiration};

use super::jar::Refused;

/// The content of a field, before any check whether the host may set it.
#[derive(Debug)]
pub(super) struct ParsedCookie {
    /// As sent: of any encoding.
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    /// Lower-case, without a leading dot; none if it is absent or empty.
    pub(super) domain: Option<String>,
    /// Begins with a slash.
    pub(super) path: Option<String>,
    pub(super) secure: bool,
    /// Unix seconds; none lasts as long as the crawl.
    pub(super) expires: Option<i64>,
}

/// Reads a field. Nameless cookies are refused: browsers disagree about them.
pub(super) fn read(line: &[u8], now: i64) -> Result<ParsedCookie, Refused> {
    // §5.6: a tab may stand anywhere, every other control character nowhere.
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
    // Names and values of attributes are ASCII: one that is not matches nothing.
    let attributes = format!("x={}", String::from_utf8_lossy(attributes));
    let cookie = Cookie::parse(attributes).map_err(|_| Refused::Malformed)?;
    let short = |text: &&str| text.len() <= ATTRIBUTE_BYTES_MAX;
    let domain = cookie.domain().filter(short).map(|domain| domain.trim().to_ascii_lowercase());
    let expires = match (cookie.max_age(), cookie.expires()) {
        // Max-Age goes before Expires (§5.6).
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

/// RFC 6265bis §5.6: name and value together.
const COOKIE_BYTES_MAX: usize = 4_096;
/// RFC 6265bis §5.6: a longer attribute counts as absent.
const ATTRIBUTE_BYTES_MAX: usize = 1_024;
/// RFC 6265bis §5.5: 400 days.
const LASTS_SECS_MAX: i64 = 400 * 86_400;
