//! Forms: builds the request that a browser would send for a form, with the values that the page contains.
//!
//! Hidden fields (such as tokens against forged requests) are included. The caller sets the values that a person
//! would type. The rules are those of the HTML standard ("constructing the entry list") for forms that are sent as
//! `application/x-www-form-urlencoded`.

use crate::document::Document;
use crate::error::SelectorError;
use crate::media::encoding_named;
use crate::select::Element;
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;
use std::fmt;
use url::Url;

/// A form of a page, with the values that the page contains.
///
/// ```
/// # mod opilio { pub use opilio_extract as extract; }
/// use opilio::extract::Document;
/// use url::Url;
///
/// let url = Url::parse("https://shop.example/login")?;
/// let html = r#"<form action="/session" method="post">
///     <input type="hidden" name="csrf" value="d41d8c"><input name="user"><input type="password" name="pass">
///     <input type="checkbox" name="stay"><button name="go" value="1">Log in</button></form>"#;
/// let page = Document::new(url, Some("text/html"), html.into());
///
/// let mut form = page.form("form")?;
/// form.set("user", "alice").set("pass", "s&cret");
/// let sent = form.submission();
/// assert_eq!((sent.method, sent.url.as_str()), ("POST", "https://shop.example/session"));
/// assert_eq!(sent.body.as_deref(), Some("csrf=d41d8c&user=alice&pass=s%26cret&go=1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Form {
    action: Url,
    posts: bool,
    encoding: &'static Encoding,
    fields: Vec<(String, String)>,
}

/// The request that a form sends.
#[derive(Clone, PartialEq, Eq)]
pub struct Submission {
    /// The method: `GET` or `POST`.
    pub method: &'static str,
    /// The URL of the request. For a GET, it contains the fields of the form.
    pub url: Url,
    /// The body of a POST with the fields, as `application/x-www-form-urlencoded`; `None` for a GET.
    pub body: Option<String>,
}

/// The reason why a page has no form that can be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// The selector is not valid.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// Nothing matches the selector, or the match is not a form.
    #[error("cannot find a form at `{selector}`")]
    NotFound {
        /// The selector as the caller gave it.
        selector: String,
    },
    /// The form sends files, belongs to a dialog, or its target is not an http or https URL.
    #[error("cannot fill the form at `{selector}`: {why}")]
    Unsupported {
        /// The selector as the caller gave it.
        selector: String,
        /// The property of the form that is not supported, in words.
        why: &'static str,
    },
}

impl Document {
    /// Returns the first form that a selector matches, with the values that the page contains. Builds the
    /// DOM.
    ///
    /// # Errors
    /// When there is no form, or it cannot be sent as `application/x-www-form-urlencoded`.
    pub fn form(&self, css: &str) -> Result<Form, FormError> {
        let not_found = || FormError::NotFound { selector: css.to_owned() };
        let element = self.css(css)?.iter().find(|element| element.name() == "form").ok_or_else(not_found)?;
        let unsupported = |why| FormError::Unsupported { selector: css.to_owned(), why };
        let encoding = encoding_of(element, self.decoded().encoding);
        let (fields, submitter) = read_fields(self, element, encoding)?;
        // Attributes of the button that a person would press take precedence over attributes of the form.
        let told = |name: &str, on_button: &str| {
            submitter.and_then(|button| button.attr(on_button)).or_else(|| element.attr(name))
        };
        let posts = match told("method", "formmethod").unwrap_or_default().trim() {
            method if method.eq_ignore_ascii_case("post") => true,
            method if method.eq_ignore_ascii_case("dialog") => return Err(unsupported("it is for a dialog")),
            _ => false,
        };
        let coding = told("enctype", "formenctype").unwrap_or_default().trim();
        if posts && (coding.eq_ignore_ascii_case(MULTIPART) || coding.eq_ignore_ascii_case("text/plain")) {
            return Err(unsupported("it is not sent as application/x-www-form-urlencoded"));
        }
        let action = match told("action", "formaction").map(str::trim).filter(|action| !action.is_empty()) {
            Some(action) => self.resolve(action).ok_or_else(|| unsupported("its action is not a web URL"))?,
            // Without an `action`, the form is sent to the page's own URL, regardless of `<base>`.
            None => {
                let mut url = self.url().clone();
                url.set_fragment(None);
                url
            }
        };
        Ok(Form { action, posts, encoding, fields })
    }
}

