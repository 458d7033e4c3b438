//! Follows redirects: makes the record of a redirect's target, or ends the chain of redirects.

use std::time::Duration;

use opilio_core::{Attempts, Fingerprint, Hints, Host, Reason, Record, RecordKind, Scheme, Timestamp};
use opilio_frontier::{Again, Redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::admission::{Converter, fingerprint_of};
use crate::context::PageContext;
use crate::data::{Chain, Marks, Reads, RequestData, RequestOptions};
use crate::page::Answer;
use crate::scope::Scope;
use crate::spider::ParseError;
use crate::step::StepError;

/// The facts of an answer that matter if it is a redirect.
#[derive(Default)]
pub struct Hop {
    status: u16,
    sets_cookies: bool,
    /// The time that the crawl has to wait before it requests the target (`Retry-After`, RFC 9110 §10.2.3).
    wait: Option<Duration>,
}

impl Hop {
    /// Reads the facts from an answer. `unix_millis` is the present time in milliseconds since 1970, to compare with
    /// dates in the answer.
    pub fn of(answer: &Answer, unix_millis: i64) -> Self {
        let headers = &answer.headers;
        Self {
            status: answer.status,
            sets_cookies: headers.contains_key(http::header::SET_COOKIE),
            wait: Hints::read(headers, answer.status, unix_millis).retry_after,
        }
    }
}

/// Says which chain has a new cookie when the first URL of a chain is requested again with that cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The chain itself has received the cookie.
    Own,
    /// Another chain has received the cookie.
    Other,
}

/// The crawl's settings for redirects, and the present time.
pub struct RedirectRules<'a> {
    /// The scope, which says which URLs belong to the crawl.
    pub scope: &'a Scope,
    /// The most redirects of one chain.
    pub hops_max: u16,
    /// The longest wait that a host may ask for. A host that asks for a longer wait is parked: it gets no requests
    /// until the wait is over, and its URLs fail.
    pub hold_max: Duration,
    /// Whether the crawl keeps cookies.
    pub keeps_cookies: bool,
    /// Returns whether the crawl holds any cookie. Called only if a chain comes back to one of its URLs.
    pub has_cookies: &'a dyn Fn() -> bool,
    /// The present time of the crawl.
    pub now: Timestamp,
}

/// The reason why a chain of redirects ends without a page.
#[derive(Debug)]
pub struct DeadEnd {
    /// The reason of the failure.
    pub reason: Reason,
    /// The target of the redirect, or another detail, for people.
    pub error: String,
}

impl DeadEnd {
    fn at(reason: Reason, target: &Url) -> Self {
        Self { reason, error: format!("redirected to {target}") }
    }
}

/// The parts from which the record of a redirect's target is made.
struct Next {
    chain: Chain,
    marks: Marks,
    target: Url,
    host: Host,
    fingerprint: Fingerprint,
    options: RequestOptions,
    due: Option<Timestamp>,
    again: Again,
    sets_cookie: bool,
}

/// Makes the record of a redirect's target. The record belongs to the chain's first URL: when the chain ends, the
/// store records how that first URL ended.
///
/// # Errors
/// When the chain ends here: the target is refused, or the chain is a loop, or it has too many redirects.
pub fn follow<Step: Serialize + DeserializeOwned>(
    context: &PageContext<Step>,
    location: Url,
    hop: &Hop,
    rules: &RedirectRules<'_>,
    converter: &mut Converter,
) -> Result<Redirect, DeadEnd> {
    let mut chain = chain_of(context);
    let location = tidied(context, &chain, location, rules.scope);
    let Ok(host) = Host::of(&location) else {
        return Err(DeadEnd::at(Reason::UnsupportedScheme, &location));
    };
    let sets_cookie = hop.sets_cookies && rules.keeps_cookies;
    let mut marks = context.marks;
    marks.has_cookie |= sets_cookie;
    marks.passed_wall |= sets_cookie && *context.record.url != *chain.url;
    let options = onward(context, &location, hop.status);
    let mut fingerprint = fingerprint_of(rules.scope, &location, Some(&options), context.reads);
    if marks.again {
        // The crawl may already know the target. A fingerprint that includes the chain's first URL makes this a
        // separate request, and a loop within the chain is still recognised.
        let first = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
        fingerprint = fingerprint.in_session(&format!("\nagain in the chain of {first:x}"));
    }
    // A target that is the same URL in another spelling (sorted parameters, decoded escapes) is not a loop. If the
    // server redirects for ever, the limit of redirects ends the chain.
    let respelled = fingerprint == context.record.fingerprint && location.as_str() != &*context.record.url;
    let mut loops = chain.has(fingerprint) || fingerprint == context.record.fingerprint;
    // The URL may need a cookie that was set by the answer to a page or in another chain. So it is requested once
    // more, with that cookie.
    let others = || (rules.has_cookies)();
    let asked_anew = || was_asked_anew(fingerprint, &chain, context.record.fingerprint);
    // A chain that passes the same URLs a second time without a new cookie is a loop, even if it has many URLs.
    let ring = loops && !respelled && !marks.has_cookie;
    if loops && (marks.has_cookie || !respelled && others() && !asked_anew()) {
        // The server has set a cookie and redirects back to the same URL. With the cookie this is a separate request.
        // If every answer sets another cookie, the limit of redirects ends the chain.
        fingerprint = with_cookie(fingerprint, &chain);
        loops = false;
    }
    let again = match marks {
        _ if !rules.keeps_cookies || !is_plain(rules.scope, context, &chain) => Again::Never,
        // The chain already has the cookies, and the server redirects to this URL again.
        Marks { asked_again: true, .. } => Again::Never,
        Marks { passed_wall: true, .. } => Again::Always,
        _ => Again::BehindWall,
    };
    chain.seen.push(context.record.fingerprint.0);
    let too_many = chain.seen.len() > usize::from(rules.hops_max);
    let refusal = if loops && !respelled || ring && too_many {
        Some(Reason::RedirectLoop)
    } else if too_many {
        Some(Reason::TooManyRedirects)
    } else if is_out_of_scope(context, &location, &host, rules.scope) {
        Some(Reason::OutOfScope)
    } else if hop.wait.is_some_and(|wait| wait > rules.hold_max) {
        Some(Reason::HostClosed)
    } else {
        None
    };
    if let Some(reason) = refusal {
        return Err(DeadEnd::at(reason, &location));
    }
    let (target, due) = (location, hop.wait.map(|wait| rules.now + wait));
    go_on(
        context,
        converter,
        Next { chain, marks, target, host, fingerprint, options, due, again, sets_cookie },
    )
}

