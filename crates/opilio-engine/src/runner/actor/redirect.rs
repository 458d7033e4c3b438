//! Where a redirect leads: the next record of the chain, or why it ends there.

use std::time::Duration;

use opilio_core::{
    Attempts, Ending, Fingerprint, Hints, Host, Reason, Record, RecordKind, Scheme, Timestamp,
};
use opilio_frontier::{Again, Redirect};
use opilio_spider::admission::fingerprint_of;
use opilio_spider::data::{Chain, Extra, Marks, More, Reads};
use opilio_spider::{Answer, Scope, Spider, StepError};
use url::Url;

use super::SpiderRunner;
use super::context::PageContext;
use crate::clock::Clock;
use crate::message::Parsed;

/// What is known of an answer that redirects.
#[derive(Default)]
pub(super) struct Hop {
    status: u16,
    sets_cookies: bool,
    /// What it states to wait before its target is asked (RFC 9110 §10.2.3).
    wait: Option<Duration>,
}

impl Hop {
    pub(super) fn of(answer: &Answer, clock: Clock) -> Self {
        let headers = &answer.headers;
        Self {
            status: answer.status,
            sets_cookies: headers.contains_key(http::header::SET_COOKIE),
            wait: Hints::read(headers, answer.status, clock.unix_millis()).retry_after,
        }
    }
}

/// Which chain found a wall.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// This one, which has passed it.
    Own,
    /// Another one.
    Other,
}

/// Where a chain goes on.
struct Step {
    chain: Chain,
    marks: Marks,
    target: Url,
    host: Host,
    fingerprint: Fingerprint,
    more: More,
    due: Option<Timestamp>,
    again: Again,
    sets_cookie: bool,
}

impl<S: Spider> SpiderRunner<S> {
    /// Goes on at the target, in the name of the chain's origin.
    pub(super) fn redirect(&mut self, context: PageContext<S::Step>, location: Url, hop: Hop) {
        let mut chain = chain_of(&context);
        let location = self.tidied(&context, &chain, location);
        let Ok(host) = Host::of(&location) else {
            return self.lead_nowhere(context, Reason::UnsupportedScheme, &location);
        };
        let sets_cookie = hop.sets_cookies && self.settings.cookies.is_some();
        let mut marks = context.marks;
        marks.has_cookie |= sets_cookie;
        marks.passed_wall |= sets_cookie && *context.record.url != *chain.url;
        let more = onward(&context, &location, hop.status);
        let mut fingerprint = fingerprint_of(&self.settings.scope, &location, Some(&more), context.reads);
        if marks.again {
            // The crawl may know this one, too. It has its chain's name, so that a loop is still one.
            let origin = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
            fingerprint = fingerprint.in_session(&format!("\nagain in the chain of {origin:x}"));
        }
        // Another spelling of the same URL (sorted parameters, decoded escapes) is no loop; should
        // the server never be content, the hops end it.
        let respelled =
            fingerprint == context.record.fingerprint && location.as_str() != &*context.record.url;
        let mut loops = chain.has(fingerprint) || fingerprint == context.record.fingerprint;
        // A cookie that some other answer set, a page's or another chain's, may be what the URL waits for. It
        // is asked with it once.
        let others = || self.settings.cookies.as_ref().is_some_and(|cookies| cookies.are_any());
        let asked_anew = || was_asked_anew(fingerprint, &chain, context.record.fingerprint);
        // A ring that is gone through again without a cookie of its own is one however long it is.
        let ring = loops && !respelled && !marks.has_cookie;
        if loops && (marks.has_cookie || !respelled && others() && !asked_anew()) {
            // "Come back with this cookie": the same URL is another request then. The hops end it.
            fingerprint = with_cookie(fingerprint, &chain);
            loops = false;
        }
        let again = match marks {
            _ if self.settings.cookies.is_none() || !is_plain(&self.settings.scope, &context, &chain) => {
                Again::Never
            }
            // It has the cookies, and this is where they lead.
            Marks { asked_again: true, .. } => Again::Never,
            Marks { passed_wall: true, .. } => Again::Always,
            _ => Again::BehindWall,
        };
        chain.seen.push(context.record.fingerprint.0);
        let hold_max = self.settings.hosts.of(&context.host).policy.hold_max();
        let too_many = chain.seen.len() > usize::from(self.settings.redirects_max);
        let refusal = if loops && !respelled || ring && too_many {
            Some(Reason::RedirectLoop)
        } else if too_many {
            Some(Reason::TooManyRedirects)
        } else if self.is_out_of_scope(&context, &location, &host) {
            Some(Reason::OutOfScope)
        } else if hop.wait.is_some_and(|wait| wait > hold_max) {
            Some(Reason::HostClosed)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return self.lead_nowhere(context, reason, &location);
        }
        let due = hop.wait.map(|wait| self.clock.now() + wait);
        let target = location;
        self.go_on(context, Step { chain, marks, target, host, fingerprint, more, due, again, sets_cookie });
    }

