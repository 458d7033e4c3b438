//! Builds pages that were never fetched, for tests of a spider.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use opilio_core::USER_AGENT;

use crate::header::{BadHeader, header as read_header};
use crate::page::{Answer, Page, PageFacts};
use crate::request::{BadUrl, Target};

impl Page<()> {
    /// Begins to build a page that was never fetched, for unit tests of `parse`. The page has the status 200 and no
    /// body. `url` is the URL that the body comes from.
    ///
    /// ```
    /// # mod opilio { pub use {opilio_core::*, opilio_spider::*, opilio_export::*, opilio_export as export}; }
    /// use opilio::Page;
    /// use serde_json::json;
    /// # #[derive(Debug, PartialEq)] enum Step { Api }
    ///
    /// let page = Page::builder("https://shop.example/api/lamps?page=2")
    ///     .step(Step::Api)
    ///     .json(&json!({ "lamps": [{ "name": "Floor lamp" }] }))
    ///     .header("etag", "\"7\"")
    ///     .depth(3)
    ///     .session("alice")
    ///     .build()?;
    /// assert_eq!(page.json::<serde_json::Value>()?["lamps"][0]["name"], "Floor lamp");
    /// assert_eq!((page.step(), page.depth(), page.session()), (&Step::Api, 3, Some("alice")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder(url: impl Into<Target>) -> PageBuilder<()> {
        let draft = PageDraft {
            url: url.into(),
            requested_url: None,
            status: 200,
            headers: Ok(HeaderMap::new()),
            body: Bytes::new(),
            depth: 0,
            attempts: 1,
            elapsed: Duration::ZERO,
            referrer: None,
            session: None,
            fetched_at: None,
        };
        PageBuilder { draft, step: () }
    }
}

/// A page that is being built: see [`Page::builder`].
#[derive(Debug)]
#[must_use = "a page is made by `build`"]
pub struct PageBuilder<Step> {
    draft: PageDraft,
    step: Step,
}

#[derive(Debug)]
struct PageDraft {
    url: Target,
    requested_url: Option<Target>,
    status: u16,
    headers: Result<HeaderMap, BadHeader>,
    body: Bytes,
    depth: u16,
    attempts: u16,
    elapsed: Duration,
    referrer: Option<Box<str>>,
    session: Option<Box<str>>,
    fetched_at: Option<SystemTime>,
}

impl<Step> PageBuilder<Step> {
    /// Sets the step for which the page was requested.
    pub fn step<Other>(self, step: Other) -> PageBuilder<Other> {
        PageBuilder { draft: self.draft, step }
    }

    /// Sets the URL that was requested, for a page that was reached by redirects.
    pub fn requested_url(mut self, url: impl Into<Target>) -> Self {
        self.draft.requested_url = Some(url.into());
        self
    }

    /// Sets the HTTP status.
    pub fn status(mut self, status: u16) -> Self {
        self.draft.status = status;
        self
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(headers) = &mut self.draft.headers {
            match read_header(name, value) {
                Ok((name, mut value)) => {
                    // Not a secret: a server has sent this field.
                    value.set_sensitive(false);
                    headers.append(name, value);
                }
                Err(error) => self.draft.headers = Err(error),
            }
        }
        self
    }

    /// Sets a body of HTML, with its content type.
    pub fn html(self, html: impl Into<Bytes>) -> Self {
        self.body("text/html; charset=utf-8", html)
    }

    /// Sets a body of JSON, with its content type.
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.body("application/json", value.to_string())
    }

    /// Sets a body of the given content type.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.draft.body = body.into();
        if let Ok(headers) = &mut self.draft.headers {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        self
    }

    /// Sets the number of links from a seed to this page.
    pub fn depth(mut self, depth: u16) -> Self {
        self.draft.depth = depth;
        self
    }

    /// Sets how many attempts the page took.
    pub fn attempts(mut self, attempts: u16) -> Self {
        self.draft.attempts = attempts;
        self
    }

    /// Sets the time from the start of the attempt to the last byte.
    pub fn elapsed(mut self, elapsed: Duration) -> Self {
        self.draft.elapsed = elapsed;
        self
    }

    /// Sets the page or sitemap on which the URL was found.
    pub fn referrer(mut self, url: &str) -> Self {
        self.draft.referrer = Some(url.into());
        self
    }

    /// Sets the session in which the page was fetched.
    pub fn session(mut self, name: &str) -> Self {
        self.draft.session = Some(name.into());
        self
    }

    /// Sets when the page had arrived.
    pub fn fetched_at(mut self, at: SystemTime) -> Self {
        self.draft.fetched_at = Some(at);
        self
    }

    /// Builds the page.
    ///
    /// # Errors
    /// When a text is not a URL, or HTTP does not allow a header field.
    pub fn build(self) -> Result<Page<Step>, BadPage> {
        let PageDraft { url, requested_url, depth, attempts, referrer, session, .. } = self.draft;
        let url = url.absolute(None)?;
        let requested_url = requested_url.map_or_else(|| Ok(url.clone()), |other| other.absolute(None))?;
        let facts = PageFacts {
            requested_url: requested_url.as_str().into(),
            depth,
            attempts,
            referrer,
            user_agent: USER_AGENT.into(),
            session,
            known_hash: None,
            is_repeated: false,
        };
        let since = self.draft.fetched_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let answer = Answer {
            url,
            status: self.draft.status,
            headers: self.draft.headers?,
            body: self.draft.body,
            cut: false,
            permit: None,
            elapsed: self.draft.elapsed,
            fetched_unix_millis: since.and_then(|since| i64::try_from(since.as_millis()).ok()),
        };
        Ok(Page::new(answer, self.step, facts))
    }
}

/// The reason why a page could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadPage {
    /// A text that was given as a URL is not a URL.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// HTTP does not allow a header field.
    #[error(transparent)]
    Header(#[from] BadHeader),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_page_has_what_it_was_given() {
        let page = Page::builder("http://a.example/new")
            .requested_url("http://a.example/old")
            .status(304)
            .header("ETag", "\"1\"")
            .header("x-robots-tag", "noindex")
            .html("<title>t</title><a href=b>b</a>")
            .attempts(2)
            .elapsed(Duration::from_millis(7))
            .referrer("http://a.example/")
            .build()
            .unwrap();
        assert_eq!(
            (page.requested_url(), page.url().as_str()),
            ("http://a.example/old", "http://a.example/new")
        );
        assert!(page.is_not_modified() && page.is_noindex());
        assert_eq!((page.etag(), page.title()), (Some("\"1\""), Some("t")));
        assert_eq!((page.attempts(), page.elapsed()), (2, Duration::from_millis(7)));
        assert_eq!((page.referrer(), page.session(), page.depth()), (Some("http://a.example/"), None, 0));
        assert_eq!(page.links()[0].url.as_str(), "http://a.example/b");
    }

    #[test]
    fn what_is_no_url_or_no_header_field_is_said() {
        let words = |page: PageBuilder<()>| page.build().unwrap_err().to_string();
        let expected = "\"shop/x\" is not a URL: it has no scheme: write http:// or https:// in front";
        assert_eq!(words(Page::builder("shop/x")), expected);
        let page = Page::builder("http://a.example/").header("a b", "c");
        assert_eq!(words(page), "\"a b\" with this value is not a header field");
    }
}
