//! Removes the secrets from header fields.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opilio_fetch::redirect_target;
use url::Url;

use super::{LEFT_OUT, Redactor};

impl Redactor<'_> {
    /// Returns the header fields of a request without its secrets: without fields that have the name of a secret,
    /// without fields that the crawl marks as secret, and with the secrets in URLs replaced.
    pub(crate) fn request_fields(&self, url: &Url, headers: &HeaderMap) -> HeaderMap {
        let fields =
            headers.iter().filter(|(name, value)| !value.is_sensitive() && !self.is_secret_field(name));
        fields.map(|(name, value)| (name.clone(), self.other(url, name, value))).collect()
    }

    /// Returns the header fields of an answer with their secrets replaced: the values of cookies, the secrets in
    /// URLs, and the values of fields that have the name of a secret.
    pub(crate) fn answer_fields(&self, url: &Url, headers: &HeaderMap) -> HeaderMap {
        let mut kept = HeaderMap::new();
        for (name, value) in headers {
            let value = match name {
                &header::SET_COOKIE => cookie_without_secret(value),
                name if self.is_secret_field(name) => HeaderValue::from_static(LEFT_OUT),
                name => self.other(url, name, value),
            };
            kept.append(name.clone(), value);
        }
        kept
    }

    fn is_secret_field(&self, name: &HeaderName) -> bool {
        name.as_str().contains("cookie") || self.is_secret(name.as_str())
    }

    /// Returns the value of a field that is not a secret as a whole, with the secrets in its URLs replaced.
    fn other(&self, base: &Url, name: &HeaderName, value: &HeaderValue) -> HeaderValue {
        if [header::LOCATION, header::CONTENT_LOCATION, header::REFERER].contains(name) {
            return self.target(base, value);
        }
        let text = String::from_utf8_lossy(value.as_bytes());
        let without = if *name == header::LINK {
            self.link(base, &text)
        } else if *name == header::REFRESH {
            self.refresh(base, &text)
        } else {
            self.urls_in(&text)
        };
        let Some(without) = without else { return value.clone() };
        HeaderValue::from_str(&without).unwrap_or(HeaderValue::from_static(LEFT_OUT))
    }

    /// Returns a field whose value is one URL, without its secrets. The URL is read by the rule of the fetcher, so
    /// that the replay is led to the same place.
    fn target(&self, base: &Url, value: &HeaderValue) -> HeaderValue {
        let nowhere = HeaderValue::from_static(NOWHERE);
        match redirect_target(base, value.as_bytes()) {
            None if value.as_bytes().trim_ascii().is_empty() => value.clone(),
            // Nobody can tell which part of such a value is a secret. The text in its place is no URL either.
            None => nowhere,
            Some(target) => match self.url_unless_clean(&target) {
                None => value.clone(),
                Some(without) => HeaderValue::from_str(&without).unwrap_or(nowhere),
            },
        }
    }

    /// Returns a URL without its secrets; `None` if it has none, and no fragment. A URL that is not fetched is left
    /// out up to its scheme.
    fn url_unless_clean(&self, url: &Url) -> Option<String> {
        if !matches!(url.scheme(), "http" | "https") {
            return Some(format!("{}:{LEFT_OUT}", url.scheme()));
        }
        let without = self.url(url);
        (without != *url).then(|| without.into())
    }

    /// Returns a field `Link` without the secrets in its URLs; `None` if it has none.
    fn link(&self, base: &Url, text: &str) -> Option<String> {
        let mut without = String::new();
        let mut changed = false;
        for (nth, part) in text.split('<').enumerate() {
            let Some((target, rest)) = part.split_once('>').filter(|_| nth > 0) else {
                without.push_str(part);
                continue;
            };
            let url = redirect_target(base, target.as_bytes());
            let clean = url.map_or(Some(NOWHERE.to_owned()), |url| self.url_unless_clean(&url));
            changed |= clean.is_some();
            without.push_str(&format!("<{}>{rest}", clean.as_deref().unwrap_or(target)));
        }
        changed.then_some(without)
    }

    /// Returns a field `Refresh` without the secrets in its URL; `None` if it has none.
    fn refresh(&self, base: &Url, text: &str) -> Option<String> {
        let at = text.to_ascii_lowercase().find("url=")? + "url=".len();
        let target = text[at..].trim().trim_matches(['"', '\'']);
        let url = redirect_target(base, target.as_bytes());
        let clean = url.map_or(Some(NOWHERE.to_owned()), |url| self.url_unless_clean(&url))?;
        Some(format!("{}{clean}", &text[..at]))
    }

    /// Returns [`LEFT_OUT`] if a value has a URL with a secret, or with what may be one; otherwise `None`.
    fn urls_in(&self, text: &str) -> Option<String> {
        let words = text.split([' ', '\t', '"', '\'', '<', '>']).filter(|word| word.contains("://"));
        let has_secret = |word: &str| {
            let before = word.find("://").unwrap_or_default();
            let start = word[..before].rfind(|letter: char| !letter.is_ascii_alphanumeric());
            let word = &word[start.map_or(0, |start| start + 1)..];
            Url::parse(word).map_or(true, |url| self.url(&url) != url)
        };
        words.into_iter().any(has_secret).then(|| LEFT_OUT.to_owned())
    }
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

