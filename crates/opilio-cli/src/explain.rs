//! `opilio explain`: what the default policy decides about one attempt, as JSON.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opilio::core::explain::{Question, explain, outcome_by_policy, outcome_of_error};
use opilio::{Backoff, HostPolicy, RetryPolicy};

use opilio_app::exit::{Exit, Failure};
use opilio_app::unit;

/// Prints what is decided about one attempt, as JSON.
///
/// It asks the function that a crawl asks, without any history: the answer is the first of its host.
/// Fields: verdict (accept, retry, give_up, or ignore for what is not sent), reason, retry_after_ms,
/// pause_host_ms, parks. Waits are the longest that they can be; a crawl shortens by jitter those that
/// no server has stated.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("outcome").required(true))]
pub(crate) struct ExplainArgs {
    /// The answer's status, 100 to 599 for an honest server
    #[arg(long, value_name = "CODE", group = "outcome", value_parser = clap::value_parser!(u16).range(..=999))]
    status: Option<u16>,
    /// How an attempt without an answer ended
    #[arg(long, value_name = "KIND", group = "outcome")]
    error: Option<ErrorKind>,
    /// A header field of the answer, as in 'Retry-After: 120'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Which attempt of the URL it was, from 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    attempt: u16,
    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = method)]
    method: Method,
    /// When the answer came, as in 2026-10-21T07:27:00Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    now: Option<jiff::Timestamp>,
    /// Retries after the first attempt
    #[arg(long, value_name = "N", default_value_t = 3, env = "OPILIO_RETRIES")]
    retries: u16,
    /// A stated wait beyond this parks the host: ms, s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "1h", env = "OPILIO_MAX_HOLD", value_parser = unit::duration)]
    max_hold: Duration,
    /// First wait where the server states none; it doubles: ms, s, m, h or d [default: 1s]
    #[arg(long, value_name = "TIME", env = "OPILIO_MIN_BACKOFF", value_parser = unit::positive_duration)]
    min_backoff: Option<Duration>,
    /// Longest wait where the server states none: ms, s, m, h or d [default: 1m]
    #[arg(long, value_name = "TIME", env = "OPILIO_MAX_BACKOFF", value_parser = unit::positive_duration)]
    max_backoff: Option<Duration>,
    /// Statuses that mean "slow down", as 429 and 503 do
    #[arg(long, value_name = "STATUS,…", env = "OPILIO_SLOW_DOWN", value_delimiter = ',', value_parser = unit::status)]
    slow_down: Vec<u16>,
    /// Statuses that are worth a retry, as a 500 is
    #[arg(long, value_name = "STATUS,…", env = "OPILIO_RETRY_STATUS", value_delimiter = ',', value_parser = unit::status)]
    retry_status: Vec<u16>,
}

/// The words for an attempt without an answer.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ErrorKind {
    Timeout,
    Connect,
    Reset,
    Dns,
    Tls,
    BodyTooLarge,
}

impl ErrorKind {
    fn word(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::BodyTooLarge => "body-too-large",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let backoff = backoff(args.min_backoff, args.max_backoff).map_err(Failure::usage)?;
    let retry = RetryPolicy::default().retries(args.retries).wait(opilio::core::Wait::Exponential(backoff));
    let retry = retry.retry_statuses(args.retry_status.iter().copied());
    let host = HostPolicy::new().max_hold(args.max_hold).backoff(backoff);
    let host = host.slow_down(args.slow_down.iter().copied());
    let outcome = match (args.status, args.error) {
        (Some(status), _) => Some(outcome_by_policy(status, &headers, &retry, &host)),
        (None, error) => error.and_then(|kind| outcome_of_error(kind.word())),
    };
    // clap's group demands one of the two, and the words are those of the core.
    let outcome = outcome.context("state --status or --error").map_err(Failure::usage)?;
    let now_ms = args.now.unwrap_or_else(jiff::Timestamp::now).as_millisecond();
    let question =
        Question { outcome, headers: &headers, attempt: args.attempt, method: &args.method, now_ms };
    let answer = serde_json::to_string(&explain(&retry, &host, &question)).map_err(Failure::run)?;
    match writeln!(std::io::stdout(), "{answer}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::run(error)),
        _ => Ok(Exit::Done),
    }
}

/// Waits from `min` on, doubling up to `max`. What is left out is the default, or the other one where the
/// default would contradict it.
///
/// # Errors
/// When both are stated and contradict each other.
pub(crate) fn backoff(min: Option<Duration>, max: Option<Duration>) -> anyhow::Result<Backoff> {
    let default = Backoff::default();
    match (min, max) {
        (Some(min), Some(max)) if max < min => Err(anyhow!(
            "the longest backoff ({}) is shorter than the first one ({})",
            unit::show_duration(max),
            unit::show_duration(min)
        )),
        (min, max) => Ok(Backoff {
            min: min.unwrap_or(default.min.min(max.unwrap_or(default.min))),
            max: max.unwrap_or(default.max.max(min.unwrap_or(default.max))),
        }),
    }
}

/// Reads `Name: value`.
pub(crate) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{name:?} is no name of a header field"))?;
    let value = value.trim().parse().map_err(|_| format!("the value of {name} is none that HTTP allows"))?;
    Ok((name, value))
}

/// Reads a method, in any case.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes()).map_err(|_| format!("{text:?} is no method"))
}
