//! Experiments with the rate limit of a server, in real time. The results are read from the server's own log.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use anyhow::{Context, Result};
use opilio::app::{progress, watch};
use opilio::prelude::*;
use opilio_sandbox::{HostConfig, Limit, Log, Sandbox};

use crate::recipe;

const URLS: usize = 200;
const MINUTE: Duration = Duration::from_secs(60);
/// The number of requests that the server allows in any minute.
const ALLOWED: u32 = 60;

/// Fetches 200 URLs at 30 requests a minute with 8 in flight. The server allows 60 a minute, and 2 % of its answers
/// are errors (5xx).
pub(crate) fn gentle() -> Result<bool> {
    const ASKED: u32 = 30;
    let server = server()?;
    println!("{URLS} URLs, {ASKED} a minute and 8 in flight; the server allows {ALLOWED}. Takes 7 minutes.");
    let report = opilio(&server, HostPolicy::new().rate(per_minute(ASKED)).in_flight(8))?;
    let log = server.log(0);

    print_columns(&[("Opilio", Figures::of(&log, report.elapsed, ASKED))]);
    let waits = retry_waits(&log);
    println!("  a retry came after {} s:", listed(&waits));
    println!("  a jittered wait of up to 1 s, and then its turn at the gate\n");

    let spacing = MINUTE.as_secs_f64() / f64::from(ASKED);
    let ideal = log.arrivals().saturating_sub(1) as f64 * spacing;
    let mut checks = Checks::default();
    checks.that(format_args!("{} of {URLS} URLs ended as pages", report.pages), report.pages == URLS as u64);
    let (most, flying) = (log.max_in_window(MINUTE), log.max_in_flight());
    checks.that(format_args!("at most {most} arrivals in any 60 s (30 allowed)"), most <= ASKED as usize);
    checks.that(format_args!("at most {flying} in flight (8 allowed)"), flying <= 8);
    let failed = log.entries().iter().filter(|arrival| arrival.status >= 500).count();
    checks.that(
        format_args!("each of {failed} answers of 5xx was retried, within the pace of the others"),
        failed > 0 && waits.len() == failed,
    );
    let took = report.elapsed.as_secs_f64();
    checks.that(format_args!("took {took:.1} s (up to 1.03 × {ideal:.0} s allowed)"), took <= 1.03 * ideal);
    Ok(checks.passed)
}

/// Fetches 200 URLs at 100 requests a minute with 50 in flight, although the server allows 60 a minute: first by the
/// usual code without a framework (`recipe`), then by Opilio.
pub(crate) fn push() -> Result<bool> {
    const ASKED: u32 = 100;
    println!("{URLS} URLs, {ASKED} a minute and 50 in flight; the server allows {ALLOWED}. Takes 7 minutes.");
    let server_of_recipe = server()?;
    // Without a default TLS provider, reqwest cannot make a client, not even for plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let began = std::time::Instant::now();
    println!("  the usual recipe: semaphore, window, retry per URL …");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fetched = runtime.block_on(recipe::fetch_all(urls(&server_of_recipe), ASKED as usize, 50))?;
    let (took, recipes_log) = (began.elapsed(), server_of_recipe.log(0));

    println!("  Opilio …");
    let server = server()?;
    let report = opilio(&server, HostPolicy::new().rate(per_minute(ASKED)).in_flight(50))?;
    let log = server.log(0);

    let recipe = Figures::of(&recipes_log, took, ALLOWED);
    print_columns(&[("the recipe", recipe), ("Opilio", Figures::of(&log, report.elapsed, ALLOWED))]);

    let mut checks = Checks::default();
    let first = recipes_log.first_try_ok(|_| true).unwrap_or_default();
    checks.that(
        format_args!(
            "the recipe: {:.0} % succeeded at once (it should fall below 60 %); {fetched} in the end",
            first * 100.0
        ),
        first < 0.6,
    );
    checks.that(
        format_args!("Opilio: {} of {URLS} URLs ended as pages", report.pages),
        report.pages == URLS as u64,
    );
    let closed = log.arrivals_while_closed();
    checks.that(format_args!("Opilio: {closed} arrivals while the server was closed"), closed == 0);
    let used = log.budget_used_after(MINUTE, ALLOWED, MINUTE).unwrap_or_default();
    checks.that(
        format_args!(
            "Opilio: {:.1} % of the permitted used after the first minute (97 % wanted)",
            used * 100.0
        ),
        used >= 0.97,
    );
    Ok(checks.passed)
}

