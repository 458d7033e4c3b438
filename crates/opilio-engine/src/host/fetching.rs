//! Starts the fetches of a host: those for its leases and those for its robots.txt.

use std::time::Duration;

use actix::{AsyncContext, Context};
use opilio_core::host::{Input, RulesAnswer, Start};
use opilio_core::{Fault, Hints, Lease, LeaseId, Outcome, RequestFacts, Scheme};
use opilio_fetch::connections::IDLE_MAX;
use opilio_fetch::{Connection, FetchRequest};
use opilio_spider::Answer;
use opilio_spider::attempts::Attempt;
use opilio_spider::data::Reads;
use opilio_spider::rules;
use url::Url;

use super::HostActor;
use super::rules::rules_request;
use crate::message::{Advisor, Fetch, FetchFor, Report};
use crate::prepared::LeaseRequest;

impl HostActor {
    /// Starts an attempt at a lease. If no request is sent, returns at once an input that tells the state so.
    pub(super) fn fetch(&mut self, ctx: &mut Context<Self>, start: Start) -> Option<Input> {
        let Start { lease, attempt, resent, probe, failed_before, .. } = start;
        let id = lease.id;
        self.progress.reports.forget(id);
        let now = self.cx.clock.now();
        let earlier = self.progress.attempts.start(id, now);
        let facts = RequestFacts {
            repeatable: false,
            attempt,
            elapsed: Duration::ZERO,
            retries: Some(0),
            failed_before,
        };
        let mut advisor = self.advisor(facts, earlier);
        advisor.is_errand = id.is_errand();
        let Some(LeaseRequest { mut request, retries, reads }) = self.request(&lease) else {
            // The record of this lease, which Opilio itself wrote, cannot be read now: the server is not at
            // fault.
            return Some(self.unsent(id, &advisor, Fault::UnsupportedScheme));
        };
        advisor.facts.repeatable = request.repeatable;
        advisor.facts.retries = retries;
        if resent && !request.repeatable {
            // A request for this lease was sent before, and the server may have processed that request. The
            // spider has not said that a second request does no harm.
            return Some(self.unsent(id, &advisor, Fault::Lost));
        }
        match reads {
            Reads::Page if id.is_errand() => {}
            Reads::Page => request.accept = self.cx.settings.accept(),
            Reads::Sitemap { .. } => request.enough = Some(self.cx.settings.body_bytes_max),
            Reads::SitemapsOf => {
                // A probe has to be sent, since its answer shows whether the host works.
                if !probe && let Some(answer) = self.sitemaps_known(lease.record.scheme, &request.url) {
                    return Some(self.answered_from_rules(id, &advisor, answer));
                }
                request.enough = Some(rules::READ_BYTES_MAX);
            }
        }
        let retry = u64::from(attempt > 1 || earlier.first_start < now);
        self.cx.count(|counts| {
            counts.requests += 1;
            counts.retries += retry;
        });
        (!self.send(ctx, FetchFor::Lease(id), request, advisor)).then_some(Input::Undelivered(id))
    }

    /// Returns the request of a lease, or `None` if the lease's record cannot be read.
    fn request(&self, lease: &Lease) -> Option<LeaseRequest> {
        if !lease.id.is_errand() {
            return self.kept.prepared.borrow_mut().request(lease, &self.cx.settings.scope);
        }
        let request = match self.kept.errands.borrow().request(lease.id) {
            Some(request) => request.clone(),
            // A witness: the host fetches its own robots.txt, to learn whether the host or the URLs caused
            // the failures.
            None => rules_request(Url::parse(&lease.record.url).ok()?),
        };
        // No retries: the asker of an errand decides whether to try again.
        Some(LeaseRequest { request, retries: Some(0), reads: Reads::Page })
    }

    /// Returns the advisor that travels with a fetch. It adds a proposal (what to do next with the URL) to
    /// the report of the fetch.
    fn advisor(&mut self, facts: RequestFacts, earlier: Attempt) -> Advisor {
        let Attempt { first_start, uncarried } = earlier;
        let (settings, host, random) = (self.cx.settings.clone(), self.host.clone(), self.random.f64());
        Advisor { settings, host, facts, first_start, uncarried, is_errand: false, random }
    }

