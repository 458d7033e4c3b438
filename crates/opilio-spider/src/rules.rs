//! Keeps the robots.txt rules of a host's two origins (http and https): reads the answers to requests for robots.txt,
//! and finds the leases that the rules forbid.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{HostState, Input, RulesAnswer};
use opilio_core::{
    Fault, Host, HostPolicy, Lease, LeaseId, Outcome, PerScheme, Proposal, RequestFacts, Scheme, Timestamp,
};
use opilio_robots::{ROBOTS_BYTES_MAX, Robots};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::data::path_and_query;

/// The robots.txt rules of a host, one set for each scheme. `HostState` knows how long the rules apply.
pub struct RulesTable {
    host: Host,
    user_agent: Arc<str>,
    origins: PerScheme<OriginRules>,
    /// The number of questions that were sent to other hosts, because robots.txt was redirected to them.
    questions: u64,
    /// The number of times that rules were read. The rules of both origins are counted.
    readings: u64,
}

/// The result of a request for robots.txt.
#[derive(Clone, Copy, Debug)]
pub struct RulesFacts<'a> {
    /// The HTTP status of the answer, or the fault if no answer arrived.
    pub outcome: Outcome,
    /// The body of the answer.
    pub body: &'a [u8],
    /// The target of the redirect, if the answer is a redirect.
    pub location: Option<&'a Url>,
}

/// A question to another host, to which the robots.txt of an origin was redirected: which rules does your
/// file contain?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesQuestion {
    /// The host of the origin whose rules are wanted.
    pub host: Host,
    /// The scheme of the origin whose rules are wanted.
    pub scheme: Scheme,
    /// The number of the question. Each asking host counts its own questions. An answer to an older question
    /// is ignored.
    pub number: u64,
}

/// The result of reading the answer to a request for robots.txt.
#[derive(Debug)]
pub struct Learnt {
    /// The answer in the form in which `HostState` takes it.
    pub answer: RulesAnswer,
    /// The request to send to another host, if robots.txt was redirected to that host.
    pub elsewhere: Option<RulesHop>,
}

/// A redirect of a robots.txt to another host.
#[derive(Debug)]
pub struct RulesHop {
    /// The host to which the redirect leads.
    pub host: Host,
    /// The target of the redirect.
    pub url: Url,
    /// The question that the answer belongs to.
    pub question: RulesQuestion,
}

#[derive(Default)]
struct OriginRules {
    rules: Option<Robots>,
    /// Whether the rules come from the saved state of the host. That state does not hold the sitemaps that
    /// robots.txt names.
    recalled: bool,
    /// The target of the latest redirect, if the target is on the same host.
    redirected: Option<Box<Url>>,
    /// The number of the question to another host that is still unanswered.
    asked: Option<u64>,
    hops: u8,
    /// Whether a fetch of robots.txt has failed since rules were last read.
    failed: bool,
}

/// Says which leases are checked against an origin's rules.
#[derive(Clone, Copy)]
pub enum Unjudged<'a> {
    /// All leases are checked, since the rules of robots.txt have just been fetched.
    All,
    /// Only these leases are checked.
    Only(&'a HashSet<LeaseId>),
}

impl Unjudged<'_> {
    fn includes(self, lease: LeaseId) -> bool {
        match self {
            Self::All => true,
            Self::Only(leases) => leases.contains(&lease),
        }
    }
}

impl RulesTable {
    /// Makes a table without rules, for a crawler with the given user agent.
    pub fn new(host: &Host, user_agent: impl Into<Arc<str>>) -> Self {
        let (host, user_agent) = (host.clone(), user_agent.into());
        Self { host, user_agent, origins: Default::default(), questions: 0, readings: 0 }
    }

