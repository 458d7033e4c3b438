//! From what a spider found to what the other rooms carry: records, rows, endings.

use std::collections::HashSet;

use bytes::Bytes;
use opilio_core::{Fingerprint, Host, Record, Scheme};
use opilio_export::{Encoder, ExportError};
use opilio_frontier::{Admission, Filtered};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::data::{Marks, Reads, RequestData, RequestOptions, origin_end};
use crate::request::{BadUrl, Request};
use crate::scope::Scope;
use crate::session::{Login, Logins};
use crate::spider::Spider;
use crate::step::{self, Sample, StepError};

/// The encoders of one shard, one for each sink.
pub type Encoders<T> = Vec<Box<dyn Encoder<T>>>;

/// Where requests come from: the page, or nothing for seeds.
pub struct Parent<'a> {
    /// What relative texts are relative to.
    pub url: &'a Url,
    /// Its host.
    pub host: &'a Host,
    /// Its scheme.
    pub scheme: Scheme,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// What it is: a page's links are not a sitemap's entries.
    pub reads: Reads,
    /// How deep what it leads to is.
    pub links_depth: u16,
    /// The page's session, which is that of what is found on it.
    pub session: Option<&'a str>,
    /// Its host has shown its content too often.
    pub is_repeated: bool,
}

/// Turns requests into admissions, each URL once for each step. Reused from page to page.
#[derive(Default)]
pub struct Converter {
    seen: HashSet<u128, std::hash::BuildHasherDefault<FingerprintHasher>>,
    steps: Steps,
}

/// What a page or a sitemap leads to, or a crawl begins with; and a step of each shape that is new.
#[derive(Debug, Default)]
pub struct Links {
    /// Records, and URLs that were filtered.
    pub admissions: Vec<Admission>,
    /// Steps of shapes that were met for the first time.
    pub samples: Vec<Sample>,
}

/// The step of a link cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("the request of {url} cannot be kept")]
pub struct LinkError {
    url: Box<str>,
    source: StepError,
}

impl LinkError {
    fn new(url: Url, source: StepError) -> Self {
        Self { url: String::from(url).into(), source }
    }
}

/// Fingerprints are hashes already.
#[derive(Default)]
pub struct FingerprintHasher(u64);

impl std::hash::Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

impl Converter {
    /// The kept form of a step.
    pub fn step<Step>(&mut self, step: &Step) -> Result<Vec<u8>, StepError>
    where
        Step: Serialize + DeserializeOwned,
    {
        self.steps.set(step)?;
        Ok(self.steps.step.clone())
    }

