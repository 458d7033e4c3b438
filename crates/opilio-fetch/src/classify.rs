//! Classifies an error of reqwest by its causes in hyper, h2, rustls and the operating system.

use std::error::Error;
use std::io;

use opilio_core::Fault;

use crate::dns::{LookupError, is_out_of_descriptors};
use crate::transport::{Phase, TransportError};
use crate::web::Blocked;

/// Facts about an exchange beside its error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// How far it got.
    pub(crate) phase: Phase,
    pub(crate) https: bool,
}

/// An error before the head of the answer was there.
pub(crate) fn before_head(error: &reqwest::Error, exchange: Exchange) -> TransportError {
    let (phase, fault) = match before_connection(error, exchange) {
        Some(found) => found,
        None => (Phase::Head, on_connection(error, exchange)),
    };
    TransportError::new(phase, fault, detail(error))
}

/// Which side failed: the proxy or the host behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behind {
    /// The proxy: it could not be reached, or breaks off.
    Proxy,
    /// The proxy: it does not let us in.
    Login,
    /// The host, through a proxy that did its work.
    Host,
    /// The proxy could not or would not connect; it does not say which.
    Unclear,
}

/// Distinguishes a proxy's failure from one of the host behind it, before there was a head.
///
/// The errors of a tunnel have no public type, so their texts decide; tests with real proxies check the
/// texts. Every TCP connect and every look-up concerns the proxy here.
pub(crate) fn behind_proxy(error: &reqwest::Error) -> Behind {
    if !error.is_connect() {
        return Behind::Host;
    }
    for text in causes(error).skip(1).map(ToString::to_string) {
        let begins = |with: &[&str]| with.iter().any(|with| text.starts_with(with));
        if begins(&["tunnel error: unsuccessful", "socks error", "SOCKS error"]) {
            return Behind::Unclear;
        }
        if begins(&["tunnel error: proxy authorization"]) {
            return Behind::Login;
        }
        if begins(&["tunnel error", "tcp connect error", "dns error", "error connecting to socks proxy"]) {
            return Behind::Proxy;
        }
    }
    if error.is_timeout() { Behind::Unclear } else { Behind::Host }
}

/// An error while the body was read.
pub(crate) fn in_body(error: &reqwest::Error) -> TransportError {
    let fault = causes(error)
        .find_map(|cause| {
            let io = cause.downcast_ref::<io::Error>()?;
            // hyper's chunk parser reports these kinds; a connection that ends too soon is `UnexpectedEof`.
            let malformed = matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            malformed.then_some(Fault::Protocol)
        })
        .or_else(|| causes(error).find_map(of_h2))
        .unwrap_or(Fault::Reset);
    TransportError::new(Phase::Body, fault, detail(error))
}

/// Whether the body was complete, last chunk included, and only a trailer field is malformed. Trailer fields
/// are not used.
pub(crate) fn is_stray_trailer(error: &reqwest::Error) -> bool {
    // hyper parses chunks itself, so this error comes from the fields.
    causes(error).any(|cause| cause.is::<httparse::Error>())
}

/// Failures of resolving, connecting and shaking hands.
fn before_connection(error: &reqwest::Error, exchange: Exchange) -> Option<(Phase, Fault)> {
    for cause in causes(error) {
        if cause.is::<Blocked>() {
            return Some((Phase::Resolve, Fault::BlockedAddress));
        }
        if let Some(lookup) = cause.downcast_ref::<LookupError>() {
            return Some((Phase::Resolve, of_lookup(lookup)));
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some((Phase::Tls, of_tls(tls)));
        }
        if cause.downcast_ref::<io::Error>().is_some_and(is_out_of_descriptors) {
            return Some((Phase::Connect, Fault::Ours));
        }
    }
    if !error.is_connect() {
        return None;
    }
    if error.is_timeout() {
        let phase = if exchange.phase == Phase::Resolve { Phase::Resolve } else { Phase::Connect };
        return Some((phase, phase.timeout()));
    }
    let broke_off = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|io| {
        matches!(
            io.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::InvalidData
        )
    });
    // A TCP connect does not fail in these ways: the handshake does.
    Some(if exchange.https && broke_off {
        (Phase::Tls, Fault::Tls)
    } else {
        (Phase::Connect, Fault::Connect)
    })
}

/// Failures of a standing connection before the head was complete.
fn on_connection(error: &reqwest::Error, exchange: Exchange) -> Fault {
    for cause in causes(error) {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            if hyper.is_parse_too_large() {
                return Fault::TooManyHeaders;
            }
            if hyper.is_parse_status() {
                return Fault::BadStatus;
            }
            if hyper.is_parse() {
                return of_parse(hyper);
            }
        }
        if let Some(fault) = of_h2(cause) {
            return fault;
        }
    }
    if error.is_builder() {
        // The URL or a header cannot be written as HTTP: nothing was sent, nothing will be.
        return Fault::Protocol;
    }
    // A new connection enters `Head` when it stands; one from the pool never does before its answer.
    if exchange.phase == Phase::Waiting { Fault::StaleConnection } else { Fault::Reset }
}

/// Classifies an unreadable head. The texts decide, which tests check: without a version of HTTP it is no
/// answer at all; any other error is the same on every connection.
fn of_parse(error: &hyper::Error) -> Fault {
    if error.to_string().contains("version") { Fault::Protocol } else { Fault::Malformed }
}

fn of_lookup(error: &LookupError) -> Fault {
    match error {
        LookupError::NoSuchName { .. } => Fault::NoSuchName,
        LookupError::Temporary { .. } => Fault::Dns,
        LookupError::Ours { .. } => Fault::Ours,
    }
}

fn of_tls(error: &rustls::Error) -> Fault {
    if matches!(error, rustls::Error::InvalidCertificate(_)) { Fault::Certificate } else { Fault::Tls }
}

/// A stream that was reset while its connection goes on, or a peer that breaks HTTP/2's rules. None
/// for anything that ended the connection as a whole.
fn of_h2(cause: &(dyn Error + 'static)) -> Option<Fault> {
    let error = cause.downcast_ref::<h2::Error>()?;
    match error.reason()? {
        h2::Reason::PROTOCOL_ERROR | h2::Reason::FRAME_SIZE_ERROR | h2::Reason::COMPRESSION_ERROR => {
            Some(Fault::Protocol)
        }
        _ if error.is_reset() => Some(Fault::Reset),
        _ => None,
    }
}

/// The error and all that caused it. `io::Error` hides its inner error from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error = *error;
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The causes in one line, each once. reqwest's own text only adds the URL.
fn detail(error: &reqwest::Error) -> String {
    let mut line = String::new();
    for cause in causes(error).skip(1) {
        let text = cause.to_string();
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}