    /// Makes a table with rules that were read before, in an earlier run or earlier in this run.
    pub fn restored(
        host: &Host,
        user_agent: impl Into<Arc<str>>,
        mut rules: PerScheme<Option<Robots>>,
    ) -> Self {
        let origins = PerScheme::from_fn(|scheme| OriginRules {
            rules: rules[scheme].take(),
            recalled: true,
            ..OriginRules::default()
        });
        Self { origins, ..Self::new(host, user_agent) }
    }

    /// Returns the table as bytes, without its host and user agent, for a host that sleeps.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let origins = PerScheme::from_fn(|scheme| OriginForm::from(&self.origins[scheme]));
        let form = TableForm { origins, questions: self.questions, readings: self.readings };
        postcard::to_stdvec(&form).expect("each part of a table has a length that is known in advance")
    }

    /// Restores a table from its bytes.
    ///
    /// # Panics
    /// If this process did not make the bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], host: &Host, user_agent: impl Into<Arc<str>>) -> Self {
        let form: TableForm<'_> =
            postcard::from_bytes(bytes).expect("this process wrote the bytes of this table");
        let TableForm { mut origins, questions, readings } = form;
        let origins = PerScheme::from_fn(|scheme| std::mem::take(&mut origins[scheme]).into());
        Self { origins, questions, readings, ..Self::new(host, user_agent) }
    }

    /// Returns how often rules were read. When this number has grown, leases that were checked before have to be
    /// checked again.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// Returns the rules of an origin that were read last.
    #[must_use]
    pub fn of(&self, scheme: Scheme) -> Option<&Robots> {
        self.origins[scheme].rules.as_ref()
    }

    /// Returns the rules of both origins.
    #[must_use]
    pub fn all(&self) -> PerScheme<Option<&Robots>> {
        PerScheme::from_fn(|scheme| self.of(scheme))
    }

    /// Returns the sitemaps that an origin's robots.txt names, as written in the file. Returns `None` unless the file
    /// was read since the actor of the host was started.
    #[must_use]
    pub fn sitemaps(&self, scheme: Scheme) -> Option<&[String]> {
        let origin = &self.origins[scheme];
        origin.rules.as_ref().filter(|_| !origin.recalled).map(Robots::sitemaps)
    }

    /// Ends those ready leases that the rules forbid. Call this only while the rules apply.
    ///
    /// Returns how many leases were checked. Checking one URL against a long robots.txt takes milliseconds, so check
    /// each lease only once.
    pub fn refuse(
        &self,
        scheme: Scheme,
        unjudged: Unjudged<'_>,
        state: &mut HostState,
        now: Timestamp,
    ) -> usize {
        let Some(rules) = self.of(scheme) else { return 0 };
        let mut judged = 0;
        let disallowed = |lease: &&Lease| {
            judged += 1;
            path_and_query(&lease.record.url).is_some_and(|path| !rules.allows(path))
        };
        let leases = state.ready_leases(scheme).filter(|lease| unjudged.includes(lease.id));
        let refused: Vec<LeaseId> = leases.filter(disallowed).map(|lease| lease.id).collect();
        for lease in refused {
            state.handle(now, Input::Disallowed(lease));
        }
        judged
    }

    /// Returns the URL on this host to fetch next for an origin's rules: `/robots.txt`, or the target of a redirect.
    #[must_use]
    pub fn url(&self, scheme: Scheme) -> Option<Url> {
        match &self.origins[scheme].redirected {
            Some(url) => Some(Url::clone(url)),
            None => Url::parse(&format!("{}://{}/robots.txt", scheme.as_str(), self.host)).ok(),
        }
    }

    /// Returns whether this is the question whose answer is awaited. An answer to any other question is ignored.
    #[must_use]
    pub fn is_awaited(&self, question: &RulesQuestion) -> bool {
        self.origins[question.scheme].asked == Some(question.number)
    }

    /// Reads the answer to a request for robots.txt (RFC 9309 §2.3.1). If robots.txt is redirected to another host,
    /// that host must answer within the time `within`.
    pub fn learn(
        &mut self,
        scheme: Scheme,
        facts: RulesFacts<'_>,
        proposal: Proposal,
        within: Duration,
    ) -> Learnt {
        let origin = &mut self.origins[scheme];
        origin.asked = None;
        let answer = match facts.outcome {
            Outcome::Answered(200..=299) => {
                let rules = Robots::parse(facts.body, &self.user_agent);
                if rules.widened() > 0 {
                    let (host, widened) = (&self.host, rules.widened());
                    tracing::warn!(%host, widened, "robots.txt has too many patterns to keep: some were shortened, and forbid more URLs than the file does");
                }
                origin.know(rules)
            }
            Outcome::Redirected(_) => match facts.location {
                Some(to) if origin.hops < HOPS_MAX => return self.follow(scheme, to, within),
                // After five redirects robots.txt counts as unavailable, and all URLs are allowed (§2.3.1.2).
                _ => origin.know(Robots::allow_all()),
            },
            // A redirect without a usable target has the same result as too many redirects.
            Outcome::Failed(Fault::BadRedirect) => origin.know(Robots::allow_all()),
            // A 429 tells only that the host is busy. Any other 4xx means that there are no rules (§2.3.1.3).
            Outcome::Answered(400..=428 | 430..=499) => origin.know(Robots::allow_all()),
            outcome => {
                origin.start_over();
                RulesAnswer::Unavailable { outcome, proposal }
            }
        };
        self.readings += u64::from(matches!(answer, RulesAnswer::Known { .. }));
        Learnt { answer, elsewhere: None }
    }

    /// Follows a redirect of robots.txt to a target on this host or on another host.
    fn follow(&mut self, scheme: Scheme, to: &Url, within: Duration) -> Learnt {
        let origin = &mut self.origins[scheme];
        let Ok(host) = Host::of(to) else {
            self.readings += 1;
            return Learnt { answer: origin.know(Robots::allow_all()), elsewhere: None };
        };
        origin.hops += 1;
        if host == self.host {
            origin.redirected = Some(Box::new(to.clone()));
            return Learnt { answer: RulesAnswer::Again, elsewhere: None };
        }
        self.questions += 1;
        origin.redirected = None;
        origin.asked = Some(self.questions);
        let question = RulesQuestion { host: self.host.clone(), scheme, number: self.questions };
        let elsewhere = Some(RulesHop { host, url: to.clone(), question });
        Learnt { answer: RulesAnswer::Elsewhere { within }, elsewhere }
    }

    /// Begins at `/robots.txt` again after a failure. Returns whether this is the first failure since rules
    /// were last read.
    pub fn start_over(&mut self, scheme: Scheme) -> bool {
        let origin = &mut self.origins[scheme];
        origin.start_over();
        !std::mem::replace(&mut origin.failed, true)
    }
}

