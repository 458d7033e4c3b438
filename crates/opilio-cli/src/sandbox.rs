//! The command `opilio sandbox`: serves a local copy of the shop Catalog108 on loopback until it is stopped.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use opilio::Rate;
use opilio_sandbox::{Dialect, Edition, HostConfig, Limit, RefusalForm, Sandbox};

use opilio_app::exit::{Exit, Failure, say};
use opilio_app::signal::{Signal, Signals};
use opilio_app::unit;

/// Serves a local copy of the shop Catalog108 on loopback, until Ctrl-C.
///
/// Prints the base URL of each host on stdout. At the end, prints on stderr what each host received. Each host also
/// serves its log of requests at /__log and facts about that log at /__stats, as JSON.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Port on every address; 0 picks a free port
    #[arg(long, value_name = "N", default_value_t = 8108)]
    port: u16,
    /// Number of hosts, on 127.0.0.1, 127.0.0.2 and so on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=254))]
    hosts: u8,
    /// Limit of each host: a number of requests per s, m, h or d, such as 60/m [default: no limit]
    #[arg(long, value_name = "RATE")]
    rate_limit: Option<Rate>,
    /// Makes the limit a token bucket of this many tokens instead of a sliding window
    #[arg(long, value_name = "N", requires = "rate_limit", value_parser = clap::value_parser!(u32).range(1..))]
    burst: Option<u32>,
    /// HTTP status of a refusal
    #[arg(long, value_name = "CODE", default_value_t = 429, value_parser = clap::value_parser!(u16).range(400..=599))]
    status: u16,
    /// Form in which a refusal states the wait: seconds, date, none, zero, past, garbage, reset (no answer at all),
    /// or a fixed number of seconds
    #[arg(long, value_name = "FORM", default_value = "seconds", value_parser = refusal_form)]
    retry_after: RefusalForm,
    /// Counts refused requests against the limit, too
    #[arg(long, requires = "rate_limit")]
    count_refused: bool,
    /// Bans the client at its Nth refusal: from then on every answer is 403
    #[arg(long, value_name = "N", requires = "rate_limit", value_parser = clap::value_parser!(u32).range(1..))]
    ban_at: Option<u32>,
    /// Announces the quota on every answer, in these header fields
    #[arg(long, value_name = "NAME", requires = "rate_limit")]
    dialect: Option<DialectName>,
    /// Share of answers with status 500, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    errors: f64,
    /// Share of connections that are reset before the answer, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    resets: f64,
    /// Time that every answer takes, such as 20ms or 1s
    #[arg(long, value_name = "TIME", default_value = "0ms", value_parser = unit::duration)]
    latency: Duration,
    /// Number of products in the catalog
    #[arg(long, value_name = "N", default_value_t = opilio_sandbox::PRODUCTS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    products: u32,
    /// Edition of the shop: in the second, the classes name, price and stock have other names
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    edition: u8,
    /// Seed of all random numbers
    #[arg(long, value_name = "N", default_value_t = 108)]
    seed: u64,
}

/// The formats of the header fields that announce a quota.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum DialectName {
    /// X-RateLimit-Limit, -Remaining and -Reset, with the reset in Unix seconds
    XEpochSeconds,
    /// X-RateLimit-Limit, -Remaining and -Reset, with the reset in seconds from now
    XDeltaSeconds,
    /// X-RateLimit-Limit, -Remaining and -Reset, with the reset in Unix milliseconds
    XEpochMillis,
    /// X-RateLimit-Limit, -Remaining and -Reset, with the reset as an HTTP-date
    XHttpDate,
    /// X-RateLimit-Limit, -Remaining and -Reset, with the reset as an ISO 8601 date
    XIsoDate,
    /// RateLimit-Limit, -Remaining and -Reset, with the reset in seconds from now
    DraftFields,
    /// X-Rate-Limit-Limit, -Remaining and -Reset, with the reset in seconds with a fraction
    HyphenFloat,
    /// RateLimit and RateLimit-Policy as structured fields (RFC 9651)
    Structured,
    /// RateLimit as one field: limit=, remaining=, reset=
    Combined,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::XEpochSeconds => Self::XEpochSeconds,
            DialectName::XDeltaSeconds => Self::XDeltaSeconds,
            DialectName::XEpochMillis => Self::XEpochMillis,
            DialectName::XHttpDate => Self::XHttpDate,
            DialectName::XIsoDate => Self::XIsoDate,
            DialectName::DraftFields => Self::DraftFields,
            DialectName::HyphenFloat => Self::HyphenFloat,
            DialectName::Structured => Self::Structured,
            DialectName::Combined => Self::Combined,
        }
    }
}

