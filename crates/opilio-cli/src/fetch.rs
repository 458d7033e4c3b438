//! The command `opilio fetch`: sends one polite request, and prints the answer.
//!
//! The command runs a crawl of one URL and stops it at the first answer. So the request is subject to the same
//! rules and limits of its host as in any crawl, and robots.txt is fetched first. The step that a crawl would take
//! next is printed and not taken.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::Args;
use http::{HeaderName, HeaderValue, Method};
use opilio::core::Outcome;
use opilio::core::explain::{Decision, Explanation, Question, explain};
use opilio::export::{Export, JsonLines};
use opilio::extract::{Document, Kind};
use opilio::fetch::{Fetched, Purpose};
use opilio::{
    CrawlError, Crawler, Failure, Follow, Found, HostPolicy, Incoming, Middleware, Page, ParseError, Reason,
    Request, RetryPolicy, Scope, Spider, per_second,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::Url;

use crate::crawl::web_url;
use crate::explain::method;
use opilio_app::exit::{Exit, Failure as Error};
use opilio_app::logs;
use opilio_app::settings::{CommandKind, CrawlDraft, Flags, HasSettings, SettingsTable};
use opilio_app::signal::Signals;
use opilio_app::status_line::StatusLine;
use opilio_app::summary::PRIVATE_HINT;
use opilio_app::unit::header;

/// Sends one polite request, and prints the result as JSON.
///
/// Fetches robots.txt first and obeys it. Repeats nothing and follows no redirect: decision says what a crawl
/// would do next. Fields: url, status, headers (name and value, in order), decision (as `opilio explain`
/// prints it), error (or null), location (target of a redirect, or null), remote (the address that answered),
/// elapsed_ms, bytes (of the decoded body), body (null if it is no text).
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 the answer would be accepted (2xx, 304, a redirect); 1 it would not, or there was none; \
2 usage: nothing was fetched; 130 or 143 after SIGINT or SIGTERM.")]
pub(crate) struct FetchArgs {
    /// URL to fetch (http or https)
    #[arg(value_name = "URL")]
    url: String,

    /// Method of the request [default: GET, or POST with --data]
    #[arg(long, short = 'X', value_name = "METHOD", value_parser = method, help_heading = "What")]
    method: Option<Method>,
    /// Requests only the head of the answer, by the method HEAD
    #[arg(long, conflicts_with_all = ["method", "data"], help_heading = "What")]
    head: bool,
    /// Header field to send, as in 'Accept-Language: de'; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header, help_heading = "What")]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Body to send: a form, unless a header field sets another type; @FILE reads it from a file
    #[arg(long, short = 'd', value_name = "DATA", help_heading = "What")]
    data: Option<String>,

    /// Writes the body to this file unchanged, and leaves it out of the JSON
    #[arg(long, short, value_name = "FILE", help_heading = "Where")]
    output: Option<PathBuf>,

    #[command(flatten)]
    shared: Flags<FetchArgs>,
}

impl HasSettings for FetchArgs {
    fn settings() -> SettingsTable {
        SettingsTable::of(CommandKind::Fetch)
    }
}

/// Runs `opilio fetch`.
///
/// # Errors
/// When the arguments are wrong (which is found before any request is sent), or the fetch fails.
pub(crate) fn run(args: &FetchArgs) -> Result<Exit, Error> {
    let draft = args.shared.read().map_err(Error::Usage)?;
    logs::begin(draft.run.verbose, StatusLine::default()).map_err(Error::Usage)?;
    let url = web_url(&args.url).map_err(|why| Error::Usage(anyhow!("{why}")))?;
    let request = request(args, &url).map_err(Error::Usage)?;
    let asked = OneRequest { method: method_of(args), url };
    let (tell, told) = mpsc::channel(8);
    let crawler = crawler(draft, One { request, tell }).map_err(Error::Usage)?;
    let ended = match block_on(crawler, told).map_err(failure)? {
        Ok(ended) => ended,
        Err(signal) => return Ok(Exit::Stopped(signal)),
    };
    let said = asked.describe(&ended, args.output.is_none());
    if let (Some(path), Ended::Answered(fetched)) = (&args.output, &ended) {
        let written = std::fs::write(path, &fetched.body);
        written
            .with_context(|| format!("cannot write the body to {}", path.display()))
            .map_err(Error::Run)?;
    }
    print(&said.json)?;
    Ok(if said.decision.verdict == Decision::Accept { Exit::Done } else { Exit::Errors })
}

fn method_of(args: &FetchArgs) -> Method {
    match (&args.method, args.head, &args.data) {
        (Some(method), _, _) => method.clone(),
        (None, true, _) => Method::HEAD,
        (None, false, Some(_)) => Method::POST,
        (None, false, None) => Method::GET,
    }
}

fn request(args: &FetchArgs, url: &Url) -> anyhow::Result<Request<()>> {
    let mut request = Request::get(url, ()).method(method_of(args).as_str()).retries(0);
    if let Some(data) = &args.data {
        let body = match data.strip_prefix('@') {
            Some(path) => {
                std::fs::read(path).with_context(|| format!("cannot read the body to send from {path}"))?
            }
            None => data.clone().into_bytes(),
        };
        request = request.body(body);
        if !args.headers.iter().any(|(name, _)| name == http::header::CONTENT_TYPE) {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
    }
    for (name, value) in &args.headers {
        request = request.header(name.as_str(), value.as_bytes());
    }
    Ok(request)
}

fn crawler(draft: CrawlDraft, spider: One) -> anyhow::Result<Crawler<One>> {
    let watch = Watch { tell: spider.tell.clone() };
    let crawler = draft.crawler(spider)?;
    // At most two requests are sent, for robots.txt and for the URL. With this rate the second request does not
    // have to wait a second after the first.
    let host = HostPolicy::new().rate(per_second(10));
    Ok(crawler.host(host).scope(Scope::new().follow(Follow::None)).shards(1).middleware(watch))
}

/// The end of the one request that the command sends.
#[derive(Debug)]
enum Ended {
    /// The request was sent: its result.
    Answered(Box<Answer>),
    /// The request was not sent, because robots.txt could not be fetched: the result of the fetch of robots.txt.
    NoRules(Box<Answer>),
    /// The request was not sent, or the crawl did not report its result: the reason and the error text.
    Unsent(Reason, Option<String>),
}

/// The result of a fetch, copied from the fetcher's answer.
#[derive(Debug)]
struct Answer {
    outcome: Outcome,
    status: Option<u16>,
    headers: http::HeaderMap,
    /// The header fields of the answer, in the order in which they came.
    fields: Vec<(HeaderName, HeaderValue)>,
    remote: Option<std::net::SocketAddr>,
    body: Vec<u8>,
    location: Option<Url>,
    error: Option<String>,
    elapsed: Duration,
}

impl Answer {
    fn of(fetched: &Fetched) -> Self {
        let head = fetched.head.as_ref();
        let fields = head.map(|head| head.fields()).unwrap_or_default().into_iter();
        Self {
            outcome: fetched.outcome,
            status: head.map(|head| head.status),
            headers: head.map(|head| head.headers.clone()).unwrap_or_default(),
            fields: fields.map(|(name, value)| (name.clone(), value.clone())).collect(),
            remote: head.and_then(|head| head.remote),
            body: fetched.body.to_vec(),
            location: fetched.location.clone(),
            error: fetched.error.clone(),
            elapsed: fetched.elapsed,
        }
    }
}

/// A spider that requests one URL, and sends a message if the URL ends without a request.
pub(crate) struct One {
    request: Request<()>,
    tell: mpsc::Sender<Ended>,
}

impl Spider for One {
    type Item = ();
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        vec![self.request.clone()]
    }

    fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
        Ok(())
    }

    fn failed(&self, failure: &Failure<()>, _: &mut Found<Self>) {
        // The channel has room for one message. If it is full, a message with the result is in it already.
        let error = failure.error().map(str::to_owned);
        let _ = self.tell.try_send(Ended::Unsent(failure.reason(), error));
    }
}

