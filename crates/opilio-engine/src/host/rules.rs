//! The robots.txt rules of a host's two origins, as the host actor keeps them.

use std::time::Duration;

use opilio_core::host::{HostState, Input, RulesAnswer};
use opilio_core::{Host, Lease, LeaseId, Outcome, Proposal, Scheme, Timestamp};
use opilio_robots::Robots;
use url::Url;

use crate::message::Report;

/// Rules by scheme. They are forgotten with the actor; the state remembers until when they hold.
pub(crate) struct RulesTable {
    host: Host,
    user_agent: String,
    origins: [OriginRules; 2],
}

#[derive(Default)]
struct OriginRules {
    rules: Option<Robots>,
    /// Where the last redirect led, and how many there were.
    redirected: Option<Url>,
    hops: u8,
}

impl RulesTable {
    pub(crate) fn new(host: &Host, user_agent: &str) -> Self {
        Self { host: host.clone(), user_agent: user_agent.to_owned(), origins: Default::default() }
    }

    /// A table with rules that were read before, http first.
    pub(crate) fn restored(host: &Host, user_agent: &str, rules: [Option<Robots>; 2]) -> Self {
        let mut table = Self::new(host, user_agent);
        for (origin, rules) in table.origins.iter_mut().zip(rules) {
            origin.rules = rules;
        }
        table
    }

    /// The rules of an origin, as they were last read.
    pub(crate) fn of(&self, scheme: Scheme) -> Option<&Robots> {
        self.origins[index(scheme)].rules.as_ref()
    }

    pub(crate) fn is_known(&self, scheme: Scheme) -> bool {
        self.of(scheme).is_some()
    }

    /// Whether the rules allow a URL; what is unknown is not allowed yet, but nobody asks then.
    pub(crate) fn allows(&self, scheme: Scheme, url: &str) -> bool {
        let Some(rules) = &self.origins[index(scheme)].rules else { return true };
        Url::parse(url).map_or(true, |url| rules.allows_url(&url))
    }

    /// Ends the leases that the known rules do not allow, before they are asked for.
    pub(crate) fn refuse(&self, scheme: Scheme, state: &mut HostState, now: Timestamp) {
        if !self.is_known(scheme) {
            return;
        }
        let disallowed = |lease: &&Lease| !self.allows(scheme, &lease.record.url);
        let refused: Vec<LeaseId> =
            state.ready_leases(scheme).filter(disallowed).map(|lease| lease.id).collect();
        for lease in refused {
            state.handle(now, Input::Disallowed(lease));
        }
    }

    /// What to fetch next for an origin's rules.
    pub(crate) fn url(&self, scheme: Scheme) -> Option<Url> {
        match &self.origins[index(scheme)].redirected {
            Some(url) => Some(url.clone()),
            None => Url::parse(&format!("{}://{}/robots.txt", scheme.as_str(), self.host)).ok(),
        }
    }

    /// Reads what a fetch of the rules gave (RFC 9309 §2.3.1).
    pub(crate) fn learn(&mut self, scheme: Scheme, report: &Report, proposal: Proposal) -> RulesAnswer {
        let host = self.host.clone();
        let origin = &mut self.origins[index(scheme)];
        let body = report.answer.as_ref().map(|answer| answer.body.clone()).unwrap_or_default();
        match report.outcome {
            Outcome::Answered(200..=299) => origin.know(Robots::parse(&body, &self.user_agent)),
            Outcome::Redirected(_) => match &report.location {
                Some(to) if origin.hops < HOPS_MAX && Host::of(to).is_ok_and(|other| other == host) => {
                    origin.hops += 1;
                    origin.redirected = Some(to.clone());
                    RulesAnswer::Again
                }
                // Five hops are the most that RFC 9309 §2.3.1.2 asks for; beyond, and at another
                // host, whose budget this is not, the rules count as unavailable, hence open.
                _ => origin.know(Robots::parse(b"", &self.user_agent)),
            },
            // 429 is a fact about the host; the other 4xx mean that there are no rules (§2.3.1.3).
            Outcome::Answered(400..=428 | 430..=499) => origin.know(Robots::parse(b"", &self.user_agent)),
            outcome => {
                origin.start_over();
                RulesAnswer::Unavailable { outcome, proposal }
            }
        }
    }
}

impl OriginRules {
    fn know(&mut self, rules: Robots) -> RulesAnswer {
        let crawl_delay = rules.crawl_delay();
        self.rules = Some(rules);
        self.start_over();
        RulesAnswer::Known { crawl_delay, expires_in: CACHE }
    }

    fn start_over(&mut self) {
        self.redirected = None;
        self.hops = 0;
    }
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
