//! The draft of a crawl: holds the values of all settings until they are applied to a crawler.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use opilio_core::{Backoff, Host, HostPolicy, RetryPolicy, Statuses, Wait};
use opilio_engine::{Crawler, Found, HostCaps, HostSettings, Page, ParseError, Request, Scope, Spider};
use opilio_fetch::{AddressPolicy, Limits};
use url::Url;

use super::choice::Format;
use crate::progress::Display;
use crate::state::StateDir;
use crate::unit;

/// The draft of a crawl: the values of all settings, until they are applied to a crawler.
///
/// The settings are those of a crawl of [`NoSpider`], and [`crawler`](Self::crawler) makes from them a crawl of any
/// spider. So the table of settings is compiled here, and not once more with each spider's program.
#[derive(Default)]
pub struct CrawlDraft {
    /// The settings of hosts that have no section of their own.
    pub host: HostDraft,
    /// The hosts (`name[:port]` or `*.example.com`) that have a section of their own, each with its complete
    /// settings.
    pub hosts: Vec<(String, HostDraft)>,
    /// The scope: which URLs belong to the crawl.
    pub scope: Scope,
    /// The limits of one fetch.
    pub limits: Limits,
    /// The limits of how much is fetched from each host.
    pub caps: HostCaps,
    /// The settings of the program itself: files, directories, messages.
    pub run: RunSettings,
    /// The source of each setting: the setting's name, and the flag, the variable, or the file and line that set
    /// it.
    pub sources: Vec<(String, String)>,
    calls: Vec<Call>,
}

/// A change to the crawler that is made when the draft of the crawl is applied to it.
type Call = Box<dyn FnOnce(Crawler<NoSpider>) -> Crawler<NoSpider>>;

impl CrawlDraft {
    /// Adds a change to the crawler, which [`apply`](Self::apply) makes.
    pub fn then(&mut self, call: impl FnOnce(Crawler<NoSpider>) -> Crawler<NoSpider> + 'static) {
        self.calls.push(Box::new(call));
    }

    /// Makes a crawler of a spider with all values of the draft.
    ///
    /// # Errors
    /// When the settings of a host contradict each other.
    pub fn crawler<S: Spider>(self, spider: S) -> anyhow::Result<Crawler<S>> {
        Ok(self.apply(Crawler::new(NoSpider))?.for_spider(Arc::new(spider)))
    }

    /// Applies all values of the draft to a crawler, which may have other settings already.
    ///
    /// # Errors
    /// When the settings of a host contradict each other.
    pub fn apply(self, crawler: Crawler<NoSpider>) -> anyhow::Result<Crawler<NoSpider>> {
        let default = self.host.settings()?;
        let mut crawler = crawler
            .retry(default.retry.clone().unwrap_or_default())
            .host(default)
            .scope(self.scope)
            .limits(self.limits)
            .host_caps(self.caps);
        for (pattern, host) in self.hosts {
            let settings = host.settings().map_err(|error| error.context(format!("[host.{pattern:?}]")))?;
            crawler = crawler.host_named(&pattern, settings);
        }
        Ok(self.calls.into_iter().fold(crawler, |crawler, call| call(crawler)))
    }
}

/// A spider without seeds, for code that only makes settings: they are for whatever spider.
#[derive(Clone, Copy, Debug)]
pub struct NoSpider;

impl Spider for NoSpider {
    type Item = ();
    type Step = ();

    fn seeds(&self) -> Vec<Request<()>> {
        Vec::new()
    }

    fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
        Ok(())
    }
}

/// The settings of a host in the form in which flags and files change them.
#[derive(Clone, Debug, Default)]
pub struct HostDraft {
    /// The rate, the in-flight limit and the patience of the host.
    pub policy: HostPolicy,
    /// The number of retries after the first attempt.
    pub retries: u16,
    /// The wait before the first retry, if the server does not state a wait.
    pub min_backoff: Option<Duration>,
    /// The longest wait before a retry, if the server does not state a wait.
    pub max_backoff: Option<Duration>,
    /// The HTTP statuses that cause a retry.
    pub retry_statuses: Statuses,
    /// The header fields that every request to the host gets. Their values are marked as sensitive, so that no log
    /// shows them.
    pub headers: HeaderMap,
    /// The header fields that contain the login for the host.
    pub(crate) login: Option<HeaderMap>,
}