    /// A step of each shape that was met since the last call and not before.
    pub fn samples(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.steps.samples)
    }

    /// The admissions for what a page asked for, at most 20,000 of them, and for the links that
    /// it asks not to follow; or for what a sitemap lists, at most 50,000.
    pub fn links<S: Spider>(
        &mut self,
        requests: Vec<Request<S::Step>>,
        unfollowed: Vec<Url>,
        parent: &Parent<'_>,
        scope: &Scope,
    ) -> Result<Vec<Admission>, LinkError> {
        self.seen.clear();
        self.seen.shrink_to(SEEN_KEPT);
        self.steps.turn_page();
        let base = Some(parent.url);
        let calendar = scope.calendar(base);
        let mut out = Vec::with_capacity(requests.len());
        let depth = parent.links_depth;
        let most = if parent.reads == Reads::Page { LINKS_MAX } else { ENTRIES_MAX };
        for request in requests {
            let Request { url, step, priority, score, options, reads, again, guessed, is_link } = request;
            let mut url = match url.absolute(base) {
                Ok(url) => url,
                Err(BadUrl { text, .. }) => {
                    let fingerprint = Fingerprint::of_text(&text);
                    out.push(Admission::Filtered { fingerprint, why: Filtered::BadUrl });
                    continue;
                }
            };
            clean(&mut url);
            scope.tidy(&mut url);
            let options = in_session(options, parent.session);
            if let Err(source) = self.steps.set(&step) {
                return Err(LinkError::new(url, source));
            }
            let mut fingerprint = fingerprint_of(scope, &url, options.as_deref(), reads);
            if again {
                fingerprint = fingerprint.in_session(&self.steps.again(Some(parent.fingerprint)));
            }
            if !self.seen.insert(fingerprint.0 ^ u128::from(self.steps.hash)) {
                continue;
            }
            let host = match host_of(&url, parent) {
                Ok(host) => host,
                Err(why) => {
                    out.push(Admission::Filtered { fingerprint, why });
                    continue;
                }
            };
            if out.len() >= most {
                out.push(Admission::Filtered { fingerprint, why: Filtered::TooManyLinks });
                continue;
            }
            // A form that a spider sends is no link of the page, nor is a URL that it made of something else than
            // the page's content; and it means what it asks for again.
            let is_of_page = is_link && reads == Reads::Page && !again && is_plain(options.as_deref());
            let repeated = (parent.is_repeated && is_of_page).then_some(Filtered::TrapSameContent);
            let refused = refusal(scope, &url, &host, reads, parent).or_else(|| calendar(&url)).or(repeated);
            if let Some(why) = refused {
                out.push(Admission::Filtered { fingerprint, why });
                continue;
            }
            let marks = Marks { again, guessed, ..Marks::default() };
            let extra = match self.steps.extra(Referrer::of(parent.url.as_str(), &url), options, reads, marks)
            {
                Ok(extra) => extra,
                Err(source) => return Err(LinkError::new(url, source)),
            };
            let scheme = Scheme::of(&url).unwrap_or(parent.scheme);
            out.push(Admission::Queue(Record {
                depth,
                priority,
                score,
                extra,
                ..Record::new(url.as_str(), fingerprint, host, scheme)
            }));
        }
        for mut url in unfollowed {
            scope.tidy(&mut url);
            let options = in_session(None, parent.session);
            let fingerprint = fingerprint_of(scope, &url, options.as_deref(), Reads::Page);
            if self.seen.insert(fingerprint.0) {
                let refused = host_of(&url, parent).map(|host| scope.refuses(&url, &host, depth));
                let why = refused.unwrap_or_else(Some).unwrap_or(Filtered::Nofollow);
                out.push(Admission::Filtered { fingerprint, why });
            }
        }
        Ok(out)
    }
}

/// Encodes steps. Nearly all links of a page have the same one and nothing else: their bytes are shared.
#[derive(Default)]
struct Steps {
    /// The kept form of the step that was set last, and its hash.
    step: Vec<u8>,
    hash: u64,
    /// What a record with nothing but this step and its page carries: one of the page's own origin, and
    /// others.
    near: Option<Bytes>,
    far: Option<Bytes>,
    next: Vec<u8>,
    shapes: HashSet<u64>,
    samples: Vec<Sample>,
}

impl Steps {
    /// Makes this the step of what is encoded next. The first one of each shape is read back first.
    fn set<Step: Serialize + DeserializeOwned>(&mut self, step: &Step) -> Result<(), StepError> {
        step::encode_into(step, &mut self.next)?;
        if self.next == self.step {
            return Ok(());
        }
        std::mem::swap(&mut self.step, &mut self.next);
        self.far = None;
        self.near = None;
        // Two texts of one step differ where a map is unordered: then one URL is told twice of.
        self.hash = step::hash(&self.step);
        if let Some(shape) = step::shape(step)
            && self.shapes.len() < SHAPES_MAX
            && !self.shapes.contains(&shape)
        {
            step::check::<Step>(&self.step)?;
            self.shapes.insert(shape);
            self.samples.extend(Sample::of(step, &self.step));
        }
        Ok(())
    }

    /// Another page asks for what comes next.
    fn turn_page(&mut self) {
        self.far = None;
        self.near = None;
    }

    fn extra(
        &mut self,
        referrer: Referrer<'_>,
        options: Option<Box<RequestOptions>>,
        reads: Reads,
        marks: Marks,
    ) -> Result<Bytes, StepError> {
        let plain = options.is_none() && reads == Reads::Page && marks == Marks::default();
        let (text, shared) = match referrer {
            Referrer::Near(path) => (Some(path.into()), &mut self.near),
            Referrer::Far(url) => (Some(url.into()), &mut self.far),
            Referrer::None => (None, &mut self.far),
        };
        if let Some(extra) = shared.as_ref().filter(|_| plain) {
            return Ok(extra.clone());
        }
        let extra = RequestData {
            step: self.step.clone(),
            referrer: text,
            options,
            reads,
            marks,
            ..RequestData::default()
        };
        let extra = extra.encode().map_err(StepError::Pack)?;
        if plain {
            *shared = Some(extra.clone());
        }
        Ok(extra)
    }

