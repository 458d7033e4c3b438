//! Removes the secrets from bodies of requests: forms, JSON, XML, plain text and forms with files.

use bytes::Bytes;
use http::{HeaderMap, header};
use serde_json::Value;

use super::names::SecretName;
use super::{LEFT_OUT, Redactor};

impl Redactor<'_> {
    /// Returns the body of a request without its secrets. A body in which they cannot be replaced one by one is
    /// left out as a whole.
    pub(crate) fn body(&self, headers: &HeaderMap, body: &Bytes) -> Bytes {
        let content_type =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = content_type.trim().to_ascii_lowercase();
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}');
        let start = text.trim_start().chars().next();
        if kind.contains("json") || matches!(start, Some('{' | '[')) {
            return match serde_json::from_str::<Value>(text) {
                Ok(value) => self.json(value).map_or_else(|| body.clone(), Bytes::from),
                Err(_) => whole_unless(self.names_a_secret_field(text), body),
            };
        }
        if kind.starts_with("multipart/") {
            return whole_unless(self.names_a_secret_field(text) || self.names_a_secret_part(text), body);
        }
        if kind.contains("xml") || start == Some('<') {
            return whole_unless(self.names_a_secret_element(text), body);
        }
        if kind.starts_with("text/") {
            let lines = text.split(['\r', '\n', '&', ';']);
            let mut names = lines.filter_map(|line| line.split_once(['=', ':'])).map(|(name, _)| name.trim());
            return whole_unless(names.any(|name| self.is_secret(name)), body);
        }
        let is_form = kind.contains("form-urlencoded") || kind.is_empty();
        let form = std::str::from_utf8(body).ok().filter(|_| is_form);
        form.and_then(|form| self.form(form, 0)).map_or_else(|| body.clone(), Bytes::from)
    }

    /// Returns a JSON value as text without its secrets; `None` if it has none and can stay as it is.
    pub(super) fn json(&self, mut value: Value) -> Option<String> {
        // A cassette finds a request by its body. The order of fields in JSON depends on a cargo feature of
        // `serde_json`, so the fields are sorted.
        value.sort_all_objects();
        self.leave_out(&mut value).then(|| value.to_string())
    }

    /// Replaces the secrets in a JSON value; returns whether it had any.
    fn leave_out(&self, value: &mut Value) -> bool {
        match value {
            Value::Object(fields) => {
                fields.iter_mut().fold(false, |found, (name, value)| match self.secret(name) {
                    Some(secret) => self.leave_out_all(&secret, value) | found,
                    None => self.leave_out(value) | found,
                })
            }
            Value::Array(list) => list.iter_mut().fold(false, |found, value| self.leave_out(value) | found),
            Value::String(text) => match self.nested(text, 1) {
                Some(without) => {
                    *text = without;
                    true
                }
                None => false,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Replaces all texts and numbers in a value that stands under the name of a secret.
    fn leave_out_all(&self, secret: &SecretName, value: &mut Value) -> bool {
        let text = match value {
            Value::Object(fields) => {
                return fields
                    .values_mut()
                    .fold(false, |found, value| self.leave_out_all(secret, value) | found);
            }
            Value::Array(list) => {
                return list.iter_mut().fold(false, |found, value| self.leave_out_all(secret, value) | found);
            }
            Value::Null | Value::Bool(_) => return false,
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
        };
        let is_secret = secret.covers(&text);
        if is_secret {
            *value = Value::from(self.place(secret, &text));
        }
        is_secret
    }

    /// Returns whether a text that is no readable JSON has a field with the name of a secret: a name between
    /// quotation marks, with a colon after it.
    fn names_a_secret_field(&self, text: &str) -> bool {
        let mut parts = text.split(['"', '\'']).peekable();
        while let Some(part) = parts.next() {
            let is_name = parts.peek().is_some_and(|next| next.trim_start().starts_with(':'));
            if is_name && part.len() <= NAME_BYTES_MAX {
                let unescaped = serde_json::from_str::<String>(&format!("\"{part}\""));
                if self.is_secret(&unescaped.unwrap_or_else(|_| part.to_owned())) {
                    return true;
                }
            }
        }
        false
    }

    /// Returns whether a part of a form with files has the name of a secret.
    fn names_a_secret_part(&self, text: &str) -> bool {
        let names = text.split("name=").skip(1).filter_map(|rest| match rest.strip_prefix('"') {
            Some(rest) => rest.split('"').next(),
            None => rest.split([';', '\r', '\n']).next(),
        });
        names.map(str::trim).any(|name| self.is_secret(name))
    }

    /// Returns whether an element or an attribute has the name of a secret.
    fn names_a_secret_element(&self, text: &str) -> bool {
        let local = |name: &str| self.is_secret(name.rsplit(':').next().unwrap_or(name));
        let mut tags = text.split('<').skip(1).filter_map(|tag| tag.split('>').next());
        tags.any(|tag| {
            let mut words = tag.split(|letter: char| letter.is_whitespace() || letter == '/');
            words.next().is_some_and(local) || words.filter_map(|word| word.split('=').next()).any(local)
        })
    }
}

fn whole_unless(is_secret: bool, body: &Bytes) -> Bytes {
    if is_secret { Bytes::from_static(LEFT_OUT.as_bytes()) } else { body.clone() }
}

/// A text between quotation marks that is longer than this is no name.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::secrets::BUILT_IN;
    use http::HeaderValue;

    fn body(content_type: &'static str, text: &str) -> String {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let body = BUILT_IN.plain().body(&headers, &Bytes::from(text.to_owned()));
        String::from_utf8(body.to_vec()).unwrap()
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
        assert_eq!(body("multipart/form-data; boundary=x", &files.replace('"', "")), "left-out");
    }

    #[test]
    fn every_leaf_under_a_secret_name_is_left_out() {
        let json = "application/json";
        assert_eq!(
            body(json, r#"{"password":["hush",{"a":7}]}"#),
            r#"{"password":["left-out",{"a":"left-out"}]}"#
        );
        assert_eq!(
            body(json, r#"{"credentials":{"login":"me","value":"hush","keep":true}}"#),
            r#"{"credentials":{"keep":true,"login":"left-out","value":"left-out"}}"#
        );
    }

    #[test]
    fn json_is_read_whatever_its_type_and_left_out_as_a_whole_if_it_cannot_be_read() {
        let (one, left) = (r#"{"a":1,"token":"hush"}"#, r#"{"a":1,"token":"left-out"}"#);
        for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"] {
            assert_eq!(body(kind, one), left, "{kind}");
            assert_eq!(body(kind, &format!("\u{feff}{one}")), left, "{kind}");
        }
        let deep = format!("{}{one}{}", "[".repeat(200), "]".repeat(200));
        for text in
            [format!("{one}\n{one}"), deep, format!("{one},"), r#"{'pass\u0077ord':'hush'}"#.to_owned()]
        {
            assert_eq!(body("application/json", &text), "left-out", "{text}");
            assert_eq!(body("", &text), "left-out", "{text}");
        }
        assert_eq!(body("application/json", "{\"a\":1}\n{\"a\":2}"), "{\"a\":1}\n{\"a\":2}");
    }

    #[test]
    fn secrets_in_xml_in_plain_text_and_in_values_are_left_out() {
        assert_eq!(body("text/xml", "<s:a><wsse:Password>hush</wsse:Password></s:a>"), "left-out");
        assert_eq!(body("application/soap+xml", "<login user='me' password='hush'/>"), "left-out");
        assert_eq!(body("text/xml", "<a b='token'>secret</a>"), "<a b='token'>secret</a>");
        assert_eq!(body("text/plain", "user=me\r\npassword=hush\r\n"), "left-out");
        assert_eq!(body("text/plain", "a=1\r\nb=2\r\n"), "a=1\r\nb=2\r\n");
        assert_eq!(
            body("", "data=%7B%22password%22%3A%22hush%22%7D&a=1"),
            "data=%7B%22password%22%3A%22left-out%22%7D&a=1"
        );
        assert_eq!(
            body("application/json", r#"{"next":"https://a.example/?token=hush"}"#),
            r#"{"next":"https://a.example/?token=left-out"}"#
        );
    }
}
