//! Checks header fields that are given as settings.

use http::{HeaderName, HeaderValue};

/// Makes a header field from a name and a value.
///
/// # Errors
/// When HTTP does not allow the name or the value.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BadHeader> {
    let refuse = || BadHeader { name: name.to_owned() };
    let mut value = HeaderValue::from_str(value).map_err(|_| refuse())?;
    value.set_sensitive(true);
    Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?, value))
}

impl BadHeader {
    pub(crate) fn of(name: &str) -> Self {
        Self { name: name.to_owned() }
    }
}

/// A header field that HTTP does not allow. The value is not shown: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} with this value is not a header field")]
pub struct BadHeader {
    name: String,
}
