//! Outcomes: the result of an attempt, whose fault it was, and the stable words for reports.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The result of one attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// A complete answer with this status, body included.
    Answered(u16),
    /// An answer that counts as a refusal because of the user's policy
    /// ([`HostPolicy::slow_down`](crate::HostPolicy::slow_down)) or of a middleware. 429 and 503 always count
    /// as refusals and are `Answered`.
    Refused(u16),
    /// A 301, 302, 303, 307 or 308 with a usable `Location`.
    Redirected(u16),
    /// There was no usable answer, because of this fault.
    Failed(Fault),
}

/// The reason why there was no usable answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The name could not be resolved at the moment.
    Dns,
    /// The name does not exist.
    NoSuchName,
    /// The server refused the connection or could not be reached, or the connection attempt timed out.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The certificate is not valid for this host. A retry would give the same result.
    Certificate,
    /// The connection was made, but the deadline of the attempt or that for the first byte passed.
    Timeout,
    /// The connection was reset or closed before the answer was complete.
    Reset,
    /// A reused connection turned out to be closed before the first byte of the answer.
    StaleConnection,
    /// The answer broke the rules of HTTP: no head at all, wrong chunks, wrong frames.
    Protocol,
    /// The head of the answer contradicts itself or cannot be read: it has two lengths, for example, or says
    /// twice that it is chunked. The answer would be the same on every connection, so this says nothing about
    /// the host.
    Malformed,
    /// The status is not in the range 100–599.
    BadStatus,
    /// The body was larger than the crawl allows.
    BodyTooLarge,
    /// The decompressed body was larger than allowed, in bytes or in relation to the compressed body.
    DecompressionBomb,
    /// The body was in an encoding that Opilio cannot decode, or its encoded data was damaged.
    Undecodable,
    /// The answer had more header fields, or more bytes of header fields, than the crawl allows.
    TooManyHeaders,
    /// The answer was a 3xx without a usable `Location`.
    BadRedirect,
    /// A redirect led back to a URL of its own chain.
    RedirectLoop,
    /// The chain of redirects was longer than the crawl allows.
    TooManyRedirects,
    /// The address is private, loopback, link-local or otherwise not public, and the user did not allow it.
    BlockedAddress,
    /// The scheme of the URL is neither http nor https.
    UnsupportedScheme,
    /// The crawl did not ask for this content type.
    NotText,
    /// The user's middleware or transport panicked.
    Middleware,
    /// The proxy failed, and not the host: the request never reached the host.
    Proxy,
    /// Proxies failed as often as one request may try a proxy, so no retry follows.
    NoProxy,
    /// The crawler ran out of a resource (file descriptors, memory): this is neither the host's nor the URL's fault.
    Ours,
    /// No report came before the lease's deadline, since the fetcher stopped.
    Lost,
}

/// The party at fault for an outcome. It decides whether the outcome counts as an attempt of the URL or as a
/// strike against the host (too many strikes park a host).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// The attempt succeeded.
    Success,
    /// The host asked to wait: a 429, a 503, or a status that counts as a refusal.
    Refusal,
    /// The host could not be reached at all.
    Host,
    /// The URL is at fault, unless other URLs of the same host fail in a row, too.
    Url,
    /// The answer says something about this URL only (a 404, a redirect); the host is well.
    Neutral,
    /// The crawler is at fault. The outcome counts neither as an attempt of the URL nor as a strike against
    /// the host.
    Ours,
}

impl Outcome {
    /// Returns the party at fault for this outcome.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::Answered(200..=299 | 304) => Blame::Success,
            Self::Answered(429 | 503) | Self::Refused(_) => Blame::Refusal,
            Self::Answered(408 | 425) => Blame::Url,
            Self::Answered(501 | 505 | 511) => Blame::Neutral,
            Self::Answered(500..=599) => Blame::Url,
            Self::Answered(_) | Self::Redirected(_) => Blame::Neutral,
            Self::Failed(fault) => fault.blame(),
        }
    }

    /// Returns the stable word for the case that a URL ends with this outcome.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Refused(status @ 400..=599) => Reason::of_status(status),
            Self::Refused(_) => Reason::Refused,
            Self::Answered(status) | Self::Redirected(status) => Reason::of_status(status),
            Self::Failed(fault) => fault.reason(),
        }
    }
}

