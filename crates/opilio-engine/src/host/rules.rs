//! The robots.txt rules of a host's two origins, as the shard keeps them.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::host::{HostState, Input, RulesAnswer};
use opilio_core::{Fault, Hints, Host, HostPolicy, Lease, LeaseId, Outcome, Proposal, Scheme, Timestamp};
use opilio_robots::Robots;
use opilio_spider::data::path_and_query;
use url::Url;

use crate::context::ShardContext;
use crate::message::{Asker, Errand, RulesFacts, ToScheduler};

/// Rules by scheme. The state remembers until when they hold.
pub(crate) struct RulesTable {
    host: Host,
    user_agent: Arc<str>,
    origins: [OriginRules; 2],
    /// Questions put to other hosts so far.
    questions: u64,
    /// How often rules were read.
    readings: u64,
}

/// The result of a fetch of an origin's rules, by this host's gate or another's.
pub(crate) struct RulesNews<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) facts: &'a RulesFacts,
    pub(crate) proposal: Proposal,
    /// What the answer's headers say about this host's limits.
    pub(crate) hints: Hints,
}

/// Takes in what came of a fetch of a host's rules. The one place where rules begin to hold: what they forbid ends
/// before they let anything start, and a redirect to another host becomes an errand.
pub(crate) fn take_in(
    cx: &ShardContext,
    host: &Host,
    rules: &RefCell<RulesTable>,
    state: &RefCell<HostState>,
    news: &RulesNews<'_>,
) {
    let RulesNews { scheme, facts, proposal, hints } = *news;
    let now = cx.clock.now();
    let within = patience(&cx.settings.hosts.of(host).policy, cx.settings.fetch_timeout);
    let Learnt { answer, errand } = rules.borrow_mut().learn(scheme, facts, proposal, within);
    let mut state = state.borrow_mut();
    if matches!(answer, RulesAnswer::Known { .. }) {
        rules.borrow().refuse(scheme, Unjudged::All, &mut state, now);
    }
    state.handle(now, Input::Rules { scheme, answer, hints });
    if let Some(errand) = errand {
        cx.port.send(ToScheduler::Errand(errand));
    }
}

#[derive(Default)]
struct OriginRules {
    rules: Option<Robots>,
    /// They come from what was kept of the host, which is without the sitemaps.
    recalled: bool,
    /// Where the last redirect led on this host.
    redirected: Option<Box<Url>>,
    /// The question that was put to another host, if its answer is awaited.
    asked: Option<u64>,
    hops: u8,
    /// They could not be had once.
    failed: bool,
}

/// Which leases an origin's rules have not been asked about.
#[derive(Clone, Copy)]
pub(crate) enum Unjudged<'a> {
    /// All of them: the rules are new.
    All,
    /// These.
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

/// The meaning of a fetch of an origin's rules.
struct Learnt {
    pub(crate) answer: RulesAnswer,
    /// The next fetch, if another host has to make it.
    pub(crate) errand: Option<Errand>,
}

impl RulesTable {
    pub(crate) fn new(host: &Host, user_agent: impl Into<Arc<str>>) -> Self {
        let (host, user_agent) = (host.clone(), user_agent.into());
        Self { host, user_agent, origins: Default::default(), questions: 0, readings: 0 }
    }

    /// A table with rules that were read before, http first.
    pub(crate) fn restored(host: &Host, user_agent: impl Into<Arc<str>>, rules: [Option<Robots>; 2]) -> Self {
        let mut table = Self::new(host, user_agent);
        for (origin, rules) in table.origins.iter_mut().zip(rules) {
            origin.rules = rules;
            origin.recalled = true;
        }
        table
    }

    /// How often rules were read: whoever has judged by them judges anew when it has grown.
    pub(crate) fn readings(&self) -> u64 {
        self.readings
    }

    /// The rules of an origin, as they were last read.
    pub(crate) fn of(&self, scheme: Scheme) -> Option<&Robots> {
        self.origins[index(scheme)].rules.as_ref()
    }

    /// The rules of both origins, http first.
    pub(crate) fn all(&self) -> [Option<&Robots>; 2] {
        self.origins.each_ref().map(|origin| origin.rules.as_ref())
    }

    /// The sitemaps that an origin's robots.txt names, as written; none unless it was read while the host
    /// was live.
    pub(crate) fn sitemaps(&self, scheme: Scheme) -> Option<&[String]> {
        let origin = &self.origins[index(scheme)];
        origin.rules.as_ref().filter(|_| !origin.recalled).map(Robots::sitemaps)
    }

