//! Removes secrets from cassettes: logins, cookies, tokens, session ids, and all values whose names look like those
//! of secrets.
//!
//! [`LEFT_OUT`] replaces the value of each secret and the name stays, so that a replay takes the same path. A token
//! of [`HASHED_CHARS_MIN`] characters or more gets a hash, as in `left-out-1f2e3d4c`, so that two pages of an API
//! that differ only in their token are still two requests. The hash has 32 bits and depends on a random number of
//! the cassette; it does not betray a long random token. A shorter value or a password could be guessed from a
//! hash, so neither gets one.

mod body;
mod fields;
mod names;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use names::{SecretKind, SecretName};
use serde_json::Value;
use url::{Url, form_urlencoded};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The text that replaces the value of a secret.
pub(crate) const LEFT_OUT: &str = "left-out";

/// Returns a URL without user info, and with the values of secret parameters replaced.
#[must_use]
pub fn without_secrets(url: &Url) -> Url {
    BUILT_IN.plain().url(url)
}

static BUILT_IN: SecretRules = SecretRules::BUILT_IN;

/// The rules of one cassette: the names that the user has added to those of [`names`], and whether secrets are left
/// out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SecretRules {
    /// If true, the cassette was recorded with its secrets.
    pub(crate) are_kept: bool,
    /// The plain forms of the added names.
    own: Vec<String>,
    /// A random number, on which the hashes of left-out values depend.
    salt: u64,
}

/// The names of secrets that have several values in a recording, by the host of the request.
pub(crate) type VaryingSecrets = HashMap<String, HashSet<String>>;

/// The values that each secret of each host has in a recording.
pub(crate) type SecretValues = RefCell<HashMap<(String, String), HashSet<String>>>;

impl SecretRules {
    /// Rules without names of the user's.
    pub(crate) const BUILT_IN: Self = Self { are_kept: false, own: Vec::new(), salt: 0 };

    /// The rules of a file that another tool has written.
    pub(crate) const FOREIGN: Self = Self { are_kept: true, own: Vec::new(), salt: 0 };

    /// Makes the rules of a new cassette, with a new random number.
    pub(crate) fn new(are_kept: bool) -> Self {
        Self { are_kept, own: Vec::new(), salt: RandomState::new().build_hasher().finish() }
    }

    pub(crate) fn add_name(&mut self, name: &str) {
        self.own.push(names::plain(name));
    }

    /// Returns the rules as fields of the record `warcinfo`.
    pub(crate) fn fields(&self) -> String {
        let kept = if self.are_kept { KEPT } else { LEFT_OUT };
        format!("{SECRETS}: {kept}\r\n{NAMES}: {}\r\n{SALT}: {:016x}\r\n", self.own.join(" "), self.salt)
    }

    /// Reads the rules from the fields of the record `warcinfo`.
    pub(crate) fn read(fields: &str) -> Self {
        let field = |name: &str| {
            let mut fields = fields.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
        };
        Self {
            are_kept: field(SECRETS) == KEPT,
            own: field(NAMES).split_whitespace().map(names::plain).collect(),
            salt: u64::from_str_radix(field(SALT), 16).unwrap_or_default(),
        }
    }

