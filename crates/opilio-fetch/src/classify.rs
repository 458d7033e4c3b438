//! Classifies an error of reqwest by the errors that caused it in hyper, h2, rustls and the operating system.

use std::error::Error;
use std::io;

use opilio_core::Fault;

use crate::dns::{LookupError, is_out_of_descriptors};
use crate::transport::{Phase, TransportError};
use crate::web::Blocked;

/// Facts about a request that reqwest's error does not contain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    /// The phase that the request had reached when it failed.
    pub(crate) phase: Phase,
    pub(crate) https: bool,
}

/// Classifies an error that happened before the head of the answer arrived.
pub(crate) fn before_head(error: &reqwest::Error, exchange: Exchange) -> TransportError {
    let (phase, fault) = match before_connection(error, exchange) {
        Some(found) => found,
        None => (Phase::Head, on_connection(error, exchange)),
    };
    TransportError::new(phase, fault, detail(error))
}

/// The side that failed: the proxy or the host behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behind {
    /// The proxy failed: it cannot be reached, or its connection broke off.
    Proxy,
    /// The proxy requires a login, or rejects the login that was sent.
    Login,
    /// The host failed; its proxy worked.
    Host,
    /// It is unknown which side failed: the proxy did not connect to the host, and does not say why.
    Unclear,
}

/// Decides whether the proxy or the host behind it failed, for an error before the head of the answer arrived.
///
/// The errors of a tunnel have no public type, so their texts decide; tests with real proxies check these texts.
/// When a proxy is used, every TCP connection and every name look-up is for the proxy.
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

/// Classifies an error that happened while the body was read.
pub(crate) fn in_body(error: &reqwest::Error) -> TransportError {
    let fault = causes(error)
        .find_map(|cause| {
            let io = cause.downcast_ref::<io::Error>()?;
            // hyper's chunk parser reports errors of these two kinds. A connection that ends too soon is reported as
            // `UnexpectedEof` instead.
            let malformed = matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            malformed.then_some(Fault::Protocol)
        })
        .or_else(|| causes(error).find_map(of_h2))
        .unwrap_or(Fault::Reset);
    TransportError::new(Phase::Body, fault, detail(error))
}

/// Returns whether the body was complete, including its last chunk, and only a trailer field is malformed. Such an
/// error is harmless, since trailer fields are not used.
pub(crate) fn is_stray_trailer(error: &reqwest::Error) -> bool {
    // hyper parses chunks with its own code and only trailer fields with httparse, so an error of httparse comes
    // from the trailer fields.
    causes(error).any(|cause| cause.is::<httparse::Error>())
}

/// Classifies failures of resolving, connecting and the TLS handshake.
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
    // A TCP connect does not fail with these kinds of error, so the TLS handshake failed.
    Some(if exchange.https && broke_off {
        (Phase::Tls, Fault::Tls)
    } else {
        (Phase::Connect, Fault::Connect)
    })
}

/// Classifies failures of an open connection before the head of the answer was complete.
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
        // The URL or a header cannot be written as HTTP, so no request was or will be sent.
        return Fault::Protocol;
    }
    // A request on a new connection enters `Head` when the connection is ready; a request on a connection from the
    // pool stays in `Waiting` until its answer arrives.
    if exchange.phase == Phase::Waiting { Fault::StaleConnection } else { Fault::Reset }
}

/// Classifies a head that cannot be parsed, by the error's text, which tests check. If no version of HTTP could be
/// read, the bytes are not an HTTP answer. Every other such error would occur on each new connection, too.
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

/// Classifies a stream that was reset while its connection continues, or a peer that violates HTTP/2. Returns `None`
/// for an error that ended the whole connection.
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

/// Iterates over the error and its causes, including the inner error of an `io::Error`, which `source` skips.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error = *error;
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// Joins the texts of the causes in one line, each text once. reqwest's own text is left out, since it only adds the
/// URL.
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
