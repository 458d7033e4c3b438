//! Flags, environment and `opilio.toml`, merged into one crawl.

use std::path::PathBuf;

use anyhow::Context;
use opilio::core::{Host, Statuses, Wait};
use opilio::{
    AddressPolicy, Crawler, HostCaps, HostPolicy, HostSettings, Limits, Order, Proxy, RetryPolicy, Scope,
    Spider, TrapRules, per_minute,
};
use url::Url;

use crate::config::{Config, HostKeys};
use crate::crawl::args::{CrawlArgs, FollowArg};
use crate::explain::backoff;
use opilio_app::summary::Closing;

/// All settings of a crawl.
#[derive(Debug)]
pub(crate) struct Plan {
    default: HostPolicy,
    hosts: Vec<(String, HostSettings)>,
    retry: RetryPolicy,
    scope: Scope,
    limits: Limits,
    addresses: AddressPolicy,
    user_agent: Option<String>,
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
    robots: bool,
    cookies: bool,
    proxies: Vec<Proxy>,
    any_certificate: bool,
    total_in_flight: Option<u32>,
    memory_limit: Option<u64>,
    max_pages: Option<u64>,
    host_caps: HostCaps,
    order: Order,
    max_duration: Option<std::time::Duration>,
    max_redirects: Option<u16>,
    strip_tracking: bool,
    merge_canonical: bool,
    merge_duplicates: bool,
    /// The settings file that was read because it was there.
    unasked: Option<PathBuf>,
}

impl Plan {
    /// Merges what was said where.
    ///
    /// # Errors
    /// When the configuration cannot be read, or a pattern means nothing.
    pub(crate) fn new(args: &CrawlArgs) -> anyhow::Result<Self> {
        let file = Config::file(args.config.as_deref());
        let config = file.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let default = effective(args, &config.default);
        let keys = &config.crawl;
        let retries = args.retries.or(keys.retries).unwrap_or(3);
        let hosts = config.hosts.iter().map(|(pattern, host)| {
            let settings = settings(retries, or(host, &default));
            Ok((pattern.clone(), settings.with_context(|| format!("[host.{pattern:?}]"))?))
        });
        let hosts = hosts.collect::<anyhow::Result<_>>()?;
        let default = settings(retries, default)?;
        Ok(Self {
            hosts,
            retry: default.retry.unwrap_or_default(),
            scope: scope(args, &config)?,
            limits: limits(args, &config),
            addresses: args.allow_private.clone().or(keys.allow_private.clone()).unwrap_or_default(),
            user_agent: args.user_agent.clone().or(keys.user_agent.clone()),
            headers: args.headers.clone(),
            robots: !args.no_robots && keys.robots.unwrap_or(true),
            proxies: proxies(args, &keys.proxies)?,
            cookies: !args.no_cookies && keys.cookies.unwrap_or(true),
            any_certificate: args.danger_accept_any_certificate,
            total_in_flight: args.total_in_flight.or(keys.total_in_flight),
            memory_limit: args.memory_limit.or(keys.memory_limit),
            max_pages: args.max_pages.or(keys.max_pages),
            host_caps: HostCaps {
                pages: args.max_pages_per_host,
                body_bytes: args.max_bytes_per_host,
                depth: None,
            },
            order: args.order.map(Order::from).unwrap_or_default(),
            max_duration: args.max_duration.or(keys.max_duration),
            max_redirects: args.max_redirects.or(keys.max_redirects),
            strip_tracking: args.strip_tracking || keys.strip_tracking.unwrap_or(false),
            merge_canonical: args.merge_canonical || keys.merge_canonical.unwrap_or(false),
            merge_duplicates: args.merge_duplicates || keys.merge_duplicates.unwrap_or(false),
            default: default.policy,
            unasked: file.filter(|_| args.config.is_none()),
        })
    }

    /// A word about settings from a file that no flag names.
    pub(crate) fn settings_hint(&self) -> Option<String> {
        let file = self.unasked.as_ref()?;
        Some(format!("settings: {}, which --config none would leave out", file.display()))
    }