impl Form {
    /// Returns the URL to which the form is sent.
    #[must_use]
    pub fn action(&self) -> &Url {
        &self.action
    }

    /// Returns whether the form is sent as a POST.
    #[must_use]
    pub fn is_post(&self) -> bool {
        self.posts
    }

    /// Iterates over the names and values of the fields, in the order in which they are sent.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the value of the first field with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// Sets the value of a field. If the form has a field with this name, the field keeps its place; otherwise it is
    /// added at the end. Further fields with this name are removed, since radio buttons and selections have one
    /// value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        match self.fields.iter().position(|(other, _)| *other == name) {
            Some(at) => {
                self.fields[at].1 = value;
                let mut index = 0;
                self.fields.retain(|(other, _)| {
                    index += 1;
                    index - 1 <= at || *other != name
                });
            }
            None => self.fields.push((name, value)),
        }
        self
    }

    /// Adds a field, even if the form already has a field with this name. For example, a second ticked box needs
    /// this.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Removes all fields with this name. For example, unticking a box needs this.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.fields.retain(|(other, _)| other != name);
        self
    }

    /// Returns the request that the form sends. It is encoded in the encoding of the form (`accept-charset`) or of
    /// its page, as in browsers. Line breaks become CR LF.
    #[must_use]
    pub fn submission(&self) -> Submission {
        // Characters that the encoding does not contain become character references.
        let encode: &dyn Fn(&str) -> Cow<'_, [u8]> = &|text| self.encoding.encode(text).0;
        let mut encoder = url::form_urlencoded::Serializer::new(String::new());
        encoder.encoding_override(Some(encode));
        for (name, value) in &self.fields {
            encoder.append_pair(&with_crlf(name), &with_crlf(value));
        }
        let encoded = encoder.finish();
        if self.posts {
            return Submission { method: "POST", url: self.action.clone(), body: Some(encoded) };
        }
        let mut url = self.action.clone();
        url.set_query(Some(&encoded));
        Submission { method: "GET", url, body: None }
    }
}

/// The debug output contains no values, since one of them may be a password.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.fields().map(|(name, _)| name).collect();
        f.debug_struct("Form").field("posts", &self.posts).field("fields", &names).finish_non_exhaustive()
    }
}

impl fmt::Debug for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission").field("method", &self.method).finish_non_exhaustive()
    }
}

type Fields = Vec<(String, String)>;

/// Returns the encoding of the form, by the HTML standard, "picking an encoding for the form".
fn encoding_of(form: Element<'_>, page: &'static Encoding) -> &'static Encoding {
    let picked = form.attr("accept-charset").map(|labels| {
        let mut labels = labels.split_ascii_whitespace();
        labels.find_map(|label| encoding_named(label.as_bytes())).unwrap_or(UTF_8)
    });
    picked.unwrap_or(page).output_encoding()
}

/// Returns the fields with their values on the page, and the button that a person would press: the first button.
fn read_fields<'a>(
    page: &'a Document,
    form: Element<'a>,
    encoding: &'static Encoding,
) -> Result<(Fields, Option<Element<'a>>), SelectorError> {
    let disabled: Vec<Element<'a>> = form.css(DISABLED_CONTROLS)?.iter().collect();
    let mut controls: Vec<Element<'a>> =
        form.css(CONTROLS)?.iter().filter(|c| c.attr("form").is_none()).collect();
    // Controls elsewhere on the page that name this form by its id belong to the form, too.
    if let Some(id) = form.attr("id").filter(|id| !id.is_empty()) {
        controls.extend(page.css(CONTROLS)?.iter().filter(|control| control.attr("form") == Some(id)));
    }
    let mut fields = Vec::new();
    let mut submitter = None;
    for control in controls.into_iter().take(FIELDS_MAX) {
        if control.attr("disabled").is_some() || disabled.contains(&control) {
            continue;
        }
        if is_button(&control) {
            if !submits(&control) || submitter.is_some() {
                continue;
            }
            submitter = Some(control);
        }
        let Some(name) = control.attr("name").filter(|name| !name.is_empty()) else { continue };
        for value in values(&control, encoding)? {
            fields.push((name.to_owned(), value));
        }
    }
    Ok((fields, submitter))
}