/// Runs `opilio sandbox`.
///
/// # Errors
/// When an address cannot be bound, or signals cannot be caught.
pub(crate) fn run(args: &SandboxArgs) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(Failure::run)?;
    runtime.block_on(async {
        let mut signals = Signals::catch().context("cannot catch signals").map_err(Failure::run)?;
        let configs = (0..args.hosts).map(|n| host(args).seed(args.seed.wrapping_add(n.into())));
        let sandbox = Sandbox::builder().port(args.port).hosts(configs).start().map_err(Failure::usage)?;
        announce(&sandbox).context("cannot write to stdout").map_err(Failure::run)?;
        let signal = signals.next().await;
        Ok(close(sandbox, signal))
    })
}

fn host(args: &SandboxArgs) -> HostConfig {
    let mut config = HostConfig::new()
        .products(args.products)
        .edition(if args.edition == 2 { Edition::Second } else { Edition::First })
        .refusal(args.status, args.retry_after)
        .latency(args.latency);
    if let Some(rate) = args.rate_limit {
        let (n, per) = (rate.count(), rate.period());
        config =
            config.limit(args.burst.map_or(Limit::sliding(n, per), |burst| Limit::bucket(n, per, burst)));
    }
    if args.count_refused {
        config = config.count_refused();
    }
    if let Some(nth) = args.ban_at {
        config = config.ban_at(nth);
    }
    if let Some(dialect) = args.dialect {
        config = config.announce(dialect.into());
    }
    if args.errors > 0.0 {
        config = config.errors(500, args.errors);
    }
    if args.resets > 0.0 {
        config = config.resets(args.resets);
    }
    config
}

fn announce(sandbox: &Sandbox) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for host in 0..sandbox.hosts() {
        writeln!(out, "{}", sandbox.base(host))?;
    }
    out.flush()?;
    say("serving; Ctrl-C stops it");
    Ok(())
}

fn close(mut sandbox: Sandbox, signal: Signal) -> Exit {
    sandbox.stop();
    for host in 0..sandbox.hosts() {
        let log = sandbox.log(host);
        say(&format!(
            "{}: {} arrivals, {} served, {} refused, {} in flight at most, {} while closed",
            sandbox.base(host),
            log.arrivals(),
            log.served(),
            log.refused(),
            log.max_in_flight(),
            log.arrivals_while_closed(),
        ));
    }
    Exit::Stopped(signal)
}

fn refusal_form(text: &str) -> Result<RefusalForm, String> {
    Ok(match text {
        "seconds" => RefusalForm::Seconds,
        "date" => RefusalForm::HttpDate,
        "none" => RefusalForm::Bare,
        "zero" => RefusalForm::Zero,
        "past" => RefusalForm::PastDate,
        "garbage" => RefusalForm::Garbage,
        "reset" => RefusalForm::Reset,
        number => RefusalForm::Fixed(number.parse().map_err(|_| {
            format!(
                "{text:?} is none of seconds, date, none, zero, past, garbage, reset or a number of seconds"
            )
        })?),
    })
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is not a share: write a number from 0 to 1, such as 0.02"))
}
