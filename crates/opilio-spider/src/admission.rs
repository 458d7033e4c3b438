//! Turns the requests and links of a spider into records for the store, and its items into rows for the outputs.

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

/// The encoders of one shard: one encoder for each output, in the order of the outputs.
pub type Encoders<T> = Vec<Box<dyn Encoder<T>>>;

/// The page or sitemap on which requests were found.
pub struct Parent<'a> {
    /// The URL of the page or sitemap. Relative URLs on it are resolved against this URL.
    pub url: &'a Url,
    /// The host of that URL.
    pub host: &'a Host,
    /// The scheme of that URL.
    pub scheme: Scheme,
    /// The fingerprint of the page or sitemap.
    pub fingerprint: Fingerprint,
    /// How the file is read: as a page, a sitemap or a robots.txt. The links of a page and the entries of a sitemap
    /// follow different rules.
    pub reads: Reads,
    /// The depth of the URLs that are found on the page or sitemap: the number of links from a seed.
    pub links_depth: u16,
    /// The session of the page or sitemap. Its links use the same session unless they name another one.
    pub session: Option<&'a str>,
    /// Whether the host of this page has sent the same content too often (see `TrapRules::same_content_max`).
    pub is_repeated: bool,
}

/// Turns requests into admissions. If a page requests the same URL with the same step several times, one admission is
/// made. One converter is used for many pages, one after the other.
#[derive(Default)]
pub struct Converter {
    seen: HashSet<u128, std::hash::BuildHasherDefault<FingerprintHasher>>,
    steps: Steps,
}

/// The admissions of a page, of a sitemap or of the seeds, and an example of each new shape of step.
#[derive(Debug, Default)]
pub struct Links {
    /// The records to be queued, and the URLs that were filtered.
    pub admissions: Vec<Admission>,
    /// One step of each shape (the names of its variants and fields) that was found for the first time.
    pub samples: Vec<Sample>,
}

/// A request whose `Step` value cannot be stored and read back.
#[derive(Debug, thiserror::Error)]
#[error("the `Step` value of the request of {url} cannot be stored")]
pub struct LinkError {
    url: Box<str>,
    source: StepError,
}

impl LinkError {
    fn new(url: Url, source: StepError) -> Self {
        Self { url: String::from(url).into(), source }
    }
}

