//! The data of a record that only this crate reads: step, method, header fields, options, chain of redirects.
//!
//! The crates for hosts and stores pass these bytes on and never read them. Even here the step stays encoded: only
//! the code that runs the spider knows the type of the step and decodes it.

use bytes::Bytes;
use opilio_core::{Fingerprint, Record};
use opilio_frontier::Failure;
use serde::{Deserialize, Serialize};

/// The decoded form of [`opilio_core::Record::extra`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestData {
    /// The step, encoded by the module `step`.
    pub step: Vec<u8>,
    /// Whether an earlier version wrote the step. That version stored the numbers of variants and fields, not their
    /// names (see `PLACED_STEP` and `PLACED_FULL`).
    #[serde(skip)]
    pub placed: bool,
    /// The page on which the URL was found. If that page has the same origin as the record's URL, only its path is
    /// stored. Encoded before everything else.
    #[serde(skip)]
    pub referrer: Option<Box<str>>,
    /// The options beyond a plain GET. Nearly all records have none.
    pub options: Option<Box<RequestOptions>>,
    /// How the answer is read. Encoded only for sitemaps and robots.txt, before the rest; if it is missing, the
    /// answer is a page.
    #[serde(skip)]
    pub reads: Reads,
    /// The state of the record's chain of redirects. Encoded only if at least one mark is set, before the rest.
    #[serde(skip)]
    pub marks: Marks,
}

/// The known facts about a chain of redirects, or about a URL that may begin a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Whether the chain began at a seed. Then its target belongs to the crawl.
    pub of_seed: bool,
    /// Whether an answer of this chain has set a cookie that the crawl keeps.
    pub has_cookie: bool,
    /// Whether an answer that set such a cookie came after the latest request for the chain's first URL. Then the
    /// chain has passed a consent or login page.
    pub passed_wall: bool,
    /// Whether the first URL was requested again because another chain has passed a consent or login page.
    pub asked_behind: bool,
    /// Whether the first URL was requested again because this chain has passed a consent or login page. The URL is
    /// not requested a third time.
    pub asked_again: bool,
    /// Whether the URL is requested even if the crawl knows it: see [`Request::again`](crate::Request::again).
    pub again: bool,
    /// Whether the URL is `/sitemap.xml`, the usual place of a sitemap, and no robots.txt names it. If there is no
    /// sitemap at that place, this is not a failure.
    pub guessed: bool,
}

impl Marks {
    fn byte(self) -> u8 {
        let Self { of_seed, has_cookie, passed_wall, asked_behind, asked_again, again, guessed } = self;
        [of_seed, has_cookie, passed_wall, asked_behind, asked_again, again, guessed]
            .iter()
            .rev()
            .fold(0, |byte, mark| byte << 1 | u8::from(*mark))
    }

    /// Decodes the marks from a byte. Returns `None` for a byte that another version wrote.
    fn of_byte(byte: u8) -> Option<Self> {
        let has = |bit: u8| byte & 1 << bit != 0;
        let marks = Self {
            of_seed: has(0),
            has_cookie: has(1),
            passed_wall: has(2),
            asked_behind: has(3),
            asked_again: has(4),
            again: has(5),
            guessed: has(6),
        };
        (marks.byte() == byte).then_some(marks)
    }
}

/// The ways in which an answer can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// A page for the spider.
    #[default]
    Page,
    /// A sitemap.
    Sitemap {
        /// The number of sitemap indexes that led to this sitemap.
        depth: u8,
    },
    /// A robots.txt, read for the sitemaps that it names.
    SitemapsOf,
}

/// Options that few requests set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOptions {
    /// The method, if it is not GET.
    pub method: Option<String>,
    /// The body to send.
    pub body: Option<Vec<u8>>,
    /// The header fields of this request alone: lower-case names, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The number of retries of this request; `None` means the number of the retry policy.
    pub retries: Option<u16>,
    /// Whether the request may be repeated although its method is not idempotent.
    pub repeatable: bool,
    /// The name of the session. In a request, an empty name means the crawl's own session, and `None` means the
    /// session of the page. In a record the name is never empty.
    pub session: Option<String>,
    /// The proxy for this request; `None` means the crawl's proxy.
    pub proxy: Option<String>,
    /// The page on which the URL was found, as earlier versions stored it. The present version writes
    /// `RequestData::referrer`.
    pub referrer: Option<String>,
    /// The chain of redirects that led to this URL.
    pub chain: Option<Chain>,
}