/// Handles a redirect that sets a cookie and leads to a known URL, such as a consent or login page: requests the
/// chain's first URL again, since the server may send the page to a client with the cookie. If the first URL was
/// already requested again, follows the redirect to its target.
///
/// # Errors
/// When the chain ends here: the target is refused, or the chain is a loop, or it has too many redirects.
pub fn pass_wall<Step: Serialize + DeserializeOwned>(
    context: &PageContext<Step>,
    known: &Url,
    whose: Whose,
    rules: &RedirectRules<'_>,
    converter: &mut Converter,
) -> Result<Redirect, DeadEnd> {
    let mut chain = chain_of(context);
    let passed_wall = context.marks.passed_wall || whose == Whose::Own;
    let mut marks = Marks { has_cookie: true, passed_wall, ..context.marks };
    let starts_over = marks.passed_wall || !marks.asked_behind;
    if starts_over {
        marks.asked_again |= marks.passed_wall;
        marks.asked_behind = true;
        marks.passed_wall = false;
    }
    let next = if starts_over { Url::parse(&chain.url).ok() } else { Some(known.clone()) };
    let Some((target, host)) = next.and_then(|url| Some((url.clone(), Host::of(&url).ok()?))) else {
        return Err(DeadEnd::at(Reason::Internal, known));
    };
    let options = onward(context, &target, 302);
    let fingerprint =
        with_cookie(fingerprint_of(rules.scope, &target, Some(&options), context.reads), &chain);
    chain.seen.push(context.record.fingerprint.0);
    if chain.seen.len() > usize::from(rules.hops_max) {
        return Err(DeadEnd::at(Reason::TooManyRedirects, known));
    }
    let (due, again, sets_cookie) = (None, Again::Never, true);
    go_on(
        context,
        converter,
        Next { chain, marks, target, host, fingerprint, options, due, again, sets_cookie },
    )
}

fn go_on<Step: Serialize + DeserializeOwned>(
    context: &PageContext<Step>,
    converter: &mut Converter,
    next: Next,
) -> Result<Redirect, DeadEnd> {
    let Next { chain, marks, target, host, fingerprint, options, due, again, sets_cookie } = next;
    let step = converter.step(&context.step);
    let extra = step.and_then(|step| {
        let options = Some(Box::new(RequestOptions { chain: Some(chain), ..options }));
        let (reads, referrer) = (context.reads, context.referrer.clone());
        let data = RequestData { step, referrer, options, reads, marks, ..RequestData::default() };
        data.encode().map_err(StepError::Pack)
    });
    let unkept =
        |error: StepError| DeadEnd { reason: Reason::ParseError, error: ParseError::from(error).to_string() };
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
        extra: extra.map_err(unkept)?,
    };
    Ok(Redirect { target, due, sets_cookie, again, attempts: Attempts::of(context.attempts) })
}

/// Adds the host of this page to the scope, if a seed was redirected to this page.
pub fn grow_scope<Step>(context: &mut PageContext<Step>, scope: &Scope) {
    let Some(chain) = context.options.as_ref().and_then(|options| options.chain.as_ref()) else { return };
    let is_near = || {
        let first = Url::parse(&chain.url).ok().and_then(|url| Host::of(&url).ok());
        first.is_some_and(|first| first.group() == context.record.host.group())
    };
    // A robots.txt on another site does not add its host, since the links of that site would then belong to
    // the crawl.
    let carries = context.marks.of_seed && (context.reads != Reads::SitemapsOf || is_near());
    if carries && scope.grow(context.host()) {
        tracing::info!(host = %context.record.host, seed = %chain.url, "a seed redirects to this host: the host now belongs to the crawl");
        context.grows = Some(context.record.host.clone());
    }
}