    /// Ends those leases that the rules do not allow, before they are asked for. For rules that hold.
    ///
    /// Long rules take milliseconds a URL: each lease is judged once by them.
    pub(crate) fn refuse(
        &self,
        scheme: Scheme,
        unjudged: Unjudged<'_>,
        state: &mut HostState,
        now: Timestamp,
    ) {
        let Some(rules) = self.of(scheme) else { return };
        let allows = |url: &str| path_and_query(url).is_none_or(|path| rules.allows(path));
        let disallowed = |lease: &&Lease| {
            let asked = unjudged.includes(lease.id);
            #[cfg(test)]
            JUDGED.set(JUDGED.get() + usize::from(asked));
            asked && !allows(&lease.record.url)
        };
        let refused: Vec<LeaseId> =
            state.ready_leases(scheme).filter(disallowed).map(|lease| lease.id).collect();
        for lease in refused {
            state.handle(now, Input::Disallowed(lease));
        }
    }

    /// The next URL to fetch for an origin's rules, on this host.
    pub(crate) fn url(&self, scheme: Scheme) -> Option<Url> {
        match &self.origins[index(scheme)].redirected {
            Some(url) => Some(Url::clone(url)),
            None => Url::parse(&format!("{}://{}/robots.txt", scheme.as_str(), self.host)).ok(),
        }
    }

    /// Whether this is the answer that is awaited, and not one that comes too late.
    pub(crate) fn is_awaited(&self, asker: &Asker) -> bool {
        self.origins[index(asker.scheme)].asked == Some(asker.question)
    }

    /// Reads what a fetch of the rules gave (RFC 9309 §2.3.1). Another host is waited for as long as
    /// `within`.
    fn learn(&mut self, scheme: Scheme, facts: &RulesFacts, proposal: Proposal, within: Duration) -> Learnt {
        let origin = &mut self.origins[index(scheme)];
        origin.asked = None;
        let answer = match facts.outcome {
            Outcome::Answered(200..=299) => {
                let rules = Robots::parse(&facts.body, &self.user_agent);
                if rules.widened() > 0 {
                    let (host, widened) = (&self.host, rules.widened());
                    tracing::warn!(%host, widened, "robots.txt has so many patterns that some forbid more than they say");
                }
                origin.know(rules)
            }
            Outcome::Redirected(_) => match &facts.location {
                Some(to) if origin.hops < HOPS_MAX => return self.follow(scheme, to, within),
                // Beyond the five hops of §2.3.1.2 the rules count as unavailable, hence open.
                _ => origin.know(Robots::allow_all()),
            },
            // A redirect that leads nowhere is no better than one that never ends.
            Outcome::Failed(Fault::BadRedirect) => origin.know(Robots::allow_all()),
            // 429 is a fact about the host; the other 4xx mean that there are no rules (§2.3.1.3).
            Outcome::Answered(400..=428 | 430..=499) => origin.know(Robots::allow_all()),
            outcome => {
                origin.start_over();
                RulesAnswer::Unavailable { outcome, proposal }
            }
        };
        self.readings += u64::from(matches!(answer, RulesAnswer::Known { .. }));
        Learnt { answer, errand: None }
    }

    /// Goes on at the redirect's target: here, or by another host's gate.
    fn follow(&mut self, scheme: Scheme, to: &Url, within: Duration) -> Learnt {
        let origin = &mut self.origins[index(scheme)];
        let Ok(host) = Host::of(to) else {
            self.readings += 1;
            return Learnt { answer: origin.know(Robots::allow_all()), errand: None };
        };
        origin.hops += 1;
        if host == self.host {
            origin.redirected = Some(Box::new(to.clone()));
            return Learnt { answer: RulesAnswer::Again, errand: None };
        }
        self.questions += 1;
        origin.redirected = None;
        origin.asked = Some(self.questions);
        let asker = Asker { host: self.host.clone(), scheme, question: self.questions };
        let errand = Some(Errand { host, url: to.clone(), asker });
        Learnt { answer: RulesAnswer::Elsewhere { within }, errand }
    }

    /// The rules could not be had: the next fetch begins at `/robots.txt` again.
    /// Tells whether this is the first time.
    pub(crate) fn start_over(&mut self, scheme: Scheme) -> bool {
        let origin = &mut self.origins[index(scheme)];
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

#[cfg(test)]
thread_local! {
    static JUDGED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// How many leases were judged on this thread so far.
#[cfg(test)]
pub(crate) fn judged() -> usize {
    JUDGED.get()
}

/// How long another host is waited for: five minutes by default, and as long as a fetch may take.
fn patience(policy: &HostPolicy, fetch_timeout: Duration) -> Duration {
    policy.backoff_bounds().min.saturating_mul(300).max(fetch_timeout)
}

fn index(scheme: Scheme) -> usize {
    match scheme {
        Scheme::Http => 0,
        Scheme::Https => 1,
    }
}

/// RFC 9309 §2.4: no longer than 24 hours.
const CACHE: Duration = Duration::from_secs(24 * 3_600);
/// RFC 9309 §2.3.1.2.
const HOPS_MAX: u8 = 5;
