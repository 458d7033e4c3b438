//! The robots.txt rules of a host's two origins: what an answer to a request for them means, and which leases they
//! forbid.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{HostState, Input, RulesAnswer};
use opilio_core::{
    Fault, Host, HostPolicy, Lease, LeaseId, Outcome, PerScheme, Proposal, RequestFacts, Scheme, Timestamp,
};
use opilio_robots::{ROBOTS_BYTES_MAX, Robots};
use url::Url;

use crate::data::path_and_query;

/// The rules of a host, by scheme. The host's state knows how long they apply.
pub struct RulesTable {
    host: Host,
    user_agent: Arc<str>,
    origins: PerScheme<OriginRules>,
    /// How many times another host had to be asked.
    questions: u64,
    /// How often rules were read.
    readings: u64,
}

/// The facts of a fetch of robots.txt.
#[derive(Clone, Copy, Debug)]
pub struct RulesFacts<'a> {
    /// What happened.
    pub outcome: Outcome,
    /// The file.
    pub body: &'a [u8],
    /// Where a redirect leads.
    pub location: Option<&'a Url>,
}

/// An origin's rules that another host is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesQuestion {
    /// The host whose rules they are.
    pub host: Host,
    /// The scheme of the origin.
    pub scheme: Scheme,
    /// Counts the questions of the host: the answer to an older question comes too late.
    pub number: u64,
}

/// What an answer to a request for an origin's rules means.
#[derive(Debug)]
pub struct Learnt {
    /// For the host's state.
    pub answer: RulesAnswer,
    /// The next request, if another host has to be asked.
    pub elsewhere: Option<RulesHop>,
}

/// A hop of a robots.txt to another host.
#[derive(Debug)]
pub struct RulesHop {
    /// The host of the URL.
    pub host: Host,
    /// The target of the redirect.
    pub url: Url,
    /// Who waits for the answer.
    pub question: RulesQuestion,
}

#[derive(Default)]
struct OriginRules {
    rules: Option<Robots>,
    /// The rules come from the host's memo, which has no sitemaps.
    recalled: bool,
    /// The target of the last redirect within this host.
    redirected: Option<Box<Url>>,
    /// The number of the question that another host has not answered yet.
    asked: Option<u64>,
    hops: u8,
    /// A fetch of the rules has failed since they were last known.
    failed: bool,
}

/// The leases that an origin's rules have not judged yet.
#[derive(Clone, Copy)]
pub enum Unjudged<'a> {
    /// All leases: the rules are new.
    All,
    /// These leases alone.
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
    /// A table without rules yet, for this user agent.
    pub fn new(host: &Host, user_agent: impl Into<Arc<str>>) -> Self {
        let (host, user_agent) = (host.clone(), user_agent.into());
        Self { host, user_agent, origins: Default::default(), questions: 0, readings: 0 }
    }

    /// A table with rules that an earlier run or an earlier actor read.
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

    /// How often rules were read. A caller that has judged leases judges them again when this has grown.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// The rules of an origin, as they were last read.
    #[must_use]
    pub fn of(&self, scheme: Scheme) -> Option<&Robots> {
        self.origins[scheme].rules.as_ref()
    }

    /// The rules of both origins.
    #[must_use]
    pub fn all(&self) -> PerScheme<Option<&Robots>> {
        PerScheme::from_fn(|scheme| self.of(scheme))
    }

    /// The sitemaps that an origin's robots.txt names, as written; `None` unless the file was read since the host came
    /// alive.
    #[must_use]
    pub fn sitemaps(&self, scheme: Scheme) -> Option<&[String]> {
        let origin = &self.origins[scheme];
        origin.rules.as_ref().filter(|_| !origin.recalled).map(Robots::sitemaps)
    }

    /// Ends the leases that the rules forbid, before they start. Only for rules that still apply.
    ///
    /// Returns how many leases were judged. Long rules take milliseconds a URL, so a caller has each lease judged once.
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

    /// The next URL on this host to fetch for an origin's rules.
    #[must_use]
    pub fn url(&self, scheme: Scheme) -> Option<Url> {
        match &self.origins[scheme].redirected {
            Some(url) => Some(Url::clone(url)),
            None => Url::parse(&format!("{}://{}/robots.txt", scheme.as_str(), self.host)).ok(),
        }
    }

    /// Whether this question still has no answer. An answer to any other question comes too late.
    #[must_use]
    pub fn is_awaited(&self, question: &RulesQuestion) -> bool {
        self.origins[question.scheme].asked == Some(question.number)
    }

    /// Reads the answer to a request for the rules (RFC 9309 §2.3.1). Another host has to answer `within` this time.
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
                    tracing::warn!(%host, widened, "robots.txt has more patterns than are kept: some were shortened and forbid more than they say");
                }
                origin.know(rules)
            }
            Outcome::Redirected(_) => match facts.location {
                Some(to) if origin.hops < HOPS_MAX => return self.follow(scheme, to, within),
                // Beyond the five hops of §2.3.1.2 the rules count as unavailable, hence open.
                _ => origin.know(Robots::allow_all()),
            },
            // A redirect without a usable target counts as one that never ends.
            Outcome::Failed(Fault::BadRedirect) => origin.know(Robots::allow_all()),
            // 429 is a fact about the host; the other 4xx mean that there are no rules (§2.3.1.3).
            Outcome::Answered(400..=428 | 430..=499) => origin.know(Robots::allow_all()),
            outcome => {
                origin.start_over();
                RulesAnswer::Unavailable { outcome, proposal }
            }
        };
        self.readings += u64::from(matches!(answer, RulesAnswer::Known { .. }));
        Learnt { answer, elsewhere: None }
    }

    /// Continues at the redirect's target, on this host or on another one.
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

    /// Begins at `/robots.txt` again after a failure. Returns whether this is the first failure since the rules were
    /// last known.
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

/// How long another host may take to answer: five minutes by default, and at least as long as a fetch may take.
#[must_use]
pub fn patience(policy: &HostPolicy, fetch_timeout: Duration) -> Duration {
    policy.backoff_bounds().min.saturating_mul(300).max(fetch_timeout)
}

/// The facts for the retry policy about a fetch of robots.txt. The host's state counts the attempts.
pub const ATTEMPT: RequestFacts = RequestFacts {
    repeatable: true,
    attempt: 1,
    elapsed: Duration::ZERO,
    retries: None,
    failed_before: false,
};
/// How much of a robots.txt is read: one byte more than counts, so that its reader sees that there is more.
pub const READ_BYTES_MAX: usize = ROBOTS_BYTES_MAX + 1;
/// RFC 9309 §2.4: no longer than 24 hours.
const CACHE: Duration = Duration::from_secs(24 * 3_600);
/// RFC 9309 §2.3.1.2.
const HOPS_MAX: u8 = 5;