    /// The way from a known URL on sets a cookie: asks the chain's origin again, which may show its page now.
    /// Where it does not, the cookie is not there any more, or not for it: the chain takes that way itself.
    pub(super) fn pass_wall(&mut self, context: PageContext<S::Step>, known: &Url, whose: Whose) {
        let mut chain = chain_of(&context);
        let passed_wall = context.marks.passed_wall || whose == Whose::Own;
        let mut marks = Marks { has_cookie: true, passed_wall, ..context.marks };
        let asks_origin = marks.passed_wall || !marks.asked_behind;
        if asks_origin {
            marks.asked_again |= marks.passed_wall;
            marks.asked_behind = true;
            marks.passed_wall = false;
        }
        let next = if asks_origin { Url::parse(&chain.url).ok() } else { Some(known.clone()) };
        let Some((target, host)) = next.and_then(|url| Some((url.clone(), Host::of(&url).ok()?))) else {
            return self.lead_nowhere(context, Reason::Internal, known);
        };
        let more = onward(&context, &target, 302);
        let fingerprint =
            with_cookie(fingerprint_of(&self.settings.scope, &target, Some(&more), context.reads), &chain);
        chain.seen.push(context.record.fingerprint.0);
        if chain.seen.len() > usize::from(self.settings.redirects_max) {
            return self.lead_nowhere(context, Reason::TooManyRedirects, known);
        }
        let (due, again, sets_cookie) = (None, Again::Never, true);
        self.go_on(context, Step { chain, marks, target, host, fingerprint, more, due, again, sets_cookie });
    }

    fn go_on(&mut self, context: PageContext<S::Step>, next: Step) {
        let Step { chain, marks, target, host, fingerprint, more, due, again, sets_cookie } = next;
        let step = self.converter.step(&context.step);
        let extra = step.and_then(|step| {
            let more = Some(Box::new(More { origin: Some(chain), ..more }));
            let (reads, referrer) = (context.reads, context.referrer.clone());
            let extra = Extra { step, referrer, more, reads, marks, ..Extra::default() };
            extra.encode().map_err(StepError::Pack)
        });
        let extra = match extra {
            Ok(extra) => extra,
            Err(error) => return self.failure(context, Reason::ParseError, None, Some(error.to_string())),
        };
        let target = Record {
            url: target.as_str().into(),
            fingerprint,
            host,
            scheme: Scheme::of(&target).unwrap_or(context.record.scheme),
            depth: context.record.depth,
            priority: context.record.priority,
            score: context.record.score,
            attempts: Default::default(),
            kind: RecordKind::Continuation,
            validators: None,
            extra,
        };
        let redirect = Redirect { target, due, sets_cookie, again, attempts: Attempts::of(context.attempts) };
        let ending = Ending::Redirected;
        self.port.give(Parsed {
            next: Some(Box::new(redirect)),
            samples: self.converter.samples(),
            ..Parsed::bare(self.shard, context.host, context.lease, ending, context.origin, context.attempts)
        });
    }

    fn lead_nowhere(&mut self, context: PageContext<S::Step>, reason: Reason, target: &Url) {
        self.failure(context, reason, None, Some(format!("redirected to {target}")));
    }

    /// Takes the host of an answer into the scope that a seed led to by redirects.
    pub(super) fn grow_scope(&self, context: &mut PageContext<S::Step>) {
        let Some(chain) = context.more.as_ref().and_then(|more| more.origin.as_ref()) else { return };
        let is_near = || {
            let origin = Url::parse(&chain.url).ok().and_then(|url| Host::of(&url).ok());
            origin.is_some_and(|origin| origin.group() == context.host.group())
        };
        // Nobody asked for a robots.txt: what another site's lists is not the crawl's.
        let carries = context.marks.of_seed && (context.reads != Reads::SitemapsOf || is_near());
        if carries && self.settings.scope.grow(&context.host) {
            tracing::info!(host = %context.host, seed = %chain.url, "a seed led to this host: it belongs to the crawl");
            context.grows = Some(context.host.clone());
        }
    }