    /// Returns the input for an attempt that failed before its request was sent.
    fn unsent(&mut self, lease: LeaseId, advisor: &Advisor, fault: Fault) -> Input {
        self.slot = None;
        let outcome = Outcome::Failed(fault);
        let proposal = advisor.propose(self.cx.clock.now(), outcome, Hints::default());
        Input::Report { lease, outcome, proposal }
    }

    /// Returns an answer for a robots.txt whose origin's rules are already known, without a request. The
    /// answer has the form of a robots.txt that contains only the sitemaps of the known rules.
    fn sitemaps_known(&self, scheme: Scheme, url: &Url) -> Option<Answer> {
        let known =
            self.kept.state.try_borrow().is_ok_and(|state| state.knows_rules(scheme, self.cx.clock.now()));
        let rules = self.kept.rules.borrow();
        let sitemaps = rules.sitemaps(scheme).filter(|_| known)?;
        let lines: String = sitemaps.iter().map(|loc| format!("Sitemap: {loc}\n")).collect();
        Some(Answer {
            url: url.clone(),
            status: 200,
            headers: http::HeaderMap::new(),
            body: lines.into(),
            cut: false,
            permit: None,
            elapsed: Duration::ZERO,
            fetched_unix_millis: None,
        })
    }

    /// Returns the input for an attempt that was answered from known robots.txt rules, without a request.
    fn answered_from_rules(&mut self, lease: LeaseId, advisor: &Advisor, answer: Answer) -> Input {
        self.slot = None;
        let outcome = Outcome::Answered(200);
        let proposal = advisor.propose(self.cx.clock.now(), outcome, Hints::default());
        let what = FetchFor::Lease(lease);
        let (answer, location, error, waits) = (Some(answer), None, None, None);
        let report = Report { what, outcome, proposal, answer, location, error, waits };
        self.progress.reports.begin(lease, report);
        Input::Report { lease, outcome, proposal }
    }

    /// Fetches the robots.txt of an origin. If no request is sent, returns at once an input that tells the
    /// state so.
    pub(super) fn fetch_rules(&mut self, ctx: &mut Context<Self>, scheme: Scheme) -> Option<Input> {
        let url = self.kept.rules.borrow().url(scheme);
        let request = url.map(rules_request);
        let first_start = self.cx.clock.now();
        let advisor =
            self.advisor(rules::ATTEMPT, Attempt { first_start, uncarried: self.progress.rules_uncarried });
        // Without a slot no request is sent, and the failure says nothing about the host.
        let outcome = Outcome::Failed(Fault::Ours);
        let proposal = advisor.propose(first_start, outcome, Hints::default());
        if request.is_some_and(|request| self.send(ctx, FetchFor::Rules(scheme), request, advisor)) {
            self.cx.count(|counts| counts.requests += 1);
            return None;
        }
        self.slot = None;
        let answer = RulesAnswer::Unavailable { outcome, proposal };
        Some(Input::Rules { scheme, answer, hints: Hints::default() })
    }

    /// Gives a fetch to the pool. Returns whether this host had a slot for it.
    fn send(
        &mut self,
        ctx: &Context<Self>,
        what: FetchFor,
        mut request: FetchRequest,
        advisor: Advisor,
    ) -> bool {
        self.cx.settings.dress(&self.host, &mut request);
        if self.idle_time() > IDLE_MAX {
            // The server would close the connection before its next use. Until then an open connection would
            // burden the server and this process.
            request.connection = Connection::Close;
        }
        // The state starts a fetch only with a granted slot. If a slot is missing nevertheless, no request is
        // sent.
        let Some(slot) = self.slot.take() else { return false };
        let fetch = Fetch { slot, what, request, advisor, reply: ctx.address().recipient() };
        self.cx.pool.fetches.send(fetch);
        true
    }

    /// Returns how long the connection of a request would be idle after the request at least: the time until the
    /// host's next start, which depends on the rate, the crawl delay, a quota and the learnt pace.
    fn idle_time(&self) -> Duration {
        let host = self.kept.state.borrow().snapshot();
        let next = host.next_start.map_or(Duration::ZERO, |at| at.since(self.cx.clock.now()));
        host.spacing.max(next)
    }
}
