//! Decides where a redirect leads: to the next record of the chain, or to the end of the chain.

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

/// An answer that redirects.
#[derive(Default)]
pub struct Hop {
    status: u16,
    sets_cookies: bool,
    /// The wait that the answer states before its target is requested (RFC 9110 §10.2.3).
    wait: Option<Duration>,
}

impl Hop {
    /// Reads an answer. `now_millis` is the wall time in milliseconds since 1970, to read dates against.
    pub fn of(answer: &Answer, unix_millis: i64) -> Self {
        let headers = &answer.headers;
        Self {
            status: answer.status,
            sets_cookies: headers.contains_key(http::header::SET_COOKIE),
            wait: Hints::read(headers, answer.status, unix_millis).retry_after,
        }
    }
}

/// Which chain asks again from its first URL, since cookies were missing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This chain, which has received the cookies.
    Own,
    /// Another chain.
    Other,
}

/// The crawl's settings for redirects.
pub struct RedirectRules<'a> {
    /// The bounds of the crawl.
    pub scope: &'a Scope,
    /// The most hops of a chain.
    pub hops_max: u16,
    /// A host that states a longer wait than this is parked.
    pub hold_max: Duration,
    /// The crawl keeps cookies.
    pub keeps_cookies: bool,
    /// Whether any cookie is kept. Called only when a chain comes back to a URL.
    pub has_cookies: &'a dyn Fn() -> bool,
    /// The time.
    pub now: Timestamp,
}

/// Why a chain ends.
#[derive(Debug)]
pub struct DeadEnd {
    /// The stable word.
    pub reason: Reason,
    /// The target, or another detail, in words.
    pub error: String,
}

impl DeadEnd {
    fn at(reason: Reason, target: &Url) -> Self {
        Self { reason, error: format!("redirected to {target}") }
    }
}

/// The next hop of a chain.
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

/// Goes on at the target, in the name of the chain's first URL.
///
/// # Errors
/// When the chain ends here.
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
        // The crawl may know this URL already. The name of the chain makes it another request, so that a loop
        // is still found.
        let first = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
        fingerprint = fingerprint.in_session(&format!("\nagain in the chain of {first:x}"));
    }
    // Another spelling of the same URL (sorted parameters, decoded escapes) is no loop. The limit of hops
    // ends a chain that never stops.
    let respelled = fingerprint == context.record.fingerprint && location.as_str() != &*context.record.url;
    let mut loops = chain.has(fingerprint) || fingerprint == context.record.fingerprint;
    // The URL may wait for a cookie that another answer has set, a page's or another chain's. It is requested
    // once with the cookie.
    let others = || (rules.has_cookies)();
    let asked_anew = || was_asked_anew(fingerprint, &chain, context.record.fingerprint);
    // A ring that is gone through again without a new cookie is a loop, however long it is.
    let ring = loops && !respelled && !marks.has_cookie;
    if loops && (marks.has_cookie || !respelled && others() && !asked_anew()) {
        // "Come back with this cookie": with the cookie the same URL is another request. The limit of hops
        // ends the chain.
        fingerprint = with_cookie(fingerprint, &chain);
        loops = false;
    }
    let again = match marks {
        _ if !rules.keeps_cookies || !is_plain(rules.scope, context, &chain) => Again::Never,
        // The chain has the cookies, and the redirect still leads here.
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
    let due = hop.wait.map(|wait| rules.now + wait);
    let target = location;
    go_on(
        context,
        converter,
        Next { chain, marks, target, host, fingerprint, options, due, again, sets_cookie },
    )
}

/// Follows a redirect from a known URL that sets a cookie: requests the chain's first URL again, since the
/// server may send its page now. If that was tried already, the chain goes on to the target itself.
///
/// # Errors
/// When the chain ends here.
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

