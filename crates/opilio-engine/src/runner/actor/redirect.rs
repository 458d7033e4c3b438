//! Where a redirect leads: the next record of the chain, or why it ends there.

use opilio_core::{Ending, Host, Reason, Record, RecordKind, Scheme};
use url::Url;

use super::super::convert::fingerprint_of;
use super::SpiderRunner;
use super::case::Case;
use crate::extra::{Chain, Extra, More, Reads};
use crate::message::{Next, Parsed};
use crate::spider::Spider;

/// What is known of an answer that redirects.
pub(super) struct Hop {
    pub(super) status: u16,
    pub(super) sets_cookies: bool,
}

impl<S: Spider> SpiderRunner<S> {
    /// Goes on at the target, in the name of the chain's origin.
    pub(super) fn redirect(&mut self, case: Case<S::Step>, location: Url, hop: Hop) {
        let chain = case.more.as_ref().and_then(|more| more.origin.clone());
        let mut chain = chain.unwrap_or_else(|| Chain { url: case.origin.to_string(), seen: Vec::new() });
        let location = self.tidied(&case, &chain, location);
        let Ok(host) = Host::of(&location) else {
            return self.failure(
                case,
                Reason::UnsupportedScheme,
                None,
                Some(format!("redirected to {location}")),
            );
        };
        let more = onward(&case, &location, hop.status);
        let mut fingerprint = fingerprint_of(&location, Some(&more), case.reads);
        // Another spelling of the same URL (sorted parameters, decoded escapes) is no loop; should
        // the server never be content, the hops end it.
        let respelled = fingerprint == case.record.fingerprint && location.as_str() != &*case.record.url;
        let mut loops = chain.has(fingerprint) || fingerprint == case.record.fingerprint;
        if loops && hop.sets_cookies && self.settings.keeps_cookies {
            // "Come back with this cookie": the same URL is another request then. Once in a chain.
            fingerprint = fingerprint.in_session(WITH_COOKIE);
            loops = chain.has(fingerprint) || fingerprint == case.record.fingerprint;
        }
        chain.seen.push(case.record.fingerprint.0);
        let refusal = if loops && !respelled {
            Some(Reason::RedirectLoop)
        } else if chain.seen.len() > usize::from(self.settings.redirects_max) {
            Some(Reason::TooManyRedirects)
        } else if self.is_out_of_scope(&case, &location, &host) {
            Some(Reason::OutOfScope)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.failure(case, reason, None, Some(format!("redirected to {location}")));
        }
        let step = postcard::to_stdvec(&case.step);
        let extra = step.and_then(|step| {
            let more = Some(Box::new(More { origin: Some(chain), ..more }));
            Extra { step, more, reads: case.reads }.encode()
        });
        let Ok(extra) = extra else {
            return self.failure(case, Reason::ParseError, None, Some("the step cannot be encoded".into()));
        };
        let record = Record {
            url: location.as_str().into(),
            fingerprint,
            host,
            scheme: Scheme::of(&location).unwrap_or(case.record.scheme),
            depth: case.record.depth,
            priority: case.record.priority,
            score: case.record.score,
            attempts: Default::default(),
            kind: RecordKind::Continuation,
            validators: None,
            extra,
        };
        let alias_rows = self.alias_rows(&case.origin, &location);
        let ending = Ending::Redirected;
        self.port.give(Parsed {
            next: Some(Box::new(Next { record, alias_rows })),
            ..Parsed::bare(self.shard, case.host, case.lease, ending, case.origin, case.attempts)
        });
    }

    /// A redirect's target as the scope wants it. A server that adds what the scope takes away (or
    /// redirects back to add it) means it: there the target stays as it is, or it would be a loop.
    fn tidied(&self, case: &Case<S::Step>, chain: &Chain, location: Url) -> Url {
        let mut tidy = location.clone();
        self.settings.scope.tidy(&mut tidy);
        let fingerprint = fingerprint_of(&tidy, case.more.as_deref(), case.reads);
        let was_there = fingerprint == case.record.fingerprint || chain.has(fingerprint);
        if was_there { location } else { tidy }
    }

    fn is_out_of_scope(&self, case: &Case<S::Step>, target: &Url, host: &Host) -> bool {
        let scope = &self.settings.scope;
        let refusal = match case.reads {
            Reads::Page => scope.refuses_redirect(target, host, case.record.depth),
            Reads::Sitemap { depth } => scope.refuses_sitemap(target, host, depth, Some(&case.host)),
            // As the rules themselves, wherever they are (RFC 9309 §2.3.1.2).
            Reads::SitemapsOf => scope.refuses_sitemap(target, host, 0, None),
        };
        refusal.is_some()
    }
}

/// What of a request goes on to the target of its redirect: 307 and 308 keep method and body, the
/// others become a GET (RFC 9110 §15.4). Credentials stay with the origin that they were meant for.
fn onward<Step>(case: &Case<Step>, target: &Url, status: u16) -> More {
    let mut more = case.more.as_deref().cloned().unwrap_or_default();
    if !matches!(status, 307 | 308) && more.method.as_deref() != Some("HEAD") {
        more.method = None;
        more.body = None;
    }
    // Validators are of the URL that gave them, and of no other.
    more.headers.retain(|(name, _)| !CONDITIONS.contains(&name.as_str()));
    if origin_of(target) != Url::parse(&case.record.url).ok().as_ref().and_then(origin_of) {
        more.headers.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    }
    more
}

/// Scheme, name and port: credentials go no further.
fn origin_of(url: &Url) -> Option<(String, String, u16)> {
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// Tells a URL that a chain comes back to with a cookie from the same URL before. No name of a session
/// holds a line break.
const WITH_COOKIE: &str = "\nwith the cookie";
/// Header fields that make a request conditional (RFC 9110 §13.1).
const CONDITIONS: [&str; 5] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
/// Header fields that another host must not see.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
