//! Resolves names and connects, only to allowed addresses. Records how far the request that waits for the connection
//! got.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use reqwest::dns::{Name, Resolve, Resolving};

use crate::address::AddressPolicy;
use crate::dns::DnsCache;
use crate::transport::{Phase, Progress};

tokio::task_local! {
    /// The progress of the running task's request, which the resolver and the connector update. A connection that
    /// reqwest makes in the background has no progress to update.
    pub(super) static PROGRESS: Progress;
}

pub(super) fn not_public(address: IpAddr) -> String {
    let kind = if address.is_loopback() { "a loopback address" } else { "not public" };
    format!("{address} is {kind}: allow it first (AddressPolicy)")
}

fn note(phase: Phase) {
    // This fails only in the background, where no request waits for this connection.
    let _ = PROGRESS.try_with(|progress| progress.enter(phase));
}

/// The error for a name that has addresses, none of which is allowed.
#[derive(Debug, thiserror::Error)]
#[error("{name:?} has no public address: {}", not_public(*address))]
pub(crate) struct Blocked {
    name: String,
    address: IpAddr,
}

/// Resolves names through the shared cache, and returns only the addresses that are allowed.
pub(super) struct Resolver {
    pub(super) dns: Arc<DnsCache>,
    pub(super) addresses: Arc<AddressPolicy>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (dns, policy) = (self.dns.clone(), self.addresses.clone());
        Box::pin(async move {
            note(Phase::Resolve);
            // `name.` is the same host as `name` (both share one budget), so the trailing dot is removed. Some
            // resolvers cannot resolve `localhost.` with the dot.
            let name = name.as_str();
            let name = name.strip_suffix('.').unwrap_or(name);
            let addresses = dns.resolve(name).await?;
            let permitted: Vec<SocketAddr> = addresses
                .iter()
                .filter(|address| policy.permits(**address))
                // The port is 0 here, because the connector sets the port.
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            if permitted.is_empty() {
                // The cache returns at least one address, so the default is never used.
                let address = addresses.first().copied().unwrap_or(IpAddr::from([0, 0, 0, 0]));
                return Err(Blocked { name: name.to_owned(), address }.into());
            }
            note(Phase::Connect);
            Ok(Box::new(permitted.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// A layer that records when connecting begins and ends, so that a reused connection can be told from a new one.
#[derive(Clone)]
pub(super) struct NoteConnected;

#[derive(Clone)]
pub(super) struct Noting<S>(S);

impl<S> tower_layer::Layer<S> for NoteConnected {
    type Service = Noting<S>;

    fn layer(&self, inner: S) -> Noting<S> {
        Noting(inner)
    }
}

impl<S, R> tower_service::Service<R> for Noting<S>
where
    S: tower_service::Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        note(Phase::Connect);
        let connecting = self.0.call(target);
        Box::pin(async move {
            let connection = connecting.await?;
            note(Phase::Head);
            Ok(connection)
        })
    }
}