impl HostDraft {
    /// Builds the settings that the engine needs.
    ///
    /// # Errors
    /// When settings of this host contradict each other.
    pub fn settings(&self) -> anyhow::Result<HostSettings> {
        let backoff = self.backoff()?;
        let retry = RetryPolicy::default().retries(self.retries).wait(Wait::Exponential(backoff));
        let retry = retry.retry_statuses(self.retry_statuses.iter());
        let mut headers = self.headers.clone();
        for (name, value) in self.login.iter().flatten() {
            headers.insert(name, value.clone());
        }
        Ok(HostSettings { policy: self.policy.clone().backoff(backoff), retry: Some(retry), headers })
    }

    /// Returns the backoff. A limit that is not set gets its default. If that default contradicts the limit that is
    /// set, both limits are the same.
    fn backoff(&self) -> anyhow::Result<Backoff> {
        let default = Backoff::default();
        match (self.min_backoff, self.max_backoff) {
            (Some(min), Some(max)) if max < min => Err(anyhow::anyhow!(
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

    /// Adds the login that these settings contain.
    pub(crate) fn log_in(&mut self, settings: HostSettings) -> Result<(), String> {
        match self.login.replace(settings.headers) {
            None => Ok(()),
            Some(_) => Err("there is a login by basic already".to_owned()),
        }
    }

    /// Returns a copy of the settings of all hosts as the start for a host with its own section. The copy has no
    /// secrets, since a secret is sent to one host only.
    pub(crate) fn for_one_host(&self) -> Self {
        Self { headers: HeaderMap::new(), login: None, ..self.clone() }
    }
}

/// The settings of the program itself: its files and directories, and what it prints.
#[derive(Debug, Default)]
pub struct RunSettings {
    /// The file for items, or `None` for stdout.
    pub output: Option<PathBuf>,
    /// The format of the output, or `None` if the file's ending decides.
    pub format: Option<Format>,
    /// If true, CSV writes texts that begin like a spreadsheet formula unchanged. If false, it disarms them.
    pub keep_formulas: bool,
    /// The directory of the development cache, if there is a cache.
    pub cache: Option<PathBuf>,
    /// The time for which cached answers are fresh. If it is set, the times that servers state are ignored.
    pub cache_for: Option<Duration>,
    /// The file for the report, if a report is wanted.
    pub report: Option<PathBuf>,
    /// The state directory, in which the crawl is stored, if there is one.
    pub state: Option<PathBuf>,
    /// If true, the run continues the crawl in the state directory (`--resume`).
    pub resume: bool,
    /// The user agent, if it is set.
    pub user_agent: Option<String>,
    /// The addresses that may be connected to.
    pub addresses: AddressPolicy,
    /// If true, a proxy is set, and requests go through it.
    pub is_proxied: bool,
    /// If true, of all pages with the same canonical URL only one is written.
    pub merge_canonical: bool,
    /// The number of times that `-v` was given.
    pub verbose: u8,
    /// Whether only warnings and errors go to stderr.
    pub quiet: bool,
    /// The settings file, if it was read only because it is in the current directory, and no flag named it.
    pub unasked_file: Option<PathBuf>,
}

impl RunSettings {
    /// Prints warnings and notes about the settings.
    pub(crate) fn hint(&self, seeds: &[Url], display: &Display) {
        let hints = [self.file_hint(), self.contact_hint(seeds)];
        hints.iter().flatten().for_each(|hint| display.say(hint));
    }

    /// Returns a note that settings come from a file that no flag names.
    #[must_use]
    pub fn file_hint(&self) -> Option<String> {
        let file = self.unasked_file.as_ref()?;
        Some(format!("settings: {}, which --config none would leave out", file.display()))
    }

    /// Returns a warning if the crawl requests other machines than this one and its user agent names no contact.
    #[must_use]
    pub fn contact_hint(&self, seeds: &[Url]) -> Option<String> {
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

    /// Returns the state directory, if a setting names one.
    #[must_use]
    pub fn state(&self) -> Option<StateDir> {
        self.state.as_ref().map(|dir| StateDir { dir: dir.clone(), resume: self.resume })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