/// Returns the values of a control: none for a box that is not ticked, and several if several options are selected.
fn values(control: &Element<'_>, encoding: &'static Encoding) -> Result<Vec<String>, SelectorError> {
    let value = control.attr("value").map(str::to_owned);
    Ok(match control.name() {
        "select" => chosen(control)?,
        // The HTML parser has already removed a line break directly after the tag.
        "textarea" => vec![control.raw_text()],
        "input" => match kind(control).as_str() {
            "checkbox" | "radio" if control.attr("checked").is_none() => Vec::new(),
            "checkbox" | "radio" => vec![value.unwrap_or_else(|| "on".to_owned())],
            // A browser would send the coordinates of the click, but a crawler does not click.
            "image" => Vec::new(),
            "hidden" if control.attr("name").is_some_and(|name| name.eq_ignore_ascii_case("_charset_")) => {
                vec![encoding.name().to_owned()]
            }
            "submit" => value.into_iter().collect(),
            "file" => vec![String::new()],
            _ => vec![value.unwrap_or_default()],
        },
        _ => vec![value.unwrap_or_default()],
    })
}

/// Returns the values of the selected options. If no option is selected, a list that shows one option at a time
/// sends its first option.
fn chosen(select: &Element<'_>) -> Result<Vec<String>, SelectorError> {
    let options: Vec<Element<'_>> =
        select.css("option")?.iter().filter(|option| option.attr("disabled").is_none()).collect();
    let value = |option: &Element<'_>| option.attr("value").map_or_else(|| option.text(), str::to_owned);
    let selected: Vec<String> =
        options.iter().filter(|option| option.attr("selected").is_some()).map(value).collect();
    if select.attr("multiple").is_some() {
        return Ok(selected);
    }
    // If several options are selected where only one is allowed, the last one counts.
    Ok(selected.into_iter().next_back().or_else(|| options.first().map(value)).into_iter().collect())
}

fn kind(control: &Element<'_>) -> String {
    control.attr("type").unwrap_or_default().trim().to_ascii_lowercase()
}

fn is_button(control: &Element<'_>) -> bool {
    control.name() == "button"
        || (control.name() == "input"
            && matches!(kind(control).as_str(), "submit" | "button" | "reset" | "image"))
}

fn submits(control: &Element<'_>) -> bool {
    match control.name() {
        "button" => !matches!(kind(control).as_str(), "button" | "reset"),
        _ => matches!(kind(control).as_str(), "submit" | "image"),
    }
}