    /// Returns a redactor that replaces all secrets by the same text.
    pub(crate) fn plain(&self) -> Redactor<'_> {
        Redactor { rules: self, host: "", form: RedactedForm::Plain }
    }

    /// Returns a redactor for the text of the cassette.
    pub(crate) fn written(&self) -> Redactor<'_> {
        Redactor { rules: self, host: "", form: RedactedForm::Written }
    }

    /// Returns a redactor that only collects the values of the secrets.
    pub(crate) fn collected<'a>(&'a self, url: &'a Url, values: &'a SecretValues) -> Redactor<'a> {
        Redactor { rules: self, host: host(url), form: RedactedForm::Collected(values) }
    }

    /// Returns a redactor for the comparison of requests: it tells the values of secrets apart that have several
    /// values in the recording.
    pub(crate) fn compared<'a>(&'a self, url: &'a Url, varying: &'a VaryingSecrets) -> Redactor<'a> {
        Redactor { rules: self, host: host(url), form: RedactedForm::Compared(varying) }
    }

    /// Returns the text that replaces a value in the cassette.
    fn replacement(&self, secret: &SecretName, value: &str) -> String {
        if is_replacement(value) {
            return value.to_owned();
        }
        let is_hashed = secret.kind != SecretKind::Password && value.chars().count() >= HASHED_CHARS_MIN;
        if !is_hashed && !self.are_kept {
            return LEFT_OUT.to_owned();
        }
        let hash = xxh3_64_with_seed(value.as_bytes(), self.salt) >> 32;
        format!("{LEFT_OUT}-{hash:08x}")
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

fn is_replacement(value: &str) -> bool {
    value.strip_prefix(LEFT_OUT).is_some_and(|rest| {
        rest.is_empty()
            || rest
                .strip_prefix('-')
                .is_some_and(|hash| hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

/// Replaces the secrets in URLs, bodies and header fields.
#[derive(Clone, Copy)]
pub(crate) struct Redactor<'a> {
    rules: &'a SecretRules,
    host: &'a str,
    form: RedactedForm<'a>,
}

/// The text that is recorded instead of a secret.
#[derive(Clone, Copy)]
enum RedactedForm<'a> {
    Plain,
    Written,
    Compared(&'a VaryingSecrets),
    Collected(&'a SecretValues),
}

impl Redactor<'_> {
    /// Returns a URL without user info and fragment, and with the values of secret parameters replaced.
    pub(crate) fn url(&self, url: &Url) -> Url {
        self.nested_url(url, 0)
    }

    fn nested_url(&self, url: &Url, depth: usize) -> Url {
        let mut url = url.clone();
        // Both calls fail only for URLs that cannot have user info.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        if let Some(path) = self.path(url.path()).filter(|_| !url.cannot_be_a_base()) {
            url.set_path(&path);
        }
        if let Some(query) = url.query().and_then(|query| self.form(query, depth)) {
            url.set_query(Some(&query));
        }
        url
    }

    /// Returns a path with its session ids replaced; `None` if it has none.
    fn path(&self, path: &str) -> Option<String> {
        if !path.contains([';', '(']) && !path.to_ascii_lowercase().contains("%3b") {
            return None;
        }
        let segments: Vec<Cow<'_, str>> = path.split('/').map(|segment| self.segment(segment)).collect();
        let has_id = segments.iter().any(|segment| matches!(segment, Cow::Owned(_)));
        has_id.then(|| segments.join("/"))
    }

    fn segment<'s>(&self, segment: &'s str) -> Cow<'s, str> {
        if is_asp_net_session(segment) {
            let secret = SecretName { plain: "session".to_owned(), kind: SecretKind::Token };
            return format!("({})", self.place(&secret, segment.trim_matches(['(', ')']))).into();
        }
        let decoded = if segment.contains('%') {
            let semicolons = segment.replace("%3B", ";").replace("%3b", ";");
            Cow::Owned(semicolons.replace("%3D", "=").replace("%3d", "="))
        } else {
            Cow::Borrowed(segment)
        };
        let mut params = decoded.split(';');
        let mut without = params.next().unwrap_or_default().to_owned();
        let mut has_secret = false;
        for param in params {
            let (name, value) = param.split_once('=').unwrap_or((param, ""));
            without.push(';');
            match SecretName::of_pair(name, value, &self.rules.own) {
                Some(secret) => {
                    has_secret = true;
                    without.push_str(&format!("{name}={}", self.place(&secret, value)));
                }
                None => without.push_str(param),
            }
        }
        if has_secret { Cow::Owned(without) } else { Cow::Borrowed(segment) }
    }

    /// Returns a form with the values of its secrets replaced; `None` if it has no secrets and can stay as it is.
    fn form(&self, form: &str, depth: usize) -> Option<String> {
        let names: HashSet<Cow<'_, str>> =
            form_urlencoded::parse(form.as_bytes()).map(|(name, _)| name).collect();
        // OAuth sends a code to the client together with a state, and the client sends it on with a grant type.
        let is_oauth = ["state", "grant_type"].iter().any(|name| names.contains(*name));
        let mut has_secret = false;
        let pairs = form.split('&').map(|pair| {
            let Some((name, _)) = pair.split_once('=') else { return Cow::Borrowed(pair) };
            let decoded = form_urlencoded::parse(pair.as_bytes()).next();
            let without = decoded.and_then(|(name, value)| {
                let code = || Some(SecretName { plain: "code".to_owned(), kind: SecretKind::Token });
                let is_code =
                    name == "code" && (value.len() >= HASHED_CHARS_MIN || is_oauth && !value.is_empty());
                let secret = SecretName::of_pair(&name, &value, &self.rules.own);
                match secret.or_else(|| is_code.then(code).flatten()) {
                    Some(secret) => Some(self.place(&secret, &value)),
                    None => {
                        let without = self.nested(&value, depth + 1)?;
                        Some(form_urlencoded::byte_serialize(without.as_bytes()).collect())
                    }
                }
            });
            has_secret |= without.is_some();
            without.map_or(Cow::Borrowed(pair), |without| format!("{name}={without}").into())
        });
        let pairs: Vec<Cow<'_, str>> = pairs.collect();
        has_secret.then(|| pairs.join("&"))
    }

    /// Returns a value that is itself JSON or a URL, without its secrets; `None` if it has none.
    fn nested(&self, value: &str, depth: usize) -> Option<String> {
        if depth > NESTED_MAX {
            return None;
        }
        if value.trim_start().starts_with(['{', '[']) {
            return self.json(serde_json::from_str::<Value>(value).ok()?);
        }
        let url = Url::parse(value).ok().filter(|url| value.contains("://") && url.has_host())?;
        let mut bare = url.clone();
        bare.set_fragment(None);
        let without = self.nested_url(&url, depth);
        (without != bare).then(|| without.into())
    }

    fn secret(&self, name: &str) -> Option<SecretName> {
        SecretName::of(name, &self.rules.own)
    }

    fn is_secret(&self, name: &str) -> bool {
        self.secret(name).is_some()
    }

    /// Returns the text that replaces the value of a secret.
    fn place(&self, secret: &SecretName, value: &str) -> String {
        match self.form {
            RedactedForm::Plain => LEFT_OUT.to_owned(),
            RedactedForm::Written => self.rules.replacement(secret, value),
            RedactedForm::Compared(varying) => {
                let varies = varying.get(self.host).is_some_and(|names| names.contains(&secret.plain));
                if varies { self.rules.replacement(secret, value) } else { LEFT_OUT.to_owned() }
            }
            RedactedForm::Collected(values) => {
                let name = (self.host.to_owned(), secret.plain.clone());
                values.borrow_mut().entry(name).or_default().insert(self.rules.replacement(secret, value));
                LEFT_OUT.to_owned()
            }
        }
    }
}

/// Returns whether a segment of a path is a session id of ASP.NET, such as `(S(lit3py55t21z5v55vlm25s55))`.
fn is_asp_net_session(segment: &str) -> bool {
    if !segment.starts_with('(') {
        return false;
    }
    let url = Url::parse(&format!("http://a.example/{segment}"));
    url.is_ok_and(|url| matches!(opilio_core::without_session_ids(&url), Cow::Owned(_)))
}

/// Returns the names of the secrets that have several values.
pub(crate) fn varying(values: SecretValues) -> VaryingSecrets {
    let mut varying = VaryingSecrets::new();
    for ((host, name), _) in values.into_inner().into_iter().filter(|(_, values)| values.len() > 1) {
        varying.entry(host).or_default().insert(name);
    }
    varying
}

/// A token with this many characters or more gets a hash.
const HASHED_CHARS_MIN: usize = 16;
/// How many URLs or JSON values inside one another are read.
const NESTED_MAX: usize = 4;
const KEPT: &str = "kept";
const SECRETS: &str = "opilio-secrets";
const NAMES: &str = "opilio-secret-names";
const SALT: &str = "opilio-salt";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn urls_lose_user_info_and_the_values_of_secret_parameters() {
        for (url, kept) in [
            ("https://me:hush@a.example/x?b=1#part", "https://a.example/x?b=1"),
            ("https://a.example/?api_key=hush&q=a+b", "https://a.example/?api_key=left-out&q=a+b"),
            ("https://a.example/?accessToken=hush", "https://a.example/?accessToken=left-out"),
            ("https://a.example/?author=x&token=&compass=n", "https://a.example/?author=x&token=&compass=n"),
            ("https://a.example/?q=%zz&&x", "https://a.example/?q=%zz&&x"),
            (
                "https://a.example/?key=hush&X-Amz-Signature=hush",
                "https://a.example/?key=left-out&X-Amz-Signature=left-out",
            ),
            ("https://a.example/?key=17&code=DE", "https://a.example/?key=17&code=DE"),
            ("https://a.example/cb?code=hush&state=x", "https://a.example/cb?code=left-out&state=x"),
            ("https://a.example/?PHPSESSID=hush", "https://a.example/?PHPSESSID=left-out"),
            ("https://a.example/x;jsessionid=hush/y;v=1", "https://a.example/x;jsessionid=left-out/y;v=1"),
            ("https://a.example/x%3Bjsessionid%3Dhush", "https://a.example/x;jsessionid=left-out"),
            ("https://a.example/(S(lit3py55t21z5v55vlm25s55))/y", "https://a.example/(left-out)/y"),
            ("https://a.example/?pageToken=A&next_token=B", "https://a.example/?pageToken=A&next_token=B"),
            (
                "https://a.example/?next=https%3A%2F%2Fme%3Ahush%40b.example%2F%3Ftoken%3Dhush",
                "https://a.example/?next=https%3A%2F%2Fb.example%2F%3Ftoken%3Dleft-out",
            ),
        ] {
            let without = without_secrets(&url.parse().unwrap());
            assert_eq!(without.as_str(), kept);
            assert_eq!(without_secrets(&without), without);
        }
    }

    #[test]
    fn only_long_tokens_get_a_hash_and_a_hash_stays() {
        let rules = SecretRules { salt: 7, ..SecretRules::BUILT_IN };
        let written = |url: &str| rules.written().url(&url.parse().unwrap()).to_string();
        let first = written("https://a.example/?token=0123456789abcdef");
        assert!(is_replacement(first.rsplit('=').next().unwrap()) && first.len() == 42, "{first}");
        assert_ne!(first, written("https://a.example/?token=0123456789abcdeg"));
        assert_eq!(written(&first), first);
        for short in ["token=0123456789", "password=0123456789abcdef0123"] {
            assert!(written(&format!("https://a.example/?{short}")).ends_with("=left-out"), "{short}");
        }
        let other = SecretRules { salt: 8, ..rules.clone() };
        assert_ne!(
            other.written().url(&"https://a.example/?token=0123456789abcdef".parse().unwrap()).as_str(),
            first
        );
    }

    #[test]
    fn rules_are_read_as_they_were_written() {
        let mut rules = SecretRules::new(true);
        rules.add_name("X-Mine");
        assert_eq!(SecretRules::read(&rules.fields()), rules);
        assert_eq!(SecretRules::read("software: opilio\r\n"), SecretRules::BUILT_IN);
        let url = "https://a.example/?x_mine=hush".parse().unwrap();
        assert_eq!(rules.plain().url(&url).as_str(), "https://a.example/?x_mine=left-out");
    }
}