    /// Tells a request that was asked for [again](Request::again) from all others of its URL: by the page
    /// that asks for it and its step. So the same page asks once, also when a kill has it parsed twice.
    fn again(&self, parent: Option<Fingerprint>) -> String {
        format!("\nagain from {:x} as {:x}", parent.map_or(0, |parent| parent.0), self.hash)
    }
}

/// The page that a request was found on.
#[derive(Clone, Copy)]
enum Referrer<'a> {
    None,
    /// One of the same origin, by its path.
    Near(&'a str),
    Far(&'a str),
}

impl<'a> Referrer<'a> {
    fn of(page: &'a str, url: &Url) -> Self {
        match origin_end(page) {
            Some(end) if url.as_str().starts_with(&page[..end]) && url.as_str()[end..].starts_with('/') => {
                Self::Near(&page[end..])
            }
            _ => Self::Far(page),
        }
    }
}

/// Why what a page or a sitemap asked for is not the crawl's.
fn refusal(scope: &Scope, url: &Url, host: &Host, reads: Reads, parent: &Parent<'_>) -> Option<Filtered> {
    let depth = parent.links_depth;
    match (reads, parent.reads) {
        (Reads::Page, Reads::Page) => scope.refuses(url, host, depth),
        // Who follows no links still wants the pages that a sitemap lists, on the crawl's hosts.
        (Reads::Page, _) => scope.refuses_redirect(url, host, depth),
        (Reads::Sitemap { depth }, Reads::SitemapsOf) => scope.refuses_sitemap(url, host, depth, None),
        (Reads::Sitemap { depth }, _) => scope.refuses_sitemap(url, host, depth, Some(parent.host)),
        (Reads::SitemapsOf, _) => scope.refuses_sitemap(url, host, 0, Some(parent.host)),
    }
}

/// The host of a URL; links mostly stay where they are, and then no name is made anew.
fn host_of(url: &Url, parent: &Parent<'_>) -> Result<Host, Filtered> {
    if Scheme::of(url).is_none() {
        return Err(Filtered::UnsupportedScheme);
    }
    let same = url.host_str().is_some_and(|name| match url.port() {
        None => parent.host.as_str() == name,
        Some(port) => {
            let own = parent.host.as_str();
            own.len() > name.len()
                && own.starts_with(name)
                && own.as_bytes()[name.len()] == b':'
                && own[name.len() + 1..].parse() == Ok(port)
        }
    });
    if same {
        return Ok(parent.host.clone());
    }
    Host::of(url).map_err(|_| Filtered::BadUrl)
}

/// Removes what never travels: the fragment, and user info, which is a secret. That of a seed has been
/// kept as its origin's login; that of a link was a stranger's to write, and is nothing to send.
fn clean(url: &mut Url) {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        // Both refuse URLs that cannot have user info.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
}

/// A GET and nothing more.
pub fn is_plain(options: Option<&RequestOptions>) -> bool {
    options.is_none_or(|options| options.method.is_none() && options.body.is_none())
}

/// With the session that it names, or else with its page's.
fn in_session(mut options: Option<Box<RequestOptions>>, parent: Option<&str>) -> Option<Box<RequestOptions>> {
    let own = options.as_mut().and_then(|options| options.session.take());
    let session = own.as_deref().or(parent).filter(|session| !session.is_empty());
    if let Some(session) = session {
        options.get_or_insert_default().session = Some(session.to_owned());
    }
    options
}

/// The dedup key of a request: URL as the scope tells URLs apart, method, body and session.
pub fn fingerprint_of(
    scope: &Scope,
    url: &Url,
    options: Option<&RequestOptions>,
    reads: Reads,
) -> Fingerprint {
    let url = &*scope.key_of(url);
    let session = options.and_then(|options| options.session.as_deref()).unwrap_or_default();
    // A sitemap that a page links to is still one: the two are asked for apart.
    let fingerprint = match reads {
        Reads::Page => fingerprint_without_session(url, options),
        Reads::Sitemap { .. } | Reads::SitemapsOf => Fingerprint::of_request(url, "SITEMAP", b""),
    };
    fingerprint.in_session(session)
}

fn fingerprint_without_session(url: &Url, options: Option<&RequestOptions>) -> Fingerprint {
    match options {
        Some(RequestOptions { method: Some(method), body, .. }) => {
            Fingerprint::of_request(url, method, body.as_deref().unwrap_or_default())
        }
        Some(RequestOptions { body: Some(body), .. }) => Fingerprint::of_request(url, "GET", body),
        _ => Fingerprint::of(url),
    }
}

/// Why the seeds of a spider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It is no URL.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// It is one that no crawler can fetch.
    #[error("{url} cannot be fetched")]
    Name {
        /// The seed.
        url: String,
        /// Why.
        #[source]
        source: opilio_core::NameError,
    },
    /// Its step cannot be kept and read back.
    #[error("the request of {url} cannot be kept")]
    Step {
        /// The seed.
        url: String,
        /// What is wrong with its step.
        #[source]
        source: StepError,
    },
}

