//! Decides by its name whether a value is a secret.

use opilio_core::is_session_id;

/// The name of a secret.
pub(super) struct SecretName {
    /// The letters and digits of the name, in lower case.
    pub(super) plain: String,
    pub(super) kind: SecretKind,
}

/// How certain it is that a value with a name of this kind is a secret, and whether it can be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SecretKind {
    /// A secret that a person chose, such as a password, or a name that the user has added. It may be guessed.
    Password,
    /// A secret that a computer made.
    Token,
    /// The name has other meanings as well: `key` is the key of an API or the number of an item.
    Ambiguous,
}

impl SecretName {
    /// Returns the secret that a name stands for; `None` if it is not the name of a secret. `own` has the plain
    /// forms of names that the user has added.
    pub(super) fn of(name: &str, own: &[String]) -> Option<Self> {
        let plain = plain(name);
        let kind = if own.contains(&plain) { Some(SecretKind::Password) } else { kind_of(name, &plain) };
        Some(Self { kind: kind?, plain })
    }

    /// Returns whether a value with this name is a secret.
    pub(super) fn covers(&self, value: &str) -> bool {
        let is_number = value.len() <= NUMBER_DIGITS_MAX && value.bytes().all(|byte| byte.is_ascii_digit());
        let is_harmless = value.chars().count() < AMBIGUOUS_CHARS_MIN || is_number;
        !value.is_empty() && (self.kind != SecretKind::Ambiguous || !is_harmless)
    }

    /// Returns the secret that a parameter of a URL or a form is; `None` if it is none.
    pub(super) fn of_pair(name: &str, value: &str, own: &[String]) -> Option<Self> {
        let token = || Self { plain: plain(name), kind: SecretKind::Token };
        let found = Self::of(name, own).filter(|found| found.covers(value));
        found.or_else(|| is_session_id(name, value).then(token))
    }
}

fn kind_of(name: &str, plain: &str) -> Option<SecretKind> {
    let words = words(name);
    let last = words.last().map(String::as_str).unwrap_or_default();
    let has = |parts: &[&str]| parts.iter().any(|part| plain.contains(part));
    if has(&PASSWORDS) || PASSWORD_ENDS.contains(&last) || PASSWORD_NAMES.contains(&plain) {
        return Some(SecretKind::Password);
    }
    if has(&TOKENS) || TOKEN_ENDS.contains(&last) {
        return (!is_cursor(&words)).then_some(SecretKind::Token);
    }
    AMBIGUOUS_ENDS.contains(&last).then_some(SecretKind::Ambiguous)
}

/// Returns whether a name is that of a cursor, such as `pageToken`: it says which part of a list an answer has.
fn is_cursor(words: &[String]) -> bool {
    let (token, rest): (Vec<&String>, Vec<&String>) = words.iter().partition(|word| *word == "token");
    !token.is_empty() && !rest.is_empty() && rest.iter().all(|word| CURSOR_WORDS.contains(&word.as_str()))
}

/// Returns the letters and digits of a name, in lower case.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the words of a name in lower case: `X-Auth-Key`, `authKey` and `auth_key` end with the word `key`.
fn words(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after_capital = before.is_some_and(char::is_uppercase);
        let next_is_small = letters.get(at + 1).is_some_and(|next| next.is_lowercase());
        let begins = letter.is_uppercase() && (!after_capital || next_is_small);
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A name that contains one of these texts is the name of a password.
const PASSWORDS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "kennwort",
    "motdepasse",
    "contraseñ",
    "secret",
    "credential",
    "privatekey",
];
/// A name whose last word is one of these is the name of a password, too.
const PASSWORD_ENDS: [&str; 3] = ["pass", "pwd", "pw"];
/// And so is a name that equals one of these texts.
const PASSWORD_NAMES: [&str; 4] = ["pin", "otp", "senha", "contrasena"];
/// A name that contains one of these texts is the name of a token, unless it is the name of a cursor.
const TOKENS: [&str; 9] =
    ["token", "apikey", "accesskey", "authkey", "sessionid", "sessid", "csrf", "xsrf", "signature"];
/// A name whose last word is one of these is the name of a token, too.
const TOKEN_ENDS: [&str; 5] = ["jwt", "bearer", "authorization", "authentication", "hmac"];
/// A name whose last word is one of these may be the name of a token.
const AMBIGUOUS_ENDS: [&str; 5] = ["auth", "key", "sig", "session", "sid"];
/// A token under an ambiguous name has at least this many characters.
const AMBIGUOUS_CHARS_MIN: usize = 4;
/// A value of so many digits or fewer, under an ambiguous name, is a number.
const NUMBER_DIGITS_MAX: usize = 10;
const CURSOR_WORDS: [&str; 16] = [
    "page",
    "next",
    "prev",
    "previous",
    "continuation",
    "continue",
    "cursor",
    "resumption",
    "sync",
    "start",
    "end",
    "scroll",
    "skip",
    "paging",
    "pagination",
    "nextpage",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_of_secrets_are_known_whatever_their_spelling() {
        for name in [
            "password",
            "pass",
            "user_pass",
            "userPass",
            "PASSWORT",
            "key",
            "api_key",
            "APIKey",
            "X-Auth-Key",
            "sig",
            "signature",
            "X-Amz-Signature",
            "jwt",
            "id_token",
            "session",
            "PHPSESSID",
            "jsessionid",
            "X-Auth",
            "contraseña",
            "csrf",
            "facebook_page_token",
            "token",
            "AWSAccessKeyId",
            "my_PIN_secret",
            "pin",
        ] {
            assert!(SecretName::of_pair(name, "hush", &[]).is_some(), "{name}");
        }
        for name in ["compass", "monkey", "author", "design", "pageToken", "next_token", "country_code"] {
            assert!(SecretName::of_pair(name, "hush", &[]).is_none(), "{name}");
        }
        assert!(SecretName::of("X-Mine", &[plain("x_mine")]).is_some());
    }

    #[test]
    fn a_number_under_an_ambiguous_name_is_no_secret() {
        for (name, value, is_secret) in [
            ("key", "1234567", false),
            ("key", "de", false),
            ("key", "12345678901", true),
            ("session", "7", false),
            ("pin", "1234", true),
            ("token", "7", true),
            ("token", "", false),
            ("sid", "0123456789abcdef0123456789abcdef", true),
        ] {
            assert_eq!(SecretName::of_pair(name, value, &[]).is_some(), is_secret, "{name}={value}");
        }
    }
}
