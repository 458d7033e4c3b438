//! Where a redirect leads: the next record of the chain, or why it ends there.

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
    /// What it states to wait before its target is asked (RFC 9110 §10.2.3).
    wait: Option<Duration>,
}

impl Hop {
    /// Reads an answer. Dates in it are read against this wall time, in milliseconds since 1970.
    pub fn of(answer: &Answer, unix_millis: i64) -> Self {
        let headers = &answer.headers;
        Self {
            status: answer.status,
            sets_cookies: headers.contains_key(http::header::SET_COOKIE),
            wait: Hints::read(headers, answer.status, unix_millis).retry_after,
        }
    }
}

/// Which chain found a wall.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This one, which has passed it.
    Own,
    /// Another one.
    Other,
}

/// The settings of a crawl about redirects.
pub struct RedirectRules<'a> {
    /// The bounds of the crawl.
    pub scope: &'a Scope,
    /// Hops of a chain at the most.
    pub hops_max: u16,
    /// A longer wait than this, which an answer states, puts its host aside.
    pub hold_max: Duration,
    /// The crawl keeps cookies.
    pub keeps_cookies: bool,
    /// Whether any cookie is kept. Asked only where a chain comes back to where it was.
    pub has_cookies: &'a dyn Fn() -> bool,
    /// The time.
    pub now: Timestamp,
}

/// Why a chain ends here.
#[derive(Debug)]
pub struct DeadEnd {
    /// The stable word.
    pub reason: Reason,
    /// Where it would have led, or what else went wrong, in words.
    pub error: String,
}

impl DeadEnd {
    fn at(reason: Reason, target: &Url) -> Self {
        Self { reason, error: format!("redirected to {target}") }
    }
}

/// Where a chain goes on.
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

/// Goes on at the target, in the name of the chain's origin.
///
/// # Errors
/// When the chain ends here: why.
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
        // The crawl may know this one, too. It has its chain's name, so that a loop is still one.
        let origin = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
        fingerprint = fingerprint.in_session(&format!("\nagain in the chain of {origin:x}"));
    }
    // Another spelling of the same URL (sorted parameters, decoded escapes) is no loop; should
    // the server never be content, the hops end it.
    let respelled = fingerprint == context.record.fingerprint && location.as_str() != &*context.record.url;
    let mut loops = chain.has(fingerprint) || fingerprint == context.record.fingerprint;
    // A cookie that some other answer set, a page's or another chain's, may be what the URL waits for. It
    // is asked with it once.
    let others = || (rules.has_cookies)();
    let asked_anew = || was_asked_anew(fingerprint, &chain, context.record.fingerprint);
    // A ring that is gone through again without a cookie of its own is one however long it is.
    let ring = loops && !respelled && !marks.has_cookie;
    if loops && (marks.has_cookie || !respelled && others() && !asked_anew()) {
        // "Come back with this cookie": the same URL is another request then. The hops end it.
        fingerprint = with_cookie(fingerprint, &chain);
        loops = false;
    }
    let again = match marks {
        _ if !rules.keeps_cookies || !is_plain(rules.scope, context, &chain) => Again::Never,
        // It has the cookies, and this is where they lead.
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

/// The way from a known URL on sets a cookie: asks the chain's origin again, which may show its page now.
/// Where it does not, the cookie is not there any more, or not for it: the chain takes that way itself.
///
/// # Errors
/// When the chain ends here: why.
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
    let asks_origin = marks.passed_wall || !marks.asked_behind;
    if asks_origin {
        marks.asked_again |= marks.passed_wall;
        marks.asked_behind = true;
        marks.passed_wall = false;
    }
    let next = if asks_origin { Url::parse(&chain.url).ok() } else { Some(known.clone()) };
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
        let options = Some(Box::new(RequestOptions { origin: Some(chain), ..options }));
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

/// Takes the host of an answer into the scope that a seed led to by redirects.
pub fn grow_scope<Step>(context: &mut PageContext<Step>, scope: &Scope) {
    let Some(chain) = context.options.as_ref().and_then(|options| options.origin.as_ref()) else { return };
    let is_near = || {
        let origin = Url::parse(&chain.url).ok().and_then(|url| Host::of(&url).ok());
        origin.is_some_and(|origin| origin.group() == context.record.host.group())
    };
    // Nobody asked for a robots.txt: what another site's lists is not the crawl's.
    let carries = context.marks.of_seed && (context.reads != Reads::SitemapsOf || is_near());
    if carries && scope.grow(context.host()) {
        tracing::info!(host = %context.record.host, seed = %chain.url, "a seed led to this host: it belongs to the crawl");
        context.grows = Some(context.record.host.clone());
    }
}

/// A redirect's target as the scope wants it. A server that adds what the scope takes away (or
/// redirects back to add it) means it: there the target stays as it is, or it would be a loop.
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
        // As the rules themselves, wherever they are (RFC 9309 §2.3.1.2).
        Reads::SitemapsOf => scope.refuses_sitemap(target, host, 0, None),
    };
    refusal.is_some()
}

/// The chain so far, of which this URL is not yet part.
fn chain_of<Step>(context: &PageContext<Step>) -> Chain {
    let chain = context.options.as_ref().and_then(|options| options.origin.clone());
    chain.unwrap_or_else(|| Chain { url: context.origin.to_string(), seen: Vec::new() })
}

/// Whether the chain's origin was a plain GET: nothing else is asked again.
fn is_plain<Step>(scope: &Scope, context: &PageContext<Step>, chain: &Chain) -> bool {
    let origin = chain.seen.first().copied().unwrap_or(context.record.fingerprint.0);
    let options =
        RequestOptions { session: context.session().map(str::to_owned), ..RequestOptions::default() };
    let plain = Url::parse(&chain.url).map(|url| fingerprint_of(scope, &url, Some(&options), context.reads));
    plain.is_ok_and(|plain| plain.0 == origin)
}

/// Whether the chain began with something else than a plain GET, such as a form, that no
/// [`Request::again`](crate::Request::again) marks.
#[must_use]
pub fn began_with_a_form<Step>(context: &PageContext<Step>, scope: &Scope) -> bool {
    !context.marks.again && !is_plain(scope, context, &chain_of(context))
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
fn onward<Step>(context: &PageContext<Step>, target: &Url, status: u16) -> RequestOptions {
    let mut options = context.options.as_deref().cloned().unwrap_or_default();
    if !matches!(status, 307 | 308) && options.method.as_deref() != Some("HEAD") {
        options.method = None;
        options.body = None;
    }
    // Validators are of the URL that gave them, and of no other.
    options.headers.retain(|(name, _)| !CONDITIONS.contains(&name.as_str()));
    if origin_of(target) != origin_of(&context.url) {
        options.headers.retain(|(name, _)| !CREDENTIALS.contains(&name.as_str()));
    }
    options
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
