//! Takes in answers to requests for a host's robots.txt. [`opilio_spider::rules`] decides what such an answer
//! means.

use std::cell::RefCell;

use opilio_core::host::{HostState, Input, RulesAnswer};
use opilio_core::{Hints, Host, Proposal, Scheme, Timestamp};
use opilio_fetch::{FetchRequest, Purpose};
use opilio_spider::rules::{Learnt, READ_BYTES_MAX, RulesHop, RulesTable, Unjudged, patience};
use url::Url;

use crate::context::ShardContext;
use crate::message::{Asker, Errand, FetchFacts, ToScheduler};

/// The result of a fetch of an origin's robots.txt from this host, or, after a redirect, from another host.
pub(crate) struct RulesNews<'a> {
    pub(crate) scheme: Scheme,
    pub(crate) facts: &'a FetchFacts,
    pub(crate) proposal: Proposal,
    /// The limits of this host that the headers of the answer state.
    pub(crate) hints: Hints,
}

/// Takes in the result of a fetch of a host's robots.txt. New rules begin to apply only in this function, which
/// ends the leases that the rules forbid before any other lease can start. If robots.txt redirects to another host,
/// an errand is sent to that host.
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
    let Learnt { answer, elsewhere } = rules.borrow_mut().learn(scheme, facts.of_rules(), proposal, within);
    let mut state = state.borrow_mut();
    if matches!(answer, RulesAnswer::Known { .. }) {
        refuse(&rules.borrow(), scheme, Unjudged::All, &mut state, now);
    }
    state.handle(now, Input::Rules { scheme, answer, hints });
    if let Some(RulesHop { host, url, question }) = elsewhere {
        let (request, asker) = (rules_request(url), Asker::Rules(question));
        cx.port.send(ToScheduler::Errand(Box::new(Errand { host, request, asker })));
    }
}

/// Returns a request for a robots.txt.
pub(crate) fn rules_request(url: Url) -> FetchRequest {
    FetchRequest { purpose: Purpose::Robots, enough: Some(READ_BYTES_MAX), ..FetchRequest::get(url) }
}

/// Ends those leases of an origin that have not started and that the origin's rules forbid.
pub(crate) fn refuse(
    rules: &RulesTable,
    scheme: Scheme,
    unjudged: Unjudged<'_>,
    state: &mut HostState,
    now: Timestamp,
) {
    count_judged(rules.refuse(scheme, unjudged, state, now));
}

/// Adds to the number of leases that were checked against robots.txt rules, for tests.
pub(super) fn count_judged(_judged: usize) {
    #[cfg(test)]
    JUDGED.set(JUDGED.get() + _judged);
}

#[cfg(test)]
thread_local! {
    static JUDGED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns how many leases were checked against robots.txt rules on this thread so far.
#[cfg(test)]
pub(crate) fn judged() -> usize {
    JUDGED.get()
}