/// A chain of redirects so far: the URLs that were requested before the present URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The first URL of the chain. When the chain ends, the store records how this URL ended.
    pub url: String,
    /// The fingerprints of the chain's URLs, in order. Their number is the number of redirects.
    pub seen: Vec<u128>,
}

impl Chain {
    /// Returns whether a URL is part of the chain.
    pub fn has(&self, fingerprint: Fingerprint) -> bool {
        self.seen.contains(&fingerprint.0)
    }
}

/// The first byte of an encoding that holds only a step. An unknown first byte means that another version of Opilio
/// wrote the record. Before there were sessions, [`PLACED_FULL`] was 2.
const STEP_ONLY: u8 = 6;
const FULL: u8 = 7;
/// The first byte of an encoding that holds only a step, in versions that stored numbers of variants and not
/// their names.
const PLACED_STEP: u8 = 1;
const PLACED_FULL: u8 = 3;
/// The first byte of an encoding for a sitemap or a robots.txt. The next byte says which, and the rest follows.
const LIST: u8 = 4;
/// The first byte of an encoding with [`Marks`]. The next byte holds the marks, and the rest follows.
const MARKED: u8 = 5;
/// The first byte of an encoding with a referrer. Its length (two bytes), its text, and the rest follow.
const LINKED: u8 = 8;
/// The most bytes of a referrer. A longer referrer is not stored, so that records stay small.
const REFERRER_MAX: usize = 4_096;
/// The byte after `LIST` that means a robots.txt. Any other value is the depth of a sitemap.
const OF_ROBOTS: u8 = u8::MAX;

/// The reason why a record cannot be read: another version of Opilio wrote it, or it is damaged.
#[derive(Debug, thiserror::Error)]
pub enum RequestDataError {
    /// The data has a form that no known version writes.
    #[error("cannot decode the request data of a stored URL (first byte {kind})")]
    Data {
        /// The first byte of the encoding.
        kind: u8,
        /// The error of the decoder.
        #[source]
        source: Option<postcard::Error>,
    },
    /// The text of the record's URL is not a URL.
    #[error("cannot parse a stored URL")]
    Url(#[source] url::ParseError),
}

impl RequestData {
    /// Encodes the data. The result is empty for a plain GET of a page without step, referrer and marks.
    pub fn encode(&self) -> Result<Bytes, postcard::Error> {
        let Some(referrer) = self.referrer.as_deref().filter(|text| text.len() <= REFERRER_MAX) else {
            return self.encode_unlinked();
        };
        let length = u16::try_from(referrer.len()).unwrap_or(0).to_le_bytes();
        let rest = self.encode_unlinked()?;
        Ok([&[LINKED][..], &length, referrer.as_bytes(), &rest].concat().into())
    }

    fn encode_unlinked(&self) -> Result<Bytes, postcard::Error> {
        match self.marks.byte() {
            0 => self.encode_unmarked(),
            marks => Ok([&[MARKED, marks], &self.encode_unmarked()?[..]].concat().into()),
        }
    }

    /// Returns the page on which this record's URL was found. `url` is the URL of this record.
    pub fn found_on(&self, url: &str) -> Option<Box<str>> {
        let earlier = || Some(self.options.as_ref()?.referrer.as_deref()?.into());
        let Some(referrer) = &self.referrer else { return earlier() };
        match (referrer.starts_with('/'), origin_end(url)) {
            (true, Some(end)) => Some([&url[..end], referrer].concat().into()),
            _ => Some(referrer.clone()),
        }
    }

    fn encode_unmarked(&self) -> Result<Bytes, postcard::Error> {
        let kind = match self.reads {
            Reads::Page => return self.encode_request(),
            Reads::Sitemap { depth } => depth.min(OF_ROBOTS - 1),
            Reads::SitemapsOf => OF_ROBOTS,
        };
        Ok([&[LIST, kind], &self.encode_request()?[..]].concat().into())
    }

    fn encode_request(&self) -> Result<Bytes, postcard::Error> {
        if self.options.is_none() {
            if self.step.is_empty() {
                return Ok(Bytes::new());
            }
            let mut out = Vec::with_capacity(1 + self.step.len());
            out.push(STEP_ONLY);
            out.extend_from_slice(&self.step);
            return Ok(out.into());
        }
        postcard::to_extend(self, vec![FULL]).map(Bytes::from)
    }

    /// Decodes the data of a record.
    ///
    /// # Errors
    /// When the data has a form that no known version writes.
    pub fn of(record: &Record) -> Result<Self, RequestDataError> {
        Self::decode(&record.extra)
    }