fn server() -> Result<Sandbox> {
    let host = HostConfig::new().limit(Limit::per_minute(ALLOWED)).errors(500, 0.02);
    Ok(Sandbox::builder().host(host).start()?)
}

fn urls(server: &Sandbox) -> Vec<String> {
    (1..=URLS).map(|page| server.url(0, &format!("/api/products?page={page}&per_page=2"))).collect()
}

fn opilio(server: &Sandbox, policy: HostPolicy) -> Result<CrawlReport> {
    let mut urls = urls(server).into_iter();
    let first = urls.next().unwrap_or_default();
    let job = urls.fold(opilio::crawl(first), |job, url| job.and(url));
    let crawler = job
        .each(|page, found| {
            found.item(page.json()?);
            Ok(())
        })
        .host(policy)
        .no_robots()
        .addresses(AddressPolicy::allow_all());
    watch::run(crawler, &progress::Display::new(false, false), None)?.report.context("stopped at once")
}

/// The results for one client, from the server's log: the name and the text of each number.
struct Figures(Vec<(&'static str, String)>);

impl Figures {
    fn of(log: &Log, elapsed: Duration, budget: u32) -> Self {
        let percent =
            |share: Option<f64>| share.map_or("–".into(), |share| format!("{:.1} %", share * 100.0));
        let gap = log.smallest_gap().map_or("–".into(), |gap| format!("{:.0} ms", gap.as_secs_f64() * 1e3));
        let paths = log.tries().len() as u64;
        Self(vec![
            ("first tries that succeeded", percent(log.first_try_ok(|_| true))),
            ("retries", log.arrivals().saturating_sub(paths).to_string()),
            ("refused", log.refused().to_string()),
            ("arrivals while closed", log.arrivals_while_closed().to_string()),
            ("URLs never served", log.never_served().len().to_string()),
            ("elapsed", format!("{:.1} s", elapsed.as_secs_f64())),
            ("budget used", format!("{} of {budget}/min", percent(log.budget_used(budget, MINUTE)))),
            ("most arrivals in 60 s", log.max_in_window(MINUTE).to_string()),
            ("most in flight", log.max_in_flight().to_string()),
            ("smallest gap", gap),
        ])
    }
}

fn print_columns(columns: &[(&str, Figures)]) {
    print!("\n  {:<28}", "by the server's log");
    for (name, _) in columns {
        print!("{name:>22}");
    }
    println!();
    let names = columns.first().map_or(&[][..], |(_, figures)| &figures.0);
    for (line, (name, _)) in names.iter().enumerate() {
        print!("  {name:<28}");
        for (_, figures) in columns {
            print!("{:>22}", figures.0.get(line).map_or("", |(_, value)| value));
        }
        println!();
    }
    println!();
}

/// Returns how many seconds passed between each failed request and the next request of the same URL.
fn retry_waits(log: &Log) -> Vec<f64> {
    let mut failed: BTreeMap<&str, Duration> = BTreeMap::new();
    let mut waits = Vec::new();
    for arrival in log.entries() {
        if let Some(before) = failed.remove(&*arrival.path) {
            waits.push((arrival.at - before).as_secs_f64());
        }
        if arrival.status >= 500 {
            failed.insert(&arrival.path, arrival.at);
        }
    }
    waits
}

fn listed(waits: &[f64]) -> String {
    waits.iter().map(|wait| format!("{wait:.2}")).collect::<Vec<_>>().join(", ")
}

/// Prints claims with whether they hold, and remembers whether all of them held.
struct Checks {
    passed: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { passed: true }
    }
}

impl Checks {
    fn that(&mut self, claim: impl Display, holds: bool) {
        println!("  {} {claim}", if holds { "ok    " } else { "FAILED" });
        self.passed &= holds;
    }
}