impl OriginRules {
    fn know(&mut self, rules: Robots) -> RulesAnswer {
        let crawl_delay = rules.crawl_delay();
        self.rules = Some(rules);
        self.recalled = false;
        self.failed = false;
        self.start_over();
        RulesAnswer::Known { crawl_delay, expires_in: CACHE }
    }

    fn start_over(&mut self) {
        self.redirected = None;
        self.asked = None;
        self.hops = 0;
    }
}

/// The form of a table in the bytes of a host that sleeps.
#[derive(Serialize, Deserialize)]
struct TableForm<'a> {
    #[serde(borrow)]
    origins: PerScheme<OriginForm<'a>>,
    questions: u64,
    readings: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct OriginForm<'a> {
    rules: Option<Cow<'a, Robots>>,
    sitemaps: Cow<'a, [String]>,
    recalled: bool,
    redirected: Option<Cow<'a, Url>>,
    asked: Option<u64>,
    hops: u8,
    failed: bool,
}

impl<'a> From<&'a OriginRules> for OriginForm<'a> {
    fn from(origin: &'a OriginRules) -> Self {
        let OriginRules { rules, recalled, redirected, asked, hops, failed } = origin;
        Self {
            rules: rules.as_ref().map(Cow::Borrowed),
            sitemaps: rules.as_ref().map(|rules| Cow::Borrowed(rules.sitemaps())).unwrap_or_default(),
            recalled: *recalled,
            redirected: redirected.as_deref().map(Cow::Borrowed),
            asked: *asked,
            hops: *hops,
            failed: *failed,
        }
    }
}