/// Converts every kind of line break to CR LF, as forms are sent.
fn with_crlf(text: &str) -> String {
    if !text.contains(['\r', '\n']) {
        return text.to_owned();
    }
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

const CONTROLS: &str = "input, select, textarea, button";
const DISABLED_CONTROLS: &str = "fieldset[disabled] input, fieldset[disabled] select, \
fieldset[disabled] textarea, fieldset[disabled] button";
const MULTIPART: &str = "multipart/form-data";
/// The most controls of one form that are read.
const FIELDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn page(html: &str) -> Document {
        let url = Url::parse("https://a.example/dir/page?q=1#f").unwrap();
        Document::new(url, Some("text/html; charset=utf-8"), html.to_owned().into())
    }

    fn body(html: &str) -> String {
        page(html).form("form").unwrap().submission().body.unwrap()
    }

    #[test]
    fn controls_send_what_a_browser_would() {
        for (controls, sent) in [
            ("<input name=a><input name=b value=2><input value=3>", "a=&b=2"),
            ("<input type=CHECKBOX name=a><input type=checkbox name=b checked>", "b=on"),
            ("<input type=radio name=a value=1><input type=radio name=a value=2 checked>", "a=2"),
            ("<select name=a><option>x <b>y</b><option value=2>z</select>", "a=x+y"),
            ("<select name=a><option disabled selected>x<option value=2>z</select>", "a=2"),
            ("<select name=a><option value=1><option value=2 selected></select>", "a=2"),
            ("<select name=a multiple><option selected>1<option selected>2<option>3</select>", "a=1&a=2"),
            ("<select name=a multiple><option>1</select>", ""),
            ("<textarea name=a>\n l1 \nl2</textarea>", "a=+l1+%0D%0Al2"),
            ("<input name=a disabled><fieldset disabled><input name=b></fieldset><input name=c>", "c="),
            ("<input type=submit name=a value=1><button name=b value=2>", "a=1"),
            ("<button type=button name=x><button type=reset name=y><button name=go value=1>", "go=1"),
            ("<input type=reset name=a value=1><input type=image name=b>", ""),
            ("<input type=hidden name=_charset_><input name=ä value=€>", "_charset_=UTF-8&%C3%A4=%E2%82%AC"),
            ("<input name=a value=1 form=other>", ""),
        ] {
            assert_eq!(body(&format!("<form method=post>{controls}</form>")), sent, "{controls}");
        }
        let elsewhere = "<form method=post id=f><input name=a></form><input name=b form=f><input name=c>";
        assert_eq!(body(elsewhere), "a=&b=");
    }

    #[test]
    fn it_goes_where_form_button_and_base_say() {
        for (html, method, url) in [
            ("<form>", "GET", "https://a.example/dir/page?"),
            (
                "<base href=/b/><form action='x?y=1'><input name=q value=2>",
                "GET",
                "https://a.example/b/x?q=2",
            ),
            ("<base href=/b/><form action=' '>", "GET", "https://a.example/dir/page?"),
            ("<form method=POST action=//b.example/x>", "POST", "https://b.example/x"),
            ("<form action=x><button formaction=y formmethod=post>", "POST", "https://a.example/dir/y"),
            ("<form method=put>", "GET", "https://a.example/dir/page?"),
        ] {
            let sent = page(html).form("form").unwrap().submission();
            assert_eq!((sent.method, sent.url.as_str()), (method, url), "{html}");
        }
    }

    #[test]
    fn what_is_no_form_to_fill_says_why() {
        for (html, css, part) in [
            ("<form>", "a[", "CSS selector"),
            ("<form>", "form.login", "cannot find a form at `form.login`"),
            ("<div class=login>", ".login", "find a form"),
            ("<form method=dialog>", "form", "dialog"),
            ("<form method=post enctype=Multipart/Form-Data>", "form", "not sent as"),
            ("<form action=javascript:x()>", "form", "not a web URL"),
        ] {
            let error = page(html).form(css).unwrap_err();
            assert!(error.to_string().contains(part), "{html}: {error}");
        }
    }

    #[test]
    fn fields_are_set_added_and_removed_and_never_shown() {
        let html =
            "<form method=post><input type=radio name=r value=1 checked><input name=u><input name=r value=3>";
        let mut form = page(html).form("form").unwrap();
        form.set("r", "2").set("new", "a\nb").add("new", "c").set("u", "secret");
        assert_eq!((form.get("r"), form.get("none")), (Some("2"), None));
        assert_eq!(form.submission().body.unwrap(), "r=2&u=secret&new=a%0D%0Ab&new=c");
        assert_eq!(form.remove("new").remove("r").fields().collect::<Vec<_>>(), [("u", "secret")]);
        assert!(!format!("{form:?} {:?}", form.submission()).contains("secret"));
    }
}