/// A hasher for fingerprints. A fingerprint is a hash value already, so the hasher returns 64 of its bits unchanged.
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
    /// Returns the step in the encoded form in which a record stores it.
    pub fn step<Step>(&mut self, step: &Step) -> Result<Vec<u8>, StepError>
    where
        Step: Serialize + DeserializeOwned,
    {
        self.steps.set(step)?;
        Ok(self.steps.step.clone())
    }

    /// Returns one step of each shape (the names of its variants and fields) that is new since the last call.
    pub fn samples(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.steps.samples)
    }

    /// Returns the admissions of one page or sitemap. `requests` are the requests that the page or sitemap makes: the
    /// first 20,000 of a page and the first 50,000 of a sitemap are taken, further ones are filtered. `unfollowed`
    /// are the links that the page asks crawlers not to follow.
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
        let calendar = scope.calendar(Some(parent.url));
        let mut out = Vec::with_capacity(requests.len());
        let most = if parent.reads == Reads::Page { LINKS_MAX } else { ENTRIES_MAX };
        for request in requests {
            let is_full = out.len() >= most;
            out.extend(self.admission(request, parent, scope, &calendar, is_full)?);
        }
        for mut url in unfollowed {
            scope.tidy(&mut url);
            let options = in_session(None, parent.session);
            let fingerprint = fingerprint_of(scope, &url, options.as_deref(), Reads::Page);
            if self.seen.insert(fingerprint.0) {
                let refused =
                    host_of(&url, parent).map(|host| scope.refuses(&url, &host, parent.links_depth));
                let why = refused.unwrap_or_else(Some).unwrap_or(Filtered::Nofollow);
                out.push(Admission::Filtered { fingerprint, why });
            }
        }
        Ok(out)
    }

    /// Returns the admission for a request; `None` if the page has already requested this URL with this step.
    fn admission<Step: Serialize + DeserializeOwned>(
        &mut self,
        request: Request<Step>,
        parent: &Parent<'_>,
        scope: &Scope,
        calendar: &impl Fn(&Url) -> Option<Filtered>,
        is_full: bool,
    ) -> Result<Option<Admission>, LinkError> {
        let filtered = |fingerprint, why| Ok(Some(Admission::Filtered { fingerprint, why }));
        let Request { url, step, priority, score, options, reads, again, guessed, is_link } = request;
        let mut url = match url.absolute(Some(parent.url)) {
            Ok(url) => url,
            Err(BadUrl { text, .. }) => return filtered(Fingerprint::of_text(&text), Filtered::BadUrl),
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
            return Ok(None);
        }
        let host = match host_of(&url, parent) {
            Ok(host) => host,
            Err(why) => return filtered(fingerprint, why),
        };
        if is_full {
            return filtered(fingerprint, Filtered::TooManyLinks);
        }
        // The following do not count as links of the page: a form that the spider sends, a URL that the spider made
        // itself, and a request by `Request::again`.
        let is_of_page = is_link && reads == Reads::Page && !again && is_plain(options.as_deref());
        let repeated = (parent.is_repeated && is_of_page).then_some(Filtered::TrapSameContent);
        let refused = refusal(scope, &url, &host, reads, parent).or_else(|| calendar(&url)).or(repeated);
        if let Some(why) = refused {
            return filtered(fingerprint, why);
        }
        let marks = Marks { again, guessed, ..Marks::default() };
        let extra = match self.steps.extra(Referrer::of(parent.url.as_str(), &url), options, reads, marks) {
            Ok(extra) => extra,
            Err(source) => return Err(LinkError::new(url, source)),
        };
        let scheme = Scheme::of(&url).unwrap_or(parent.scheme);
        Ok(Some(Admission::Queue(Record {
            depth: parent.links_depth,
            priority,
            score,
            extra,
            ..Record::new(url.as_str(), fingerprint, host, scheme)
        })))
    }
}

/// Encodes the data of records. Most links of a page have the same step and no other options, so the encoded bytes
/// are made once and shared by their records.
#[derive(Default)]
struct Steps {
    /// The encoded form of the latest step. `hash` is the hash of these bytes.
    step: Vec<u8>,
    hash: u64,
    /// The encoded data of a record that holds only the latest step and the page on which the URL was found (the
    /// referrer). `near` is for URLs of the page's own origin, `far` is for all other URLs.
    near: Option<Bytes>,
    far: Option<Bytes>,
    next: Vec<u8>,
    shapes: HashSet<u64>,
    samples: Vec<Sample>,
}

