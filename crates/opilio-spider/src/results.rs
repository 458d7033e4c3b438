//! Turns the items and requests of a page into the result of its lease: records, rows, and the names (canonical URL
//! and content) by which duplicates are recognised.

use opilio_core::{Ending, Reason};
use opilio_export::ExportError;
use opilio_frontier::{Cause, Redirect};
use url::Url;

use crate::admission::{Converter, Encoders, LinkError, Links, fingerprint_of, rows};
use crate::context::PageContext;
use crate::data::Reads;
use crate::naming::PageName;
use crate::page::Answer;
use crate::parsed::{EncodedItems, Name, Parsed};
use crate::reading::Gathered;
use crate::redirect::{self, DeadEnd, Hop, RedirectRules, Whose};
use crate::same::{Bodies, Firsts};
use crate::scope::Scope;
use crate::spider::Spider;

/// Makes the results of leases. Each shard has its own value, which holds the encoders and the data that is
/// remembered from page to page.
pub struct PageResults<S: Spider> {
    encoders: Encoders<S::Item>,
    converter: Converter,
    bodies: Bodies,
    firsts: Firsts,
}

/// The parts of a result that do not come from the items and requests of the spider.
#[derive(Default)]
pub struct Beside {
    /// The canonical URL and the content of the page, if the crawl uses them to recognise duplicates.
    pub names: Vec<Name>,
    /// The entries of a sitemap, as records.
    pub links: Links,
    /// The known facts about the cause of a failure.
    pub cause: Cause,
}

impl<S: Spider> PageResults<S> {
    /// Makes a value with these encoders: one encoder for each output.
    pub fn new(encoders: Encoders<S::Item>) -> Self {
        let (bodies, firsts) = (Bodies::default(), Firsts::default());
        Self { encoders, converter: Converter::default(), bodies, firsts }
    }

    /// Makes the result of a lease from the results of `parse`. If an item or a step cannot be encoded, the page ends
    /// as a failure.
    ///
    /// # Errors
    /// When an output cannot take items of this kind. Then the lease gets no result, and a later run fetches
    /// the page again.
    pub fn of(
        &mut self,
        context: PageContext<S::Step>,
        found: Gathered<S>,
        ending: Ending,
        beside: Beside,
        scope: &Scope,
    ) -> Result<Parsed, ExportError> {
        let Gathered { items, requests, unfollowed, .. } = found;
        let links = self.converter.links::<S>(requests, unfollowed, &context.parent(), scope);
        let rows = rows(&mut self.encoders, &items);
        if let Err(error @ ExportError::OtherColumns { .. }) = rows {
            return Err(error);
        }
        let Beside { names, links: Links { admissions: mut all, mut samples }, cause } = beside;
        samples.append(&mut self.converter.samples());
        let parsed = Parsed {
            grows: context.grows,
            fetched: context.fetched,
            coverage: context.coverage,
            is_list: context.reads != Reads::Page,
            samples,
            ..Parsed::bare(
                context.record.host,
                context.lease,
                ending,
                context.requested_url,
                context.attempts,
            )
        };
        Ok(match (links, rows) {
            (Ok(links), Ok(rows)) => {
                all.extend(links);
                let items = EncodedItems { count: items.len() as u64, rows };
                Parsed { links: all, names, items, cause, ..parsed }
            }
            (links, rows) => {
                let cause = not_encoded(&context.record.url, links.err(), rows.err());
                Parsed { ending: Ending::Failed(Reason::ParseError), cause, ..parsed }
            }
        })
    }

    /// Returns the record of a redirect's target, for an answer that redirects.
    ///
    /// # Errors
    /// When the chain of redirects ends here.
    pub fn follow(
        &mut self,
        context: &PageContext<S::Step>,
        location: Url,
        hop: &Hop,
        rules: &RedirectRules<'_>,
    ) -> Result<Redirect, DeadEnd> {
        redirect::follow(context, location, hop, rules, &mut self.converter)
    }

    /// Handles a redirect to a known URL in a chain that has received a new cookie. Returns the record that requests
    /// the chain's first URL again, since the server may send its page to a client with the cookie.
    ///
    /// # Errors
    /// When the chain of redirects ends here.
    pub fn pass_wall(
        &mut self,
        context: &PageContext<S::Step>,
        known: &Url,
        whose: Whose,
        rules: &RedirectRules<'_>,
    ) -> Result<Redirect, DeadEnd> {
        redirect::pass_wall(context, known, whose, rules, &mut self.converter)
    }