/// Adds the host to the scope that a seed led to by redirects.
pub fn grow_scope<Step>(context: &mut PageContext<Step>, scope: &Scope) {
    let Some(chain) = context.options.as_ref().and_then(|options| options.chain.as_ref()) else { return };
    let is_near = || {
        let first = Url::parse(&chain.url).ok().and_then(|url| Host::of(&url).ok());
        first.is_some_and(|first| first.group() == context.record.host.group())
    };
    // Only pages count. A sitemap or robots.txt of another site must not bring its links into the crawl.
    let carries = context.marks.of_seed && (context.reads != Reads::SitemapsOf || is_near());
    if carries && scope.grow(context.host()) {
        tracing::info!(host = %context.record.host, seed = %chain.url, "a seed redirects to this host: the host now belongs to the crawl");
        context.grows = Some(context.record.host.clone());
    }
}

/// The target of a redirect, in the form that the scope wants. A server may redirect only to add what the
/// scope removes, or to remove what it adds. Then the target stays as written, since changing it would make a
/// loop.
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
        // Sitemaps may stand on any host, as rules may (RFC 9309 §2.3.1.2).
        Reads::SitemapsOf => scope.refuses_sitemap(target, host, 0, None),
    };
    refusal.is_some()
}

/// The chain so far, without this URL.
fn chain_of<Step>(context: &PageContext<Step>) -> Chain {
    let chain = context.options.as_ref().and_then(|options| options.chain.clone());
    chain.unwrap_or_else(|| Chain { url: context.requested_url.to_string(), seen: Vec::new() })
}

/// Whether the chain began with a plain GET. Only such a request is sent again.
fn is_plain<Step>(scope: &Scope, context: &PageContext<Step>, chain: &Chain) -> bool {
    let first = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
    let options =
        RequestOptions { session: context.session().map(str::to_owned), ..RequestOptions::default() };
    let plain = Url::parse(&chain.url).map(|url| fingerprint_of(scope, &url, Some(&options), context.reads));
    plain.is_ok_and(|plain| plain.0 == first)
}

/// Whether the chain began with another request than a plain GET, such as a form, and not by
/// [`Request::again`](crate::Request::again).
#[must_use]
pub fn began_with_a_form<Step>(context: &PageContext<Step>, scope: &Scope) -> bool {
    !context.marks.again && !is_plain(scope, context, &chain_of(context))
}

/// A fingerprint for a URL that a chain comes back to with a new cookie. It differs from that of the same URL
/// before, and from those of all other chains. No session name holds a line break, so none is equal to it.
fn with_cookie(url: Fingerprint, chain: &Chain) -> Fingerprint {
    with_cookie_at(url, chain, chain.seen.len())
}

fn with_cookie_at(url: Fingerprint, chain: &Chain, hop: usize) -> Fingerprint {
    url.in_session(&format!("\nwith the cookie of {} at hop {hop}", chain.url))
}

/// Whether a chain at this URL has come back to an earlier URL before.
fn was_asked_anew(url: Fingerprint, chain: &Chain, at: Fingerprint) -> bool {
    (0..chain.seen.len()).any(|hop| {
        let next = chain.seen.get(hop + 1).copied().unwrap_or(at.0);
        next == with_cookie_at(url, chain, hop).0
    })
}

/// The parts of a request that go to the target of its redirect. 307 and 308 keep method and body; the others
/// become a GET (RFC 9110 §15.4). Credentials stay at the origin that they were meant for.
fn onward<Step>(context: &PageContext<Step>, target: &Url, status: u16) -> RequestOptions {
    let mut options = context.options.as_deref().cloned().unwrap_or_default();
    if !matches!(status, 307 | 308) && options.method.as_deref() != Some("HEAD") {
        options.method = None;
        options.body = None;
    }
    // Validators belong to the URL that sent them.
    options.headers.retain(|(name, _)| !CONDITIONS.contains(&name.as_str()));
    if origin_of(target) != origin_of(&context.url) {
        options.headers.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    }
    options
}

/// Whether both URLs have one origin (scheme, name, port). Credentials go no further.
fn origin_of(url: &Url) -> Option<(String, String, u16)> {
    Some((url.scheme().to_owned(), url.host_str()?.to_owned(), url.port_or_known_default()?))
}

/// Header fields that make a request conditional (RFC 9110 §13.1).
const CONDITIONS: [&str; 5] =
    ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"];
/// Header fields that another host must not receive.
const CREDENTIALS: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];
