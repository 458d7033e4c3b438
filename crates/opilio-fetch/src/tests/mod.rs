//! Tests of the fetcher with real sockets on loopback, and with a script in virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

#[cfg(feature = "cache")]
mod cache;
mod kept;
mod lenient;
mod middleware;
mod proxy;
mod refusals;
mod sandbox;
mod scripted;
mod server;
mod web;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use opilio_core::{Fault, Outcome};
use url::Url;

use crate::{AddressPolicy, DnsCache, FetchRequest, Fetched, Fetcher, Limits, Web, WebSettings};

/// A time limit for tests: short enough for the tests that wait until it passes, and long enough for the other tests
/// on a machine under load.
const SHORT: Duration = Duration::from_millis(400);

fn local() -> WebSettings {
    WebSettings { addresses: AddressPolicy::allow(["127.0.0.0/8"]).unwrap(), ..WebSettings::default() }
}

fn fetcher_with(settings: WebSettings, dns: DnsCache) -> Fetcher {
    Fetcher::new(Rc::new(Web::new(settings, Arc::new(dns)).unwrap().transport().unwrap()))
}

fn fetcher() -> Fetcher {
    fetcher_with(local(), DnsCache::default())
}

fn impatient() -> Fetcher {
    fetcher().limits(Limits { timeout: SHORT, ..Limits::default() })
}

async fn get(fetcher: &Fetcher, url: &str) -> Fetched {
    fetcher.fetch(FetchRequest::get(Url::parse(url).unwrap())).await
}

#[track_caller]
fn assert_fault(fetched: &Fetched, fault: Fault, what: &str) {
    assert_eq!(fetched.outcome, Outcome::Failed(fault), "{what}: {:?}", fetched.error);
    assert!(fetched.body.is_empty(), "{what}: a failure has no body");
    assert!(fetched.error.is_some(), "{what}: a failure says what was tried");
}
