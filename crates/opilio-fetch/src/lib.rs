//! Makes single attempts: from one request to one outcome. This crate contains the transport, the limits and the
//! classification of errors.
//!
//! [`Fetcher`] makes one attempt: it sends the request over a [`Transport`], reads the answer within its [`Limits`],
//! decodes it, and returns an [`opilio_core::Outcome`] with the answer's hints about its host. It never retries and
//! never follows a redirect: each retry and each redirect is a new start, which spends the host's budget.
//!
//! There are two transports: [`ReqwestTransport`] for the web, and [`ScriptedTransport`], a simulated web in memory
//! that runs in virtual time.

mod address;
mod body;
mod budget;
#[cfg(feature = "cache")]
mod cache;
mod classify;
pub mod connections;
mod cookies;
mod decode;
mod dns;
mod fetch;
pub mod fuzz;
mod head;
mod limits;
mod middleware;
mod proxy;
mod scripted;
mod transport;
mod web;

#[cfg(test)]
mod tests;

pub use address::{AddressPolicy, AddressPolicyError};
pub use budget::{BodyBudget, BodyPermit};
#[cfg(feature = "cache")]
pub use cache::Cache;
pub use cookies::{CookieFileError, CookieRefused, Cookies, Jar, KeptCookies};
pub use dns::{DnsCache, Lookup, LookupError, SystemLookup};
pub use fetch::{FetchRequest, Fetched, Fetcher, Purpose};
pub use head::{Accept, Head, redirect_target};
pub use limits::Limits;
pub use middleware::{Incoming, Middleware, Outgoing};
pub use opilio_core::{BadProxy, Proxy, USER_AGENT};
pub use scripted::{Script, ScriptedAnswer, ScriptedTransport};
pub use transport::{
    Answer, BodyStream, Connection, Phase, Progress, Sending, StopReason, Transport, TransportError,
    TransportRequest,
};
pub use web::{ReqwestTransport, SetupError, Tls, Web, WebSettings};