impl Steps {
    /// Sets the step of the records that follow. The first step of each shape is decoded again, to check that
    /// this works.
    fn set<Step: Serialize + DeserializeOwned>(&mut self, step: &Step) -> Result<(), StepError> {
        step::encode_into(step, &mut self.next)?;
        if self.next == self.step {
            return Ok(());
        }
        std::mem::swap(&mut self.step, &mut self.next);
        self.far = None;
        self.near = None;
        // The encoded form of an unordered map varies, and so does its hash. A URL that is requested twice with such
        // a step may be counted as requested with two different steps.
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

    /// Drops the encoded data that names the page as the referrer, since the next records belong to another page.
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

    /// Returns a text that makes a request by [again](Request::again) different from all other requests of its URL.
    /// The text depends on the page that makes the request and on the step. So if the page is parsed a second time,
    /// after the process was killed, no further request is made.
    fn again(&self, parent: Option<Fingerprint>) -> String {
        format!("\nagain from {:x} as {:x}", parent.map_or(0, |parent| parent.0), self.hash)
    }
}

/// The page on which a request was found, in the form in which the record stores it.
#[derive(Clone, Copy)]
enum Referrer<'a> {
    None,
    /// A page of the same origin as the request: only the path of the page is stored.
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

/// Returns the reason why a URL of a page or sitemap does not belong to the crawl; `None` if it does belong.
fn refusal(scope: &Scope, url: &Url, host: &Host, reads: Reads, parent: &Parent<'_>) -> Option<Filtered> {
    let depth = parent.links_depth;
    match (reads, parent.reads) {
        (Reads::Page, Reads::Page) => scope.refuses(url, host, depth),
        // A crawl that follows no links still fetches the pages of its own hosts that a sitemap lists.
        (Reads::Page, _) => scope.refuses_redirect(url, host, depth),
        (Reads::Sitemap { depth }, Reads::SitemapsOf) => scope.refuses_sitemap(url, host, depth, None),
        (Reads::Sitemap { depth }, _) => scope.refuses_sitemap(url, host, depth, Some(parent.host)),
        (Reads::SitemapsOf, _) => scope.refuses_sitemap(url, host, 0, Some(parent.host)),
    }
}

/// Returns the host of a URL. Most links lead to the host of their page; such a link shares the page's `Host` value.
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

/// Removes the fragment, the user name and the password, since none of them is sent as part of a URL. The user name
/// and password of a seed have already been stored as a login. Those of a link were written by a stranger, so they
/// are not used.
fn clean(url: &mut Url) {
    url.set_fragment(None);
    if !url.username().is_empty() || url.password().is_some() {
        // Both calls fail for URLs that cannot have a user name; such URLs need no change.
        let _ = url.set_username("");
        let _ = url.set_password(None);
    }
}

/// Returns whether a request with these options is a GET without a body.
pub fn is_plain(options: Option<&RequestOptions>) -> bool {
    options.is_none_or(|options| options.method.is_none() && options.body.is_none())
}

/// Returns the options with the session of the request, or with the session of the page if the request names none.
fn in_session(mut options: Option<Box<RequestOptions>>, parent: Option<&str>) -> Option<Box<RequestOptions>> {
    let own = options.as_mut().and_then(|options| options.session.take());
    let session = own.as_deref().or(parent).filter(|session| !session.is_empty());
    if let Some(session) = session {
        options.get_or_insert_default().session = Some(session.to_owned());
    }
    options
}

/// Returns the fingerprint by which duplicates of a request are found. It is a hash of the normalized URL, the
/// method, the body and the session.
pub fn fingerprint_of(
    scope: &Scope,
    url: &Url,
    options: Option<&RequestOptions>,
    reads: Reads,
) -> Fingerprint {
    let url = &*scope.key_of(url);
    let session = options.and_then(|options| options.session.as_deref()).unwrap_or_default();
    // A URL may be linked as a page and also listed as a sitemap. Then it is fetched twice, once for each purpose.
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

/// The reason why the seeds of a spider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The text of a seed is not a URL.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// A seed is a URL that a crawler cannot fetch.
    #[error("{url} cannot be fetched")]
    Name {
        /// The URL of the seed.
        url: String,
        /// The reason why the URL cannot be fetched.
        #[source]
        source: opilio_core::NameError,
    },
    /// The `Step` value of a seed cannot be stored and read back.
    #[error("the `Step` value of the seed {url} cannot be stored and read back")]
    Step {
        /// The URL of the seed.
        url: String,
        /// The reason why the `Step` value cannot be stored and read back.
        #[source]
        source: StepError,
    },
}

/// Turns the seeds of a spider into admissions, and adds the hosts of the seeds to the scope. The first step of each
/// shape is decoded again, to check that this works. The patterns of the scope do not apply to seeds.
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

/// Encodes the items of a page for every output. Returns one buffer of rows for each output, in the order of
/// the outputs.
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

/// The most links that are taken from one page, so that one page cannot fill the store. Further links are filtered.
const LINKS_MAX: usize = 20_000;
/// The most entries that are taken from one sitemap: the limit that sitemaps.org sets.
const ENTRIES_MAX: usize = 50_000;
/// The most shapes of steps that a shard checks and reports. Steps of further shapes are not checked.
pub const SHAPES_MAX: usize = 256;
/// The most fingerprints for which memory is kept from page to page, so that a large page does not hold it for ever.
const SEEN_KEPT: usize = 4_096;