    /// Returns the result of a URL that was redirected. `next` is the record of the redirect's target.
    pub fn redirected(&mut self, context: PageContext<S::Step>, next: Redirect) -> Parsed {
        let PageContext { record, lease, requested_url, attempts, .. } = context;
        let bare = Parsed::bare(record.host, lease, Ending::Redirected, requested_url, attempts);
        Parsed { next: Some(Box::new(next)), samples: self.converter.samples(), ..bare }
    }

    /// Returns the result of a URL that was redirected to a URL of which the crawl already has the page.
    pub fn alias(&mut self, context: &PageContext<S::Step>, target: &Url, scope: &Scope) -> Parsed {
        if redirect::began_with_a_form(context, scope) {
            tracing::warn!(
                url = %context.requested_url,
                %target,
                "the answer to a form redirects to a URL that the crawl has already requested: that page is not read again. To read it after the form, request it with `Request::again`"
            );
        }
        let items = EncodedItems { count: 0, rows: self.alias_rows(&context.requested_url, target.as_str()) };
        let (host, requested_url) = (context.host().clone(), context.requested_url.clone());
        Parsed { items, ..Parsed::bare(host, context.lease, Ending::Alias, requested_url, context.attempts) }
    }

    /// Returns the names of a page (its canonical URL and its content), each with the rows to write if an earlier
    /// page has that name.
    pub fn names(&mut self, context: &PageContext<S::Step>, name: PageName, scope: &Scope) -> Vec<Name> {
        let mut names = Vec::new();
        if let Some(url) = name.settled(context.host(), context.record.depth, scope) {
            let fingerprint = fingerprint_of(scope, &url, context.options.as_deref(), Reads::Page);
            names.push(Name {
                fingerprint,
                alias_rows: self.alias_rows(&context.requested_url, url.as_str()),
            });
        }
        let Some(content) = name.content else { return names };
        // Pages of two sessions never count as duplicates, since a server may show different content to each user.
        let fingerprint = content.in_session(context.session().unwrap_or_default());
        if let Some(first) = self.firsts.of(fingerprint, context.record.fingerprint, name.own.as_str()) {
            names.push(Name { fingerprint, alias_rows: self.alias_rows(&context.requested_url, &first) });
        }
        names
    }

    /// Counts the content of a page. Returns whether the host of the page has sent that content so often that the
    /// links of the page are taken for a trap.
    pub fn is_repeated(&mut self, context: &PageContext<S::Step>, answer: &Answer, scope: &Scope) -> bool {
        let max = scope.same_content_max();
        let kind = answer.headers.get(http::header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        let is_markup = kind.is_none_or(|kind| {
            let kind = String::from_utf8_lossy(kind).to_ascii_lowercase();
            kind.contains("html") || kind.contains("xml")
        });
        let counts = is_markup && context.is_plain() && !context.marks.again && !answer.body.is_empty();
        if max == u32::MAX || !counts {
            return false;
        }
        let times = self.bodies.note(context.host(), &answer.body);
        if times == max.saturating_add(1) {
            let (url, host) = (&context.record.url, context.host());
            tracing::warn!(%host, %url, times, "many URLs of this host have sent the same content: links on further pages with this content are not followed");
        }
        times > max
    }

    /// Returns the rows that say that `requested_url` is an alias of `target`, one buffer for each output.
    fn alias_rows(&mut self, requested_url: &str, target: &str) -> Vec<Vec<u8>> {
        let mut rows = Vec::with_capacity(self.encoders.len());
        for encoder in &mut self.encoders {
            let mut out = Vec::new();
            if let Err(error) = encoder.encode_alias(requested_url, target, &mut out) {
                tracing::warn!(url = %requested_url, %error, "the output cannot hold aliases: the row that names this URL and the page that it leads to is not written");
                out.clear();
            }
            rows.push(out);
        }
        rows
    }
}

/// Logs why a page cannot be encoded. Returns the cause of the page's failure.
fn not_encoded(url: &str, step: Option<LinkError>, item: Option<ExportError>) -> Cause {
    let mut cause = Cause::default();
    if let Some(error) = step {
        let error = with_causes(&error);
        tracing::warn!(url, error, "the step of a request that this page made cannot be encoded");
        cause = Cause::new(None, Some(&error));
    }
    if let Some(error) = item {
        let error = with_causes(&error);
        tracing::warn!(url, error, "an item of this page cannot be encoded");
        cause = Cause::new(None, Some(&format!("an item cannot be encoded: {error}")));
    }
    cause
}

/// Returns the text of an error and of all its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}
