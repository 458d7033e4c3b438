//! The command `opilio explain`: prints as JSON how a crawl decides about one attempt.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opilio::HostSettings;
use opilio::core::explain::{Question, explain, outcome_by_policy, outcome_of_error};
use opilio_app::settings::{CommandKind, Flags, HasSettings, SettingsTable};
use opilio_app::unit::header;

use opilio_app::exit::{Exit, Failure};

/// Prints what a crawl decides about one attempt, as JSON.
///
/// It calls the function that a crawl calls, without history: the answer counts as the first of its host.
/// Fields: verdict (accept, retry, give_up, or ignore for a request that was not sent), reason,
/// retry_after_ms, pause_host_ms, parks. Waits are the longest possible; a crawl shortens waits by jitter,
/// except those that a server states.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("outcome").required(true))]
pub(crate) struct ExplainArgs {
    /// HTTP status of the answer (correct servers send 100 to 599)
    #[arg(long, value_name = "CODE", group = "outcome", value_parser = clap::value_parser!(u16).range(..=999))]
    status: Option<u16>,
    /// Kind of the error of an attempt that got no answer
    #[arg(long, value_name = "KIND", group = "outcome")]
    error: Option<ErrorKind>,
    /// Header field of the answer, as in 'Retry-After: 120'; may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Number of the attempt; the first is 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    attempt: u16,
    /// HTTP method of the request
    #[arg(long, value_name = "METHOD", default_value = "GET", value_parser = method)]
    method: Method,
    /// Time of the answer, as in 2026-10-21T07:27:00Z [default: now]
    #[arg(long, value_name = "RFC3339")]
    now: Option<jiff::Timestamp>,
    #[command(flatten)]
    policy: Flags<ExplainArgs>,
}

impl HasSettings for ExplainArgs {
    fn settings() -> SettingsTable {
        SettingsTable::of(CommandKind::Explain)
    }
}

/// The outcomes of an attempt that got no answer, named as on the command line.
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

/// Runs `opilio explain`.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(args: &ExplainArgs) -> Result<Exit, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let HostSettings { policy: host, retry, .. } =
        args.policy.read().and_then(|draft| draft.host.settings()).map_err(Failure::Usage)?;
    let retry = retry.unwrap_or_default();
    let outcome = match (args.status, args.error) {
        (Some(status), _) => Some(outcome_by_policy(status, &headers, &retry, &host)),
        (None, error) => error.and_then(|kind| outcome_of_error(kind.word())),
    };
    // clap makes sure that one of the two is given, and the words of `--error` are those of `opilio-core`.
    let outcome = outcome.context("--status or --error is needed").map_err(Failure::usage)?;
    let now_ms = args.now.unwrap_or_else(jiff::Timestamp::now).as_millisecond();
    let question =
        Question { outcome, headers: &headers, attempt: args.attempt, method: &args.method, now_ms };
    let answer = serde_json::to_string(&explain(&retry, &host, &question)).map_err(Failure::run)?;
    match writeln!(std::io::stdout(), "{answer}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::run(error)),
        _ => Ok(Exit::Done),
    }
}

/// Reads an HTTP method in upper or lower case.
pub(crate) fn method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes()).map_err(|_| format!("{text:?} is no method"))
}