impl From<OriginForm<'_>> for OriginRules {
    fn from(form: OriginForm<'_>) -> Self {
        let OriginForm { rules, sitemaps, recalled, redirected, asked, hops, failed } = form;
        let sitemaps = sitemaps.into_owned();
        Self {
            rules: rules.map(|rules| rules.into_owned().with_sitemaps(sitemaps)),
            recalled,
            redirected: redirected.map(|url| Box::new(url.into_owned())),
            asked,
            hops,
            failed,
        }
    }
}

/// Returns how long another host may take to answer a question: five minutes by default, and at least as long as one
/// fetch may take.
#[must_use]
pub fn patience(policy: &HostPolicy, fetch_timeout: Duration) -> Duration {
    policy.backoff_bounds().min.saturating_mul(300).max(fetch_timeout)
}

/// The facts that the retry policy needs about a request for robots.txt. `HostState` counts the attempts.
pub const ATTEMPT: RequestFacts = RequestFacts {
    repeatable: true,
    attempt: 1,
    elapsed: Duration::ZERO,
    retries: None,
    failed_before: false,
};
/// The most bytes of a robots.txt that are read: one byte more than the parser uses, so that the parser can tell that
/// the file is longer.
pub const READ_BYTES_MAX: usize = ROBOTS_BYTES_MAX + 1;
/// The longest time for which rules apply before they are fetched again: 24 hours (RFC 9309 §2.4).
const CACHE: Duration = Duration::from_secs(24 * 3_600);
/// The most redirects of a robots.txt that are followed: five (RFC 9309 §2.3.1.2).
const HOPS_MAX: u8 = 5;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn answer(
        table: &mut RulesTable,
        scheme: Scheme,
        status: u16,
        body: &[u8],
        location: Option<&Url>,
    ) -> Learnt {
        let outcome =
            if location.is_some() { Outcome::Redirected(status) } else { Outcome::Answered(status) };
        let proposal =
            opilio_core::RetryPolicy::default().propose(&ATTEMPT, outcome, Default::default(), 0.0);
        table.learn(scheme, RulesFacts { outcome, body, location }, proposal, Duration::from_secs(60))
    }

    #[test]
    fn a_table_is_the_same_after_a_sleep() {
        let url = |text: &str| Url::parse(text).unwrap();
        let host = Host::of(&url("http://a.example/")).unwrap();
        let mut table = RulesTable::new(&host, "Opilio");
        answer(&mut table, Scheme::Http, 200, b"user-agent: *\ndisallow: /x*y\nsitemap: /map\n", None);
        let asked = answer(&mut table, Scheme::Https, 301, b"", Some(&url("http://b.example/robots.txt")));
        let question = asked.elsewhere.unwrap().question;
        let woken = RulesTable::from_bytes(&table.to_bytes(), &host, "Opilio");
        assert_eq!(woken.all(), table.all());
        assert_eq!(woken.sitemaps(Scheme::Http), Some(&["/map".to_owned()][..]));
        assert!(woken.is_awaited(&question));
        assert_eq!(woken.readings(), 1);

        answer(&mut table, Scheme::Https, 301, b"", Some(&url("https://a.example/robots")));
        let woken = RulesTable::from_bytes(&table.to_bytes(), &host, "Opilio");
        assert_eq!(woken.url(Scheme::Https), Some(url("https://a.example/robots")));
    }
}
