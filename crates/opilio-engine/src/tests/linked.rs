//! A spider that follows every link, and transports whose answers a closure makes.

use std::rc::Rc;
use std::time::Duration;

use opilio_core::{HostPolicy, per_second};
use opilio_fetch::{AddressPolicy, ScriptedAnswer, ScriptedTransport, Transport, TransportRequest};
use tokio::time::Instant;

use super::ARRIVALS;
use crate::{Crawler, Found, Page, ParseError, Request, Spider};

/// A spider that follows every link of every page, beginning at these seeds.
pub(super) struct Links(pub(super) &'static [&'static str]);

impl Spider for Links {
    type Item = String;
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        self.0.iter().map(|url| Request::get(*url, ())).collect()
    }

    fn parse(&self, page: &Page<()>, found: &mut Found<Self>) -> Result<(), ParseError> {
        found.follow(page, "a", ())?;
        Ok(())
    }
}

/// Returns a transport whose answers a closure makes from the URL.
pub(super) fn site(
    answer: impl Fn(&str) -> ScriptedAnswer + Clone + Send + Sync + 'static,
) -> impl Fn() -> Rc<dyn Transport> + Send + Sync {
    move || {
        let answer = answer.clone();
        let start = Instant::now();
        Rc::new(ScriptedTransport::new(move |now: Instant, ask: &TransportRequest| {
            ARRIVALS.with(|arrivals| arrivals.borrow_mut().push((now - start, ask.url.to_string())));
            answer(ask.url.as_str())
        }))
    }
}

pub(super) fn links(to: impl IntoIterator<Item = String>) -> ScriptedAnswer {
    let links: String = to.into_iter().map(|to| format!("<a href=\"{to}\">x</a>")).collect();
    ScriptedAnswer::page(format!("<title>page</title>{links}")).after(Duration::from_millis(20))
}

pub(super) fn quick<S: Spider>(spider: S) -> Crawler<S> {
    Crawler::new(spider)
        .host(HostPolicy::new().rate(per_second(20)).in_flight(4))
        .addresses(AddressPolicy::allow_all())
        .no_robots()
        .seed(108)
}