    /// Hands the settings to a crawler.
    pub(crate) fn apply<S: Spider>(self, crawler: Crawler<S>) -> Crawler<S> {
        let mut crawler = crawler
            .host(self.default)
            .retry(self.retry)
            .scope(self.scope)
            .limits(self.limits)
            .addresses(self.addresses)
            .host_caps(self.host_caps)
            .order(self.order);
        for (pattern, settings) in self.hosts {
            crawler = crawler.host_named(&pattern, settings);
        }
        if let Some(user_agent) = self.user_agent {
            crawler = crawler.user_agent(user_agent);
        }
        for (name, value) in &self.headers {
            crawler = crawler.header(name.as_str(), value.to_str().unwrap_or_default());
        }
        if !self.robots {
            crawler = crawler.no_robots();
        }
        for proxy in self.proxies {
            crawler = crawler.proxy(proxy);
        }
        if !self.cookies {
            crawler = crawler.no_cookies();
        }
        if self.any_certificate {
            crawler = crawler.danger_accept_any_certificate();
        }
        if let Some(max) = self.total_in_flight {
            crawler = crawler.total_in_flight(max);
        }
        if let Some(bytes) = self.memory_limit {
            crawler = crawler.memory_limit(bytes);
        }
        if let Some(pages) = self.max_pages {
            crawler = crawler.max_pages(pages);
        }
        if let Some(span) = self.max_duration {
            crawler = crawler.max_duration(span);
        }
        if let Some(hops) = self.max_redirects {
            crawler = crawler.max_redirects(hops);
        }
        if self.strip_tracking {
            crawler = crawler.strip_tracking();
        }
        if self.merge_canonical {
            crawler = crawler.merge_canonical();
        }
        if self.merge_duplicates {
            crawler = crawler.merge_duplicates();
        }
        crawler
    }

    /// Whether pages are merged by their canonical names.
    pub(crate) fn merges_canonical(&self) -> bool {
        self.merge_canonical
    }

    /// A word to those who crawl beyond their own machine and cannot be reached.
    pub(crate) fn contact_hint(&self, seeds: &[Url]) -> Option<String> {
        let has_contact =
            |user_agent: &String| ["http://", "https://", "@"].iter().any(|mark| user_agent.contains(mark));
        if self.user_agent.as_ref().is_some_and(has_contact) {
            return None;
        }
        let beyond = seeds.iter().find(|url| !is_loopback(url))?;
        let host = Host::of(beyond).ok()?;
        Some(format!(
            "hint: whoever runs {host} may want to reach you: --user-agent \"yourbot/1.0 (+https://you.example/bot)\""
        ))
    }

    /// What the summary needs to know.
    pub(crate) fn closing(&self, is_kept: bool) -> Closing {
        let is_proxied = !self.proxies.is_empty();
        Closing { private_allowed: self.addresses != AddressPolicy::public(), is_kept, is_proxied }
    }
}

/// The settings of hosts without a section: flags, then `[default]`, then the defaults.
fn effective(args: &CrawlArgs, file: &HostKeys) -> HostKeys {
    let flags = HostKeys {
        rate: args.rate.or(args.delay),
        in_flight: args.in_flight,
        adapt: args.no_adapt.then_some(false),
        max_hold: args.max_hold,
        max_crawl_delay: args.max_crawl_delay,
        min_backoff: args.min_backoff,
        max_backoff: args.max_backoff,
        max_strikes: args.max_strikes,
        max_strikes_unanswered: args.max_strikes_unanswered,
        slow_down: statuses(&args.slow_down),
        retry_status: statuses(&args.retry_status),
        headers: http::HeaderMap::new(),
    };
    or(&flags, file)
}