    fn decode(bytes: &[u8]) -> Result<Self, RequestDataError> {
        match bytes.split_first() {
            None => Ok(Self::default()),
            Some((&LINKED, rest)) => {
                let damaged = RequestDataError::Data { kind: LINKED, source: None };
                let (referrer, rest) = linked(rest).ok_or(damaged)?;
                Ok(Self { referrer: Some(referrer.into()), ..Self::decode(rest)? })
            }
            Some((&kind @ (STEP_ONLY | PLACED_STEP), step)) => {
                Ok(Self { step: step.to_vec(), placed: kind == PLACED_STEP, ..Self::default() })
            }
            Some((&kind @ (FULL | PLACED_FULL), rest)) => match postcard::take_from_bytes::<Self>(rest) {
                Ok((extra, [])) => Ok(Self { placed: kind == PLACED_FULL, ..extra }),
                Ok(_) => Err(RequestDataError::Data { kind, source: None }),
                Err(source) => Err(RequestDataError::Data { kind, source: Some(source) }),
            },
            Some((&MARKED, [marks, rest @ ..])) if !matches!(rest.first(), Some(&(MARKED | LINKED))) => {
                let marks =
                    Marks::of_byte(*marks).ok_or(RequestDataError::Data { kind: MARKED, source: None })?;
                Ok(Self { marks, ..Self::decode(rest)? })
            }
            // The rest after `LIST` must not begin with another prefix. This prevents unbounded recursion on
            // damaged data.
            Some((&LIST, [kind, rest @ ..])) if !matches!(rest.first(), Some(&(LIST | MARKED | LINKED))) => {
                let reads = match *kind {
                    OF_ROBOTS => Reads::SitemapsOf,
                    depth => Reads::Sitemap { depth },
                };
                Ok(Self { reads, ..Self::decode(rest)? })
            }
            Some((&kind, _)) => Err(RequestDataError::Data { kind, source: None }),
        }
    }
}

/// Splits the bytes after `LINKED` into the referrer and the rest. Returns `None` if the rest begins with
/// another referrer.
fn linked(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (referrer, rest) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let rest = Some(rest).filter(|rest| rest.first() != Some(&LINKED))?;
    Some((str::from_utf8(referrer).ok()?, rest))
}

/// Returns the path and query of a record's URL, without parsing the URL. Returns `None` if the text is not a
/// web URL.
pub fn path_and_query(url: &str) -> Option<&str> {
    let rest = &url[origin_end(url)?..];
    Some(rest.split_once('#').map_or(rest, |(before, _)| before))
}

/// Returns the byte position at which the origin (scheme, name and port) of a URL ends.
pub fn origin_end(url: &str) -> Option<usize> {
    let name = url.find("://")? + "://".len();
    Some(name + url[name..].find('/')?)
}

/// Returns the encoded step of a record, without decoding the rest. Returns `None` if another version wrote
/// the record.
pub fn step_of(record: &Record) -> Option<&[u8]> {
    step_in(&record.extra)
}

/// Returns the page on which a failed URL was found.
pub fn referrer_of(failure: &Failure) -> Option<Box<str>> {
    // A record for the target of a redirect holds the whole URL of the referrer. Any other record may hold only its
    // path; the origin is that of `failure.url`.
    RequestData::decode(&failure.extra).ok()?.found_on(&failure.url)
}

fn step_in(extra: &[u8]) -> Option<&[u8]> {
    match extra {
        [] => Some(&[]),
        [LINKED, rest @ ..] => step_in(linked(rest)?.1),
        [MARKED | LIST, _, rest @ ..] if rest.len() < extra.len() => step_in(rest),
        [STEP_ONLY, step @ ..] => Some(step),
        [FULL, rest @ ..] => postcard::take_from_bytes(rest).ok().map(|(step, _)| step),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_plain_get_costs_no_byte_and_a_step_one_more_than_itself() {
        assert!(RequestData::default().encode().unwrap().is_empty());
        let step = RequestData { step: vec![7], ..RequestData::default() };
        assert_eq!(step.encode().unwrap().len(), 2);
        assert_eq!(RequestData::decode(&step.encode().unwrap()).unwrap(), step);
    }

    #[test]
    fn everything_comes_back() {
        let extra = RequestData {
            step: vec![1, 2, 3],
            placed: false,
            referrer: None,
            options: Some(Box::new(RequestOptions {
                method: Some("POST".into()),
                body: Some(b"x=1".to_vec()),
                headers: vec![("accept".into(), b"*/*".to_vec())],
                retries: Some(0),
                repeatable: true,
                session: Some("alice".into()),
                proxy: Some("http://127.0.0.1:3128".into()),
                referrer: Some("http://a/".into()),
                chain: Some(Chain { url: "http://b/".into(), seen: vec![1, 2] }),
            })),
            reads: Reads::Page,
            marks: Marks::default(),
        };
        assert_eq!(RequestData::decode(&extra.encode().unwrap()).unwrap(), extra);
        for reads in [Reads::Sitemap { depth: 0 }, Reads::Sitemap { depth: 3 }, Reads::SitemapsOf] {
            let list = RequestData { reads, ..extra.clone() };
            let encoded = list.encode().unwrap();
            assert_eq!(RequestData::decode(&encoded).unwrap(), list);
            assert_eq!(
                RequestData::decode(&encoded[2..]).unwrap(),
                extra,
                "what was written before still reads"
            );
            let bare = RequestData { reads, ..RequestData::default() };
            assert_eq!(RequestData::decode(&bare.encode().unwrap()).unwrap(), bare);
        }
        for marks in (1..128).filter_map(Marks::of_byte) {
            for reads in [Reads::Page, Reads::SitemapsOf] {
                let marked = RequestData { reads, marks, ..extra.clone() };
                let encoded = marked.encode().unwrap();
                assert_eq!(RequestData::decode(&encoded).unwrap(), marked);
                assert_eq!(step_in(&encoded), Some(&[1, 2, 3][..]));
            }
            let bare = RequestData { marks, ..RequestData::default() };
            assert_eq!(bare.encode().unwrap().len(), 2, "what a seed costs more than another URL");
            assert_eq!(RequestData::decode(&bare.encode().unwrap()).unwrap(), bare);
        }
    }

    #[test]
    fn a_referrer_of_the_same_origin_costs_its_path() {
        let options = Some(Box::new(RequestOptions {
            referrer: Some("http://a/old".into()),
            ..RequestOptions::default()
        }));
        let before = RequestData { step: vec![7], options, ..RequestData::default() };
        assert_eq!(before.found_on("http://b/x").as_deref(), Some("http://a/old"));
        for (referrer, page) in [("/p?x=1", "http://a:81/p?x=1"), ("https://b/p", "https://b/p")] {
            let marks = Marks { of_seed: true, ..Marks::default() };
            let linked = RequestData { referrer: Some(referrer.into()), marks, ..before.clone() };
            let encoded = linked.encode().unwrap();
            assert_eq!(encoded.len(), before.encode().unwrap().len() + 5 + referrer.len());
            assert_eq!(RequestData::decode(&encoded).unwrap(), linked);
            assert_eq!(linked.found_on("http://a:81/x").as_deref(), Some(page));
            assert_eq!(step_in(&encoded), Some(&[7][..]));
            assert!(RequestData::decode(&encoded[..4]).is_err());
            assert!(RequestData::decode(&[&encoded[..3 + referrer.len()], &encoded].concat()).is_err());
        }
        let long = RequestData { referrer: Some("/x".repeat(9_000).into()), ..RequestData::default() };
        assert_eq!(RequestData::decode(&long.encode().unwrap()).unwrap(), RequestData::default());
    }

    #[test]
    fn what_was_written_before_steps_had_names_is_read_and_says_so() {
        let extra = RequestData { step: vec![7, 8], options: Some(Box::default()), ..RequestData::default() };
        for (kind, placed) in [(FULL, false), (PLACED_FULL, true)] {
            let mut bytes = postcard::to_extend(&extra, vec![kind]).unwrap();
            assert_eq!(RequestData::decode(&bytes).unwrap(), RequestData { placed, ..extra.clone() });
            bytes.push(0);
            assert!(RequestData::decode(&bytes).is_err(), "a byte is left over");
        }
        let before = RequestData { step: vec![7], placed: true, ..RequestData::default() };
        assert_eq!(RequestData::decode(&[PLACED_STEP, 7]).unwrap(), before);
        assert_eq!(RequestData::decode(&[MARKED, 1, PLACED_STEP, 7]).unwrap().step, [7]);
    }

    #[test]
    fn bytes_of_another_version_are_an_error_and_no_panic() {
        for bytes in [
            &[0u8][..],
            &[2, 0, 0],
            &[9, 1, 2],
            &[LIST],
            &[LIST, 0, LIST, 0],
            &[LIST, 0, MARKED, 1],
            &[MARKED, 1, MARKED, 1],
            &[MARKED, 128],
            &[MARKED],
            &[FULL],
            &[FULL, 255, 255, 255, 255, 255],
        ] {
            assert!(RequestData::decode(bytes).is_err(), "{bytes:?}");
        }
    }
}