/// Returns the target of a redirect, normalized by the rules of the scope. A server may redirect only to add a part
/// that the scope removes, or to remove a part that the scope adds. Then the target is returned as written, since
/// normalizing it would make a loop.
fn tidied<Step>(context: &PageContext<Step>, chain: &Chain, location: Url, scope: &Scope) -> Url {
    let mut tidy = location.clone();
    scope.tidy(&mut tidy);
    let fingerprint = fingerprint_of(scope, &tidy, context.options.as_deref(), context.reads);
    let was_there = fingerprint == context.record.fingerprint || chain.has(fingerprint);
    if was_there { location } else { tidy }
}

fn is_out_of_scope<Step>(context: &PageContext<Step>, target: &Url, host: &Host, scope: &Scope) -> bool {
    let refusal = match context.reads {
        Reads::Page if context.marks.of_seed => scope.refuses_seeds_redirect(target),
        Reads::Page => scope.refuses_redirect(target, host, context.record.depth),
        Reads::Sitemap { depth } => {
            let from = (!context.marks.of_seed).then_some(context.host());
            scope.refuses_sitemap(target, host, depth, from)
        }
        // A sitemap may be on any host, and so may robots.txt rules (RFC 9309 §2.3.1.2).
        Reads::SitemapsOf => scope.refuses_sitemap(target, host, 0, None),
    };
    refusal.is_some()
}

/// Returns the chain up to this URL, without the URL itself. If no redirect led to this URL, a new chain begins here.
fn chain_of<Step>(context: &PageContext<Step>) -> Chain {
    let chain = context.options.as_ref().and_then(|options| options.chain.clone());
    chain.unwrap_or_else(|| Chain { url: context.requested_url.to_string(), seen: Vec::new() })
}

/// Returns whether the chain began with a plain GET. Only such a request may be sent again.
fn is_plain<Step>(scope: &Scope, context: &PageContext<Step>, chain: &Chain) -> bool {
    let first = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
    let options =
        RequestOptions { session: context.session().map(str::to_owned), ..RequestOptions::default() };
    let plain = Url::parse(&chain.url).map(|url| fingerprint_of(scope, &url, Some(&options), context.reads));
    plain.is_ok_and(|plain| plain.0 == first)
}

/// Returns whether the chain began with a request that is not a plain GET (such as a form) and that was not made by
/// [`Request::again`](crate::Request::again).
#[must_use]
pub fn began_with_a_form<Step>(context: &PageContext<Step>, scope: &Scope) -> bool {
    !context.marks.again && !is_plain(scope, context, &chain_of(context))
}

/// Returns another fingerprint for a URL to which a chain comes back with a new cookie. It differs from the URL's
/// earlier fingerprints and from those in other chains. It cannot equal the fingerprint of a request in a session,
/// since the text used here has a line break, and the name of a session has none.
fn with_cookie(url: Fingerprint, chain: &Chain) -> Fingerprint {
    with_cookie_at(url, chain, chain.seen.len())
}

fn with_cookie_at(url: Fingerprint, chain: &Chain, hop: usize) -> Fingerprint {
    url.in_session(&format!("\nwith the cookie of {} at hop {hop}", chain.url))
}

/// Returns whether a chain whose last URL is `at` has come back to `url` before with a new cookie.
fn was_asked_anew(url: Fingerprint, chain: &Chain, at: Fingerprint) -> bool {
    (0..chain.seen.len()).any(|hop| {
        let next = chain.seen.get(hop + 1).copied().unwrap_or(at.0);
        next == with_cookie_at(url, chain, hop).0
    })
}

/// Returns the options of the request for a redirect's target. 307 and 308 keep the method and the body; after any
/// other status the request is a GET, or a HEAD if it was a HEAD before (RFC 9110 §15.4). Credentials are not sent
/// to another origin.
fn onward<Step>(context: &PageContext<Step>, target: &Url, status: u16) -> RequestOptions {
    let mut options = context.options.as_deref().cloned().unwrap_or_default();
    if !matches!(status, 307 | 308) && options.method.as_deref() != Some("HEAD") {
        options.method = None;
        options.body = None;
    }
    // A validator such as an entity tag belongs to the URL whose answer had it, so it is not sent to the target.
    options.headers.retain(|(name, _)| !CONDITIONS.contains(&name.as_str()));
    if origin_of(target) != origin_of(&context.url) {
        options.headers.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    }
    options
}

/// Returns the origin of a URL: scheme, host name and port. Credentials are sent to the same origin only.
fn origin_of(url: &Url) -> Option<(String, String, u16)> {
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// The header fields that make a request conditional (RFC 9110 §13.1). They are not sent to a redirect's target.
const CONDITIONS: [&str; 5] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
/// The header fields that hold credentials, and must not be sent to another origin.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