/// The admissions for a spider's seeds, whose steps were all read back once. Their hosts become the scope's. Patterns
/// do not judge them: a seed is wanted by being named.
pub fn seed_admissions<S: Spider>(
    requests: Vec<Request<S::Step>>,
    scope: &mut Scope,
    logins: &mut Logins,
) -> Result<Links, SeedError> {
    let mut steps = Steps::default();
    let mut out = Vec::with_capacity(requests.len());
    for request in requests {
        let Request { url, step, priority, score, options, reads, again, guessed, .. } = request;
        let mut url = url.absolute(None)?;
        if let Some(login) = Login::of_url(&url) {
            logins.add(&url, login);
        }
        clean(&mut url);
        scope.tidy(&mut url);
        let options = in_session(options, None);
        let named = |source| SeedError::Name { url: url.to_string(), source };
        let host = Host::of(&url).map_err(named)?;
        let scheme =
            Scheme::of(&url).ok_or_else(|| named(opilio_core::NameError::Scheme(url.scheme().into())))?;
        let bad_step = |source| SeedError::Step { url: url.to_string(), source };
        let before = steps.hash;
        steps.set(&step).map_err(bad_step)?;
        if steps.hash != before {
            step::check::<S::Step>(&steps.step).map_err(bad_step)?;
        }
        let mut fingerprint = fingerprint_of(scope, &url, options.as_deref(), reads);
        if again {
            fingerprint = fingerprint.in_session(&steps.again(None));
        }
        scope.add(host.clone());
        let refusal = match reads {
            Reads::Page => scope.refuses_seed(&url),
            Reads::Sitemap { .. } | Reads::SitemapsOf => scope.refuses_sitemap(&url, &host, 0, None),
        };
        if let Some(why) = refusal {
            out.push(Admission::Filtered { fingerprint, why });
            continue;
        }
        let marks = Marks { of_seed: true, again, guessed, ..Marks::default() };
        let extra = steps.extra(Referrer::None, options, reads, marks).map_err(bad_step)?;
        out.push(Admission::Queue(Record {
            priority,
            score,
            extra,
            ..Record::new(url.as_str(), fingerprint, host, scheme)
        }));
    }
    Ok(Links { admissions: out, samples: steps.samples })
}

/// Encodes a page's items for every sink.
pub fn rows<T>(encoders: &mut Encoders<T>, items: &[T]) -> Result<Vec<Vec<u8>>, ExportError> {
    let mut rows = Vec::with_capacity(encoders.len());
    for encoder in encoders {
        let mut out = Vec::new();
        for item in items {
            encoder.encode(item, &mut out)?;
        }
        rows.push(out);
    }
    Ok(rows)
}

/// Links taken from one page; the rest are counted as filtered.
const LINKS_MAX: usize = 20_000;
/// Entries taken from one sitemap, which gives no more: sitemaps.org allows so many.
const ENTRIES_MAX: usize = 50_000;
/// Shapes of steps that a shard tells of; more are not checked before they are sent.
pub const SHAPES_MAX: usize = 256;
/// Room for fingerprints that is kept from page to page; a huge page gives its own back.
const SEEN_KEPT: usize = 4_096;