impl Fault {
    /// Returns the party at fault.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::Dns | Self::NoSuchName | Self::Connect | Self::Tls | Self::Certificate => Blame::Host,
            Self::Timeout | Self::Reset | Self::Protocol => Blame::Url,
            Self::StaleConnection | Self::Proxy | Self::NoProxy | Self::Ours | Self::Lost => Blame::Ours,
            Self::Malformed
            | Self::BadStatus
            | Self::BodyTooLarge
            | Self::DecompressionBomb
            | Self::Undecodable
            | Self::TooManyHeaders
            | Self::BadRedirect
            | Self::RedirectLoop
            | Self::TooManyRedirects
            | Self::BlockedAddress
            | Self::UnsupportedScheme
            | Self::NotText
            | Self::Middleware => Blame::Neutral,
        }
    }

    /// Whether a retry can never change the result.
    #[must_use]
    pub fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::NoSuchName
                | Self::Certificate
                | Self::BlockedAddress
                | Self::UnsupportedScheme
                | Self::Middleware
                | Self::NoProxy
        )
    }

    /// Returns the stable word that reports use for this fault.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Dns | Self::NoSuchName => Reason::Dns,
            Self::Connect => Reason::Connect,
            Self::Tls | Self::Certificate => Reason::Tls,
            Self::Timeout => Reason::Timeout,
            Self::Reset | Self::StaleConnection => Reason::Reset,
            Self::Protocol | Self::Malformed | Self::BadStatus => Reason::Protocol,
            Self::BodyTooLarge => Reason::BodyTooLarge,
            Self::DecompressionBomb => Reason::DecompressionBomb,
            Self::Undecodable => Reason::Undecodable,
            Self::TooManyHeaders => Reason::TooManyHeaders,
            Self::BadRedirect => Reason::BadRedirect,
            Self::RedirectLoop => Reason::RedirectLoop,
            Self::TooManyRedirects => Reason::TooManyRedirects,
            Self::BlockedAddress => Reason::BlockedAddress,
            Self::UnsupportedScheme => Reason::UnsupportedScheme,
            Self::NotText => Reason::NotText,
            Self::Middleware => Reason::MiddlewarePanic,
            Self::Proxy | Self::NoProxy => Reason::Proxy,
            Self::Ours | Self::Lost => Reason::Internal,
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $word:literal,)*) => {
        /// The reason why a URL ended as a failure: a stable word for reports, never renamed.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the stable word, as it is written in reports.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

reasons! {
    /// The name could not be resolved.
    Dns => "dns",
    /// No connection could be made.
    Connect => "connect",
    /// The TLS handshake failed or the certificate is not valid.
    Tls => "tls",
    /// The attempt did not end before a deadline.
    Timeout => "timeout",
    /// The connection broke before the answer was complete.
    Reset => "reset",
    /// The answer broke the rules of HTTP.
    Protocol => "protocol",
    /// The body was larger than the crawl allows.
    BodyTooLarge => "body_too_large",
    /// The decompressed body was larger than the crawl allows.
    DecompressionBomb => "decompression_bomb",
    /// The body could not be decoded.
    Undecodable => "undecodable",
    /// The answer had more header fields, or more bytes of them, than the crawl allows.
    TooManyHeaders => "too_many_headers",
    /// The chain of redirects was longer than the crawl allows.
    TooManyRedirects => "too_many_redirects",
    /// The redirects came back to a URL of their own chain.
    RedirectLoop => "redirect_loop",
    /// The answer was a 3xx without a usable `Location`.
    BadRedirect => "bad_redirect",
    /// The crawl may not connect to this address.
    BlockedAddress => "blocked_address",
    /// robots.txt forbids this URL.
    Robots => "robots",
    /// The last answer was a 4xx.
    Http4xx => "http_4xx",
    /// The last answer was a 5xx.
    Http5xx => "http_5xx",
    /// The last answer had another status that is not a success.
    HttpOther => "http_other",
    /// The last answer counted as a refusal, whatever its status.
    Refused => "refused",
    /// The scheme of the URL is neither http nor https.
    UnsupportedScheme => "unsupported_scheme",
    /// The crawl did not ask for this content type.
    NotText => "not_text",
    /// The redirect led out of the crawl's scope.
    OutOfScope => "out_of_scope",
    /// The spider's `parse` returned an error.
    ParseError => "parse_error",
    /// The spider's `parse` panicked.
    ParsePanic => "parse_panic",
    /// A file that the spider asked for could not be written.
    NotStored => "not_stored",
    /// Middleware panicked on the request or its answer.
    MiddlewarePanic => "middleware_panic",
    /// No proxy could carry the request.
    Proxy => "proxy",
    /// The host was parked for the rest of the run.
    HostClosed => "host_closed",
    /// The crawler failed for a reason of its own.
    Internal => "internal",
}

impl Reason {
    /// Returns the reason for a URL that ends with this status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            400..=499 => Self::Http4xx,
            500..=599 => Self::Http5xx,
            _ => Self::HttpOther,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