/// Middleware that sends each answer of the fetcher to the command, even an answer after which a crawl would try
/// again.
struct Watch {
    tell: mpsc::Sender<Ended>,
}

impl Middleware for Watch {
    fn on_response(&self, answer: &mut Incoming<'_>) {
        let ended = match (answer.purpose(), answer.outcome()) {
            (Purpose::Page, _) => Ended::Answered(Box::new(Answer::of(answer.fetched()))),
            // With these statuses the host has rules, or has none (RFC 9309 §2.3.1.3). In both cases the request
            // itself comes next.
            (
                Purpose::Robots,
                Outcome::Answered(200..=299 | 400..=428 | 430..=499) | Outcome::Redirected(_),
            ) => {
                return;
            }
            (Purpose::Robots, _) => Ended::NoRules(Box::new(Answer::of(answer.fetched()))),
        };
        let _ = self.tell.try_send(ended);
    }
}

/// Runs the crawl until a message with the result arrives, a signal arrives, or the crawl ends.
#[allow(clippy::type_complexity, reason = "a result of a result says it")]
fn block_on(
    crawler: Crawler<One>,
    mut told: mpsc::Receiver<Ended>,
) -> Result<Result<Ended, opilio_app::signal::Signal>, CrawlError> {
    let thread = |source| CrawlError::Thread { name: "main", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(thread)?;
    runtime.block_on(async {
        let mut signals = Signals::catch().map_err(thread)?;
        let mut crawl = crawler.start()?;
        let handle = crawl.handle();
        tokio::select! {
            biased;
            Some(ended) = told.recv() => {
                handle.stop();
                // The result has arrived already, so the report of the crawl is not needed.
                let _ = tokio::time::timeout(STOP_MAX, &mut crawl).await;
                Ok(Ok(ended))
            }
            signal = signals.next() => Ok(Err(signal)),
            report = &mut crawl => {
                let reason = report?.failures.first().map_or(Reason::Internal, |failure| failure.reason);
                Ok(Ok(told.try_recv().unwrap_or(Ended::Unsent(reason, None))))
            }
        }
    })
}

/// The request that was sent, as the printed result describes it.
struct OneRequest {
    url: Url,
    method: Method,
}

/// The result of the request as JSON, and how a crawl would decide about it; the exit code follows from the latter.
struct Said {
    json: Value,
    decision: Explanation,
}

impl OneRequest {
    fn describe(&self, ended: &Ended, with_body: bool) -> Said {
        let decision = match ended {
            Ended::Answered(answer) | Ended::NoRules(answer) => self.explain(answer),
            Ended::Unsent(reason, _) => Explanation {
                verdict: Decision::Ignore,
                reason: reason.as_str(),
                retry_after_ms: None,
                pause_host_ms: 0,
                parks: false,
            },
        };
        let mut url = self.url.clone();
        // The two calls fail only for URLs that cannot have credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let mut json = json!({
            "url": url.as_str(), "status": null, "headers": [], "decision": decision, "error": null,
            "location": null, "remote": null, "elapsed_ms": null, "bytes": 0,
        });
        match ended {
            Ended::Answered(answer) => {
                json["status"] = json!(answer.status);
                json["headers"] = headers(&answer.fields);
                json["error"] = json!(answer.error);
                json["location"] = json!(answer.location.as_ref().map(Url::as_str));
                json["remote"] = json!(answer.remote);
                json["elapsed_ms"] = json!(u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX));
                json["bytes"] = json!(answer.body.len());
                if with_body {
                    json["body"] = json!(text(&self.url, answer));
                }
            }
            Ended::NoRules(answer) => {
                let why = answer.error.clone().or(answer.status.map(|status| format!("status {status}")));
                json["error"] = json!(format!(
                    "robots.txt could not be asked, so nothing else is: {}",
                    why.unwrap_or_default()
                ));
            }
            Ended::Unsent(Reason::Robots, _) => json["error"] = json!("robots.txt does not allow it"),
            Ended::Unsent(_, error) => json["error"] = json!(error),
        }
        if decision.reason == Reason::BlockedAddress.as_str() {
            let error = json["error"].as_str().unwrap_or("the address is not allowed");
            json["error"] = json!(format!("{error}; {PRIVATE_HINT}"));
        }
        Said { json, decision }
    }

    fn explain(&self, answer: &Answer) -> Explanation {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let question = Question {
            outcome: answer.outcome,
            headers: &answer.headers,
            attempt: 1,
            method: &self.method,
            now_ms,
        };
        explain(&RetryPolicy::default(), &HostPolicy::default(), &question)
    }
}