    /// A redirect's target as the scope wants it. A server that adds what the scope takes away (or
    /// redirects back to add it) means it: there the target stays as it is, or it would be a loop.
    fn tidied(&self, context: &PageContext<S::Step>, chain: &Chain, location: Url) -> Url {
        let mut tidy = location.clone();
        self.settings.scope.tidy(&mut tidy);
        let fingerprint = fingerprint_of(&self.settings.scope, &tidy, context.more.as_deref(), context.reads);
        let was_there = fingerprint == context.record.fingerprint || chain.has(fingerprint);
        if was_there { location } else { tidy }
    }

    fn is_out_of_scope(&self, context: &PageContext<S::Step>, target: &Url, host: &Host) -> bool {
        let scope = &self.settings.scope;
        let refusal = match context.reads {
            Reads::Page if context.marks.of_seed => scope.refuses_seeds_redirect(target),
            Reads::Page => scope.refuses_redirect(target, host, context.record.depth),
            Reads::Sitemap { depth } => {
                let from = (!context.marks.of_seed).then_some(&context.host);
                scope.refuses_sitemap(target, host, depth, from)
            }
            // As the rules themselves, wherever they are (RFC 9309 §2.3.1.2).
            Reads::SitemapsOf => scope.refuses_sitemap(target, host, 0, None),
        };
        refusal.is_some()
    }
}

/// The chain so far, of which this URL is not yet part.
fn chain_of<Step>(context: &PageContext<Step>) -> Chain {
    let chain = context.more.as_ref().and_then(|more| more.origin.clone());
    chain.unwrap_or_else(|| Chain { url: context.origin.to_string(), seen: Vec::new() })
}

/// Whether the chain's origin was a plain GET: nothing else is asked again.
fn is_plain<Step>(scope: &Scope, context: &PageContext<Step>, chain: &Chain) -> bool {
    let origin = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
    let more = More { session: context.session().map(str::to_owned), ..More::default() };
    let plain = Url::parse(&chain.url).map(|url| fingerprint_of(scope, &url, Some(&more), context.reads));
    plain.is_ok_and(|plain| plain.0 == origin)
}

/// Tells a URL that a chain comes back to with a cookie from the same URL before, and from that of every
/// other chain. No name of a session holds a line break.
fn with_cookie(url: Fingerprint, chain: &Chain) -> Fingerprint {
    with_cookie_at(url, chain, chain.seen.len())
}

fn with_cookie_at(url: Fingerprint, chain: &Chain, hop: usize) -> Fingerprint {
    url.in_session(&format!("\nwith the cookie of {} at hop {hop}", chain.url))
}

/// Whether a chain that is at this URL has come back to another one before.
fn was_asked_anew(url: Fingerprint, chain: &Chain, at: Fingerprint) -> bool {
    (0..chain.seen.len()).any(|hop| {
        let next = chain.seen.get(hop + 1).copied().unwrap_or(at.0);
        next == with_cookie_at(url, chain, hop).0
    })
}

/// What of a request goes on to the target of its redirect: 307 and 308 keep method and body, the
/// others become a GET (RFC 9110 §15.4). Credentials stay with the origin that they were meant for.
fn onward<Step>(context: &PageContext<Step>, target: &Url, status: u16) -> More {
    let mut more = context.more.as_deref().cloned().unwrap_or_default();
    if !matches!(status, 307 | 308) && more.method.as_deref() != Some("HEAD") {
        more.method = None;
        more.body = None;
    }
    // Validators are of the URL that gave them, and of no other.
    more.headers.retain(|(name, _)| !CONDITIONS.contains(&name.as_str()));
    if origin_of(target) != Url::parse(&context.record.url).ok().as_ref().and_then(origin_of) {
        more.headers.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    }
    more
}

/// Scheme, name and port: credentials go no further.
fn origin_of(url: &Url) -> Option<(String, String, u16)> {
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// Header fields that make a request conditional (RFC 9110 §13.1).
const CONDITIONS: [&str; 5] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
/// Header fields that another host must not see.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