/// The text that replaces a value that is no URL. It is no URL either: an address of IPv6 would follow the bracket.
const NOWHERE: &str = "http://[left-out";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::secrets::BUILT_IN;

    fn base() -> Url {
        "https://a.example/in".parse().unwrap()
    }

    fn answer_field(name: HeaderName, value: &str) -> String {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let headers = HeaderMap::from_iter([(name.clone(), value)]);
        let kept = BUILT_IN.plain().answer_fields(&base(), &headers);
        String::from_utf8(kept[name].as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn request_fields_lose_logins_cookies_and_what_the_crawl_keeps_as_a_secret() {
        let mut sensitive = HeaderValue::from_static("hush");
        sensitive.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, HeaderValue::from_static("Bearer hush")),
            (header::PROXY_AUTHORIZATION, HeaderValue::from_static("Basic hush")),
            (header::COOKIE, HeaderValue::from_static("a=hush")),
            (HeaderName::from_static("x-api-key"), HeaderValue::from_static("hush")),
            (HeaderName::from_static("x-auth"), HeaderValue::from_static("hush")),
            (HeaderName::from_static("x-auth-key"), HeaderValue::from_static("hush")),
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (header::REFERER, HeaderValue::from_static("https://a.example/?key=hush")),
            (HeaderName::from_static("x-from"), HeaderValue::from_static("a=https://me:hush@a.example")),
        ]);
        headers.insert("x-mine", sensitive);
        let kept = BUILT_IN.plain().request_fields(&base(), &headers);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["accept", "referer", "x-from"]);
        assert_eq!(kept[header::REFERER], "https://a.example/?key=left-out");
        assert_eq!(kept["x-from"], LEFT_OUT);
    }

    #[test]
    fn answers_set_the_same_cookies_to_nothing_and_lead_to_the_same_place() {
        let mut headers = HeaderMap::new();
        for cookie in ["sid=hush; Path=/; HttpOnly", "old=; Max-Age=0", "bare"] {
            headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
        }
        let kept = BUILT_IN.plain().answer_fields(&base(), &headers);
        let cookies: Vec<_> = kept.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies, ["sid=left-out; Path=/; HttpOnly", "old=; Max-Age=0", "left-out"]);
        for (location, kept) in [
            ("/home?sid=hush&page=2", "https://a.example/home?sid=left-out&page=2"),
            ("../up?page=2", "../up?page=2"),
            ("/über?page=2", "/über?page=2"),
            ("/über?token=hush", "https://a.example/%C3%BCber?token=left-out"),
            ("https://app.example/cb#access_token=hush", "https://app.example/cb"),
            ("http://me:hush@[bad", NOWHERE),
            ("////b.example/?token=hush", "https://b.example/?token=left-out"),
            ("app://cb?code=hush", "app:left-out"),
            ("", ""),
        ] {
            assert_eq!(answer_field(header::LOCATION, location), kept, "{location}");
            assert_eq!(answer_field(header::CONTENT_LOCATION, location), kept, "{location}");
        }
    }

    #[test]
    fn every_field_with_a_url_loses_its_secrets() {
        for (name, value, kept) in [
            (
                header::LINK,
                "</a?key=hush>; rel=next, </b>",
                "<https://a.example/a?key=left-out>; rel=next, </b>",
            ),
            (header::LINK, "</b>; rel=\"x\"", "</b>; rel=\"x\""),
            (header::REFRESH, "5; URL='/x?token=hush'", "5; URL=https://a.example/x?token=left-out"),
            (header::REFRESH, "5; url=/x", "5; url=/x"),
            (HeaderName::from_static("x-next"), "next=https://a.example/?token=hush", LEFT_OUT),
            (HeaderName::from_static("x-next"), "see https://a.example/?a=1", "see https://a.example/?a=1"),
            (HeaderName::from_static("x-new-token"), "hush", LEFT_OUT),
        ] {
            assert_eq!(answer_field(name, value), kept, "{value}");
        }
    }
}