fn headers(fields: &[(HeaderName, HeaderValue)]) -> Value {
    let field = |(name, value): &(HeaderName, HeaderValue)| {
        json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
    };
    fields.iter().map(field).collect()
}

/// Returns the body as text, decoded in the same way as a page, or `None` if the body is not text.
fn text(url: &Url, answer: &Answer) -> Option<String> {
    let binary = answer.body.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0);
    let content_types =
        answer.headers.get_all(http::header::CONTENT_TYPE).iter().map(|value| value.as_bytes());
    let body = answer.body.clone().into();
    let document = Document::with_content_types(url.clone(), content_types, body);
    let is_utf16 = answer.body.starts_with(b"\xff\xfe") || answer.body.starts_with(b"\xfe\xff");
    if binary && !is_utf16 && document.kind() == Kind::Data {
        return None;
    }
    Some(document.text().to_owned())
}

/// Prints the result: as one line for programs, and as several lines on a terminal. Escapes control characters in
/// both.
fn print(json: &Value) -> Result<(), Error> {
    let mut out = Vec::new();
    JsonLines::stdout().encoder().encode(json, &mut out).map_err(Error::run)?;
    let mut stdout = std::io::stdout();
    if stdout.is_terminal()
        && let Ok(value) = serde_json::from_slice::<Value>(&out)
        && let Ok(pretty) = serde_json::to_string_pretty(&value)
    {
        // The JSON library does not escape U+007F to U+009F, which a terminal may execute.
        out = pretty.chars().fold(Vec::new(), |mut out, c| {
            let escaped = ('\u{7f}'..='\u{9f}').contains(&c);
            let text = if escaped { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
            out.extend(text.into_bytes());
            out
        });
        out.push(b'\n');
    }
    match stdout.write_all(&out) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::run(error)),
        _ => Ok(()),
    }
}

fn failure(error: CrawlError) -> Error {
    match error {
        CrawlError::Seed(_) | CrawlError::UserAgent { .. } => Error::usage(error),
        _ => Error::run(error),
    }
}

/// The longest time that the stopped crawl may take to end in order.
const STOP_MAX: Duration = Duration::from_secs(2);
/// The number of bytes at the begin of a body that are searched for a zero byte. A zero byte there means that the
/// body is not text.
const SNIFFED_BYTES: usize = 1024;
