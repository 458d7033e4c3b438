//! What a spider asks for: a URL, the step that will read it, and what is special about it.

use opilio_core::Priority;
use opilio_extract::Document;
use url::Url;

use crate::extra::More;

/// A request of a spider: by default a GET, once per crawl, within the host's budget.
///
/// ```
/// use opilio_engine::Request;
///
/// let search = Request::get("http://127.0.0.1:8080/search", ())
///     .method("POST")
///     .header("content-type", "application/x-www-form-urlencoded")
///     .body("q=cable")
///     .retries(1)
///     .priority(5);
/// ```
#[derive(Clone, Debug)]
pub struct Request<Step> {
    pub(crate) url: Target,
    pub(crate) step: Step,
    pub(crate) priority: Priority,
    pub(crate) more: Option<Box<More>>,
}

/// Names a request's URL: a [`Url`], or a text that may be relative to the page it was found on.
/// A text that is no URL is found out when it is used; it is then counted as filtered, not lost.
#[derive(Clone, Debug)]
pub struct Target(TargetKind);

#[derive(Clone, Debug)]
enum TargetKind {
    Url(Url),
    Text(String),
}

impl Target {
    fn as_str(&self) -> &str {
        match &self.0 {
            TargetKind::Url(url) => url.as_str(),
            TargetKind::Text(text) => text,
        }
    }

    /// The absolute URL, as a page's links are resolved; none for a text that is no web URL.
    pub(crate) fn seen_from(&self, document: &Document) -> Option<Url> {
        match &self.0 {
            TargetKind::Url(url) => Some(url.clone()),
            TargetKind::Text(text) => document.resolve(text),
        }
    }

    /// The absolute URL, a text being relative to `base` if there is one.
    pub(crate) fn absolute(self, base: Option<&Url>) -> Result<Url, BadUrl> {
        let text = match self.0 {
            TargetKind::Url(url) => return Ok(url),
            TargetKind::Text(text) => text,
        };
        let url = match base {
            Some(base) => base.join(text.trim()),
            None => Url::parse(text.trim()),
        };
        url.map_err(|source| BadUrl { text, source })
    }
}

/// A text that is no URL.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no URL: {source}")]
pub struct BadUrl {
    /// What was given.
    pub text: String,
    source: url::ParseError,
}

impl From<Url> for Target {
    fn from(url: Url) -> Self {
        Self(TargetKind::Url(url))
    }
}

impl From<&Url> for Target {
    fn from(url: &Url) -> Self {
        Self(TargetKind::Url(url.clone()))
    }
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        Self(TargetKind::Text(text.to_owned()))
    }
}

impl From<String> for Target {
    fn from(text: String) -> Self {
        Self(TargetKind::Text(text))
    }
}

impl<Step> Request<Step> {
    /// A GET of this URL (a [`Url`] or a text, relative to the page that it is found on), read by `step`.
    #[must_use]
    pub fn get(url: impl Into<Target>, step: Step) -> Self {
        Self { url: url.into(), step, priority: Priority::default(), more: None }
    }

    /// The URL, or the text that is to become one.
    pub fn target(&self) -> &str {
        self.url.as_str()
    }

    /// The step that will read the answer.
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Goes before (higher) or after (lower) the others of its host; 0 by default.
    #[must_use]
    pub fn priority(mut self, priority: i8) -> Self {
        self.priority = Priority(priority);
        self
    }

    /// Another method than GET. The dedup key then holds method and body too.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.more().method = Some(method.to_ascii_uppercase()).filter(|method| method != "GET");
        self
    }

    /// A header of this request alone.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.more().headers.push((name.to_ascii_lowercase(), value.as_ref().to_vec()));
        self
    }

    /// A body to send.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.more().body = Some(body.into());
        self
    }

    /// So many retries instead of the policy's.
    #[must_use]
    pub fn retries(mut self, retries: u16) -> Self {
        self.more().retries = Some(retries);
        self
    }

    /// The server may carry it out twice without harm, although its method is not idempotent.
    #[must_use]
    pub fn safe_to_repeat(mut self) -> Self {
        self.more().repeatable = true;
        self
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }
}