/// The first's settings, and the second's where it has none. Headers stay with the first's host.
fn or(first: &HostKeys, second: &HostKeys) -> HostKeys {
    HostKeys {
        rate: first.rate.or(second.rate),
        in_flight: first.in_flight.or(second.in_flight),
        adapt: first.adapt.or(second.adapt),
        max_hold: first.max_hold.or(second.max_hold),
        max_crawl_delay: first.max_crawl_delay.or(second.max_crawl_delay),
        min_backoff: first.min_backoff.or(second.min_backoff),
        max_backoff: first.max_backoff.or(second.max_backoff),
        max_strikes: first.max_strikes.or(second.max_strikes),
        max_strikes_unanswered: first.max_strikes_unanswered.or(second.max_strikes_unanswered),
        slow_down: first.slow_down.clone().or_else(|| second.slow_down.clone()),
        retry_status: first.retry_status.clone().or_else(|| second.retry_status.clone()),
        headers: first.headers.clone(),
    }
}

/// A list of flags stands instead of the file's list; no flag is no list.
fn statuses(flags: &[u16]) -> Option<Statuses> {
    (!flags.is_empty()).then(|| flags.iter().copied().collect())
}

/// The settings of a host whose keys are all merged.
///
/// # Errors
/// When they contradict each other.
fn settings(retries: u16, keys: HostKeys) -> anyhow::Result<HostSettings> {
    let backoff = backoff(keys.min_backoff, keys.max_backoff)?;
    let named = keys.retry_status.iter().flat_map(Statuses::iter);
    let retry =
        RetryPolicy::default().retries(retries).wait(Wait::Exponential(backoff)).retry_statuses(named);
    let policy = policy(&keys).backoff(backoff);
    Ok(HostSettings { policy, retry: Some(retry), headers: keys.headers })
}

fn policy(keys: &HostKeys) -> HostPolicy {
    let default = HostPolicy::default();
    HostPolicy::new()
        .rate(keys.rate.unwrap_or(per_minute(60)))
        .in_flight(keys.in_flight.unwrap_or(1))
        .adapt(keys.adapt.unwrap_or(true))
        .max_hold(keys.max_hold.unwrap_or(default.hold_max()))
        .max_crawl_delay(keys.max_crawl_delay.unwrap_or(default.crawl_delay_max()))
        .max_strikes(keys.max_strikes.unwrap_or(default.strikes_max(true)))
        .max_strikes_unanswered(keys.max_strikes_unanswered.unwrap_or(default.strikes_max(false)))
        .slow_down(keys.slow_down.iter().flat_map(Statuses::iter))
}

/// A list of flags stands instead of the file's list, as a single flag does.
fn proxies(args: &CrawlArgs, file: &[Proxy]) -> anyhow::Result<Vec<Proxy>> {
    if args.proxy.is_empty() {
        return Ok(file.to_vec());
    }
    args.proxy.iter().map(|text| text.parse().context("--proxy")).collect()
}

fn scope(args: &CrawlArgs, config: &Config) -> anyhow::Result<Scope> {
    let file = &config.crawl;
    let follow = args.follow.or(file.follow).unwrap_or(FollowArg::SameHost);
    let mut scope = Scope::new().follow(follow.into());
    if args.follow_traps {
        scope = scope.traps(TrapRules::none());
    }
    if args.keep_session_ids || file.keep_session_ids.unwrap_or(false) {
        scope = scope.keep_session_ids();
    }
    // A list of flags stands instead of the file's list, as a single flag does.
    for pattern in if args.include.is_empty() { &file.include } else { &args.include } {
        scope = scope.include(pattern).context("--include")?;
    }
    for pattern in if args.exclude.is_empty() { &file.exclude } else { &args.exclude } {
        scope = scope.exclude(pattern).context("--exclude")?;
    }
    if let Some(depth) = args.max_depth.or(file.max_depth) {
        scope = scope.max_depth(depth);
    }
    Ok(scope)
}

fn limits(args: &CrawlArgs, config: &Config) -> Limits {
    let mut limits = Limits::default();
    if let Some(timeout) = args.timeout.or(config.crawl.timeout) {
        limits.timeout = timeout;
    }
    if let Some(bytes) = args.max_body.or(config.crawl.max_body) {
        limits.body_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
        limits.wire_bytes_max = bytes;
    }
    limits
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
