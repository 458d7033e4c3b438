//! `opilio.toml`: read strictly, with file and line in front of whatever is wrong.
//!
//! It is read key by key and not by serde, so that an unknown key gets its line and a suggestion,
//! and a value the same words that its flag gives.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use http::HeaderMap;
use opilio::core::{Host, Statuses};
use opilio::{AddressPolicy, HostSettings, Proxy, Rate};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use url::Url;

use crate::crawl::FollowArg;
use opilio_app::unit;

/// What `opilio.toml` says. What it leaves open is `None`.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// `[crawl]`: the whole crawl.
    pub(crate) crawl: CrawlKeys,
    /// `[default]`: every host.
    pub(crate) default: HostKeys,
    /// `[host."…"]`: a host (`name[:port]`) or all below a domain (`*.example.com`).
    pub(crate) hosts: Vec<(String, HostKeys)>,
}

/// The keys of `[crawl]`: the flags of the same names.
#[derive(Debug, Default)]
pub(crate) struct CrawlKeys {
    pub(crate) follow: Option<FollowArg>,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) max_pages: Option<u64>,
    pub(crate) max_depth: Option<u16>,
    pub(crate) max_duration: Option<Duration>,
    pub(crate) total_in_flight: Option<u32>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) retries: Option<u16>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_body: Option<u64>,
    pub(crate) max_redirects: Option<u16>,
    pub(crate) strip_tracking: Option<bool>,
    pub(crate) keep_session_ids: Option<bool>,
    pub(crate) merge_canonical: Option<bool>,
    pub(crate) merge_duplicates: Option<bool>,
    pub(crate) user_agent: Option<String>,
    pub(crate) robots: Option<bool>,
    pub(crate) cookies: Option<bool>,
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) allow_private: Option<AddressPolicy>,
}

/// The keys of `[default]` and of each `[host."…"]`.
#[derive(Debug, Default)]
pub(crate) struct HostKeys {
    pub(crate) rate: Option<Rate>,
    pub(crate) in_flight: Option<u32>,
    pub(crate) adapt: Option<bool>,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) max_crawl_delay: Option<Duration>,
    pub(crate) min_backoff: Option<Duration>,
    pub(crate) max_backoff: Option<Duration>,
    pub(crate) max_strikes: Option<u32>,
    pub(crate) max_strikes_unanswered: Option<u32>,
    pub(crate) slow_down: Option<Statuses>,
    pub(crate) retry_status: Option<Statuses>,
    /// Their values are marked as sensitive, so that no log shows them.
    pub(crate) headers: HeaderMap,
}

impl Config {
    /// The file that settings come from: the one that was named, or the one in this directory, if there is
    /// one. `none` names none.
    pub(crate) fn file(named: Option<&Path>) -> Option<PathBuf> {
        match named {
            Some(name) if name == Path::new(NONE) => None,
            Some(name) => Some(name.to_owned()),
            None => Some(PathBuf::from(FILE)).filter(|file| file.is_file()),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no TOML, or holds a key or a value that means nothing.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| format!("read the configuration {name}"))?;
        Self::parse(&Source { name: &name, text: &text })
    }

    fn parse(source: &Source<'_>) -> anyhow::Result<Self> {
        let root = DeTable::parse(source.text)
            .map_err(|error| source.wrong(error.span().map_or(0, |span| span.start), error.message()))?;
        let root = Section { source, title: String::new(), table: root.get_ref() };
        root.allow(&["crawl", "default", "host"])?;
        let mut config = Self::default();
        if let Some(section) = root.section("crawl", "[crawl]")? {
            config.crawl = CrawlKeys::read(&section)?;
        }
        if let Some(section) = root.section("default", "[default]")? {
            config.default = HostKeys::read(&section)?;
            for secret in ["headers", "basic", "bearer"] {
                if let Some(at) = section.position(secret) {
                    let what = format!("{secret} is sent to one host only: write it below [host.\"…\"]");
                    return Err(source.wrong(at, &what));
                }
            }
        }
        if let Some(hosts) = root.section("host", "[host]")? {
            for key in hosts.table.keys() {
                let pattern = pattern(key.get_ref()).map_err(|why| source.wrong(key.span().start, &why))?;
                let title = format!("[host.{:?}]", key.get_ref());
                if let Some(section) = hosts.section(key.get_ref(), &title)? {
                    config.hosts.push((pattern, HostKeys::read(&section)?));
                }
            }
        }
        Ok(config)
    }
}

impl CrawlKeys {
    fn read(section: &Section<'_>) -> anyhow::Result<Self> {
        section.allow(&[
            "follow",
            "include",
            "exclude",
            "max_pages",
            "max_depth",
            "max_duration",
            "total_in_flight",
            "memory_limit",
            "retries",
            "timeout",
            "max_body",
            "max_redirects",
            "strip_tracking",
            "keep_session_ids",
            "merge_canonical",
            "merge_duplicates",
            "user_agent",
            "robots",
            "cookies",
            "proxies",
            "allow_private",
        ])?;
        Ok(Self {
            follow: section.text("follow", |text| {
                FollowArg::from_str(text, false)
                    .map_err(|_| format!("{text:?} is none of none, same-host, same-domain, all"))
            })?,
            include: section.texts("include")?.unwrap_or_default(),
            exclude: section.texts("exclude")?.unwrap_or_default(),
            max_pages: section.integer("max_pages", 1, u64::MAX)?,
            max_depth: section.integer("max_depth", 0, u16::MAX)?,
            max_duration: section.text("max_duration", unit::positive_duration)?,
            total_in_flight: section.integer("total_in_flight", 1, IN_FLIGHT_MAX)?,
            memory_limit: section.text("memory_limit", unit::memory_limit)?,
            retries: section.integer("retries", 0, u16::MAX)?,
            timeout: section.text("timeout", unit::positive_duration)?,
            max_body: section.text("max_body", unit::bytes)?,
            max_redirects: section.integer("max_redirects", 0, u16::MAX)?,
            strip_tracking: section.boolean("strip_tracking")?,
            keep_session_ids: section.boolean("keep_session_ids")?,
            merge_canonical: section.boolean("merge_canonical")?,
            merge_duplicates: section.boolean("merge_duplicates")?,
            user_agent: section.text("user_agent", user_agent)?,
            robots: section.boolean("robots")?,
            cookies: section.boolean("cookies")?,
            proxies: section.proxies("proxies")?,
            allow_private: section.allow_private("allow_private")?,
        })
    }
}

impl HostKeys {
    fn read(section: &Section<'_>) -> anyhow::Result<Self> {
        section.allow(&[
            "rate",
            "in_flight",
            "adapt",
            "max_hold",
            "max_crawl_delay",
            "min_backoff",
            "max_backoff",
            "max_strikes",
            "max_strikes_unanswered",
            "slow_down",
            "retry_status",
            "headers",
            "basic",
            "bearer",
        ])?;
        Ok(Self {
            rate: section.text("rate", str::parse::<Rate>)?,
            in_flight: section.integer("in_flight", 1, IN_FLIGHT_MAX)?,
            adapt: section.boolean("adapt")?,
            max_hold: section.text("max_hold", unit::duration)?,
            max_crawl_delay: section.text("max_crawl_delay", unit::duration)?,
            min_backoff: section.text("min_backoff", unit::positive_duration)?,
            max_backoff: section.text("max_backoff", unit::positive_duration)?,
            max_strikes: section.integer("max_strikes", 1, STRIKES_MAX)?,
            max_strikes_unanswered: section.integer("max_strikes_unanswered", 1, STRIKES_MAX)?,
            slow_down: section.statuses("slow_down")?,
            retry_status: section.statuses("retry_status")?,
            headers: section.login(section.headers("headers")?)?,
        })
    }
}

/// Reads a user agent: a text that HTTP allows.
///
/// # Errors
/// When it is none.
pub(crate) fn user_agent(text: &str) -> Result<String, String> {
    match opilio::header("user-agent", text.trim()) {
        Ok(_) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(format!("{text:?} is no user agent that HTTP allows")),
    }
}

/// More requests in flight than this help no crawl, and no machine.
pub(crate) const IN_FLIGHT_MAX: u32 = 10_000;

/// What `--config` says for no file at all.
const NONE: &str = "none";
/// The file that is read where none is named.
const FILE: &str = "opilio.toml";

/// With waits of a minute, more strikes than this take a week.
pub(crate) const STRIKES_MAX: u32 = 10_000;

/// The host that a pattern means, spelt as the engine spells hosts.
fn pattern(text: &str) -> Result<String, String> {
    let refuse =
        || format!("host {text:?} is neither a host, nor host:port, nor a pattern such as *.example.com");
    let (star, name) = match text.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", text),
    };
    if name.is_empty() || name.contains(|c: char| "/@?#*\\".contains(c) || c.is_whitespace()) {
        return Err(refuse());
    }
    let url = Url::parse(&format!("http://{name}/")).map_err(|_| refuse())?;
    let host = Host::of(&url).map_err(|_| refuse())?;
    Ok(format!("{star}{host}"))
}

/// The file: for messages with a line.
struct Source<'a> {
    name: &'a str,
    text: &'a str,
}

impl Source<'_> {
    /// What is wrong at a byte of the file.
    fn wrong(&self, at: usize, what: &str) -> anyhow::Error {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        anyhow!("{}:{line}: {what}", self.name)
    }
}

/// One table of the file.
struct Section<'a> {
    source: &'a Source<'a>,
    title: String,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    /// Refuses every key but these.
    fn allow(&self, known: &[&str]) -> anyhow::Result<()> {
        let Some(key) = self.table.keys().find(|key| !known.contains(&key.get_ref().as_ref())) else {
            return Ok(());
        };
        let place = if self.title.is_empty() { String::new() } else { format!(" in {}", self.title) };
        let advice = match suggestion(key.get_ref(), known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("the keys are {}", known.join(", ")),
        };
        let what = format!("unknown key {:?}{place}: {advice}", key.get_ref());
        Err(self.source.wrong(key.span().start, &what))
    }

    fn value(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    fn position(&self, key: &str) -> Option<usize> {
        self.value(key).map(|value| value.span().start)
    }

    fn wrong(&self, key: &str, what: impl Display) -> anyhow::Error {
        self.source.wrong(self.position(key).unwrap_or_default(), &format!("{key}: {what}"))
    }

    fn section(&self, key: &str, title: &str) -> anyhow::Result<Option<Section<'a>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let table = value.get_ref().as_table().ok_or_else(|| self.wrong(key, "this is a table of keys"))?;
        Ok(Some(Section { source: self.source, title: title.to_owned(), table }))
    }

    fn text<T, E: Display>(
        &self,
        key: &str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> anyhow::Result<Option<T>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong(key, "this is a text in quotes"))?;
        read(text).map(Some).map_err(|error| self.wrong(key, error))
    }

    fn texts(&self, key: &str) -> anyhow::Result<Option<Vec<String>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let texts = match value.get_ref() {
            DeValue::String(text) => Some(vec![text.to_string()]),
            DeValue::Array(values) => {
                values.iter().map(|value| value.get_ref().as_str().map(str::to_owned)).collect()
            }
            _ => None,
        };
        texts.map(Some).ok_or_else(|| self.wrong(key, "this is a list of texts in quotes"))
    }

    fn boolean(&self, key: &str) -> anyhow::Result<Option<bool>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong(key, "this is true or false"))
    }

    fn integer<T>(&self, key: &str, min: T, max: T) -> anyhow::Result<Option<T>>
    where
        T: TryFrom<u64> + PartialOrd + Display + Copy,
    {
        let Some(value) = self.value(key) else { return Ok(None) };
        value
            .get_ref()
            .as_integer()
            .and_then(|digits| u64::from_str_radix(digits.as_str(), digits.radix()).ok())
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| (min..=max).contains(number))
            .map(Some)
            .ok_or_else(|| self.wrong(key, format!("this is a number from {min} to {max}")))
    }

    fn statuses(&self, key: &str) -> anyhow::Result<Option<Statuses>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let refuse = || self.wrong(key, "this is a list of statuses, such as [403, 999]");
        let values = value.get_ref().as_array().ok_or_else(refuse)?;
        let statuses = values.iter().map(|value| {
            let digits =
                value.get_ref().as_integer().filter(|digits| digits.radix() == 10).ok_or_else(refuse)?;
            unit::status(digits.as_str()).map_err(|error| self.wrong(key, error))
        });
        statuses.collect::<anyhow::Result<_>>().map(Some)
    }

    fn headers(&self, key: &str) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let Some(section) = self.section(key, key)? else { return Ok(headers) };
        for name in section.table.keys() {
            let field = section.text(name.get_ref(), |value| opilio::header(name.get_ref(), value))?;
            headers.extend(field);
        }
        Ok(headers)
    }

    fn proxies(&self, key: &str) -> anyhow::Result<Vec<Proxy>> {
        let texts = self.texts(key)?.unwrap_or_default();
        texts.iter().map(|text| text.parse().map_err(|error| self.wrong(key, error))).collect()
    }

    /// Adds the login of `basic = "user:password"` or `bearer = "token"`.
    fn login(&self, headers: HeaderMap) -> anyhow::Result<HeaderMap> {
        let settings = HostSettings { headers, ..HostSettings::default() };
        // What is wrong with a secret is said without it.
        let basic = self.text("basic", |text| {
            let (user, password) = text.split_once(':').ok_or("write it as \"user:password\"")?;
            settings.clone().basic(user, password).map_err(|_| "this is no user and password")
        })?;
        let bearer = self.text("bearer", |text| {
            settings.clone().bearer(text).map_err(|_| "this is no token that HTTP allows")
        })?;
        match (basic, bearer) {
            (Some(_), Some(_)) => Err(self.wrong("bearer", "there is a login by basic already")),
            (login, other) => Ok(login.or(other).unwrap_or(settings).headers),
        }
    }

    /// True, false, or a list of networks.
    fn allow_private(&self, key: &str) -> anyhow::Result<Option<AddressPolicy>> {
        match self.value(key).map(Spanned::get_ref) {
            Some(DeValue::Boolean(true)) => Ok(Some(AddressPolicy::allow_all())),
            Some(DeValue::Boolean(false)) => Ok(Some(AddressPolicy::public())),
            _ => self
                .texts(key)?
                .map(|networks| AddressPolicy::allow(networks).map_err(|error| self.wrong(key, error)))
                .transpose(),
        }
    }
}

/// The known key that somebody may have meant.
fn suggestion<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let near = |name: &&str| strsim::jaro_winkler(&key.to_ascii_lowercase().replace('-', "_"), name);
    let best = known.iter().copied().max_by(|a, b| near(a).total_cmp(&near(b)))?;
    (near(&best) >= SIMILAR).then_some(best)
}

/// Enough for a letter more, less, wrong or swapped; too much for another word.
const SIMILAR: f64 = 0.8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use opilio::{per_hour, per_minute};

    fn parse(text: &str) -> anyhow::Result<Config> {
        Config::parse(&Source { name: "opilio.toml", text })
    }

    fn error(text: &str) -> String {
        format!("{:#}", parse(text).unwrap_err())
    }

    #[test]
    fn the_documented_file_is_read_and_names_every_key() {
        let text = include_str!("../../../docs/opilio.toml");
        let config = parse(text).unwrap();
        assert_eq!(config.hosts.len(), 2);
        let optional =
            text.replace("# max_", "max_").replace("# memory_", "memory_").replace("# user_", "user_");
        let all = parse(&optional).unwrap();
        assert_eq!((all.crawl.max_pages, all.crawl.max_depth), (Some(1_000), Some(3)));
        assert!(all.crawl.user_agent.is_some() && all.crawl.memory_limit.is_some());
        for wrong in [
            &optional.replace("\n[crawl]", "\n[crawl]\nqqqq = 1"),
            &optional.replace("\n[default]", "\n[default]\nqqqq = 1"),
        ] {
            let error = error(wrong);
            let keys = error.split_once("the keys are ").unwrap().1;
            for key in keys.split(", ") {
                assert!(text.contains(&format!("{key} = ")), "{key} is not documented");
            }
        }
    }

    #[test]
    fn reads_what_the_design_shows() {
        let config = parse(
            r#"
            [default]                      # every host
            rate = "60/m"
            in_flight = 1

            [host."127.0.0.2:8080"]
            rate = "1000/h"
            in_flight = 8
            headers = { "X-Api-Key" = "secret" }
            basic = "me:secret"

            [host."*.EXAMPLE.com"]
            adapt = false
            max_hold = "5m"
            max_backoff = "2m"
            max_strikes = 3
            slow_down = [999, 403]
            retry_status = []

            [crawl]
            follow = "same-domain"
            allow_private = ["127.0.0.0/8"]
            max_body = "1MiB"
            "#,
        )
        .unwrap();
        assert_eq!(config.default.rate, Some(per_minute(60)));
        let (name, host) = &config.hosts.iter().find(|(name, _)| name.starts_with("127")).unwrap();
        assert_eq!(
            (name.as_str(), host.rate, host.in_flight),
            ("127.0.0.2:8080", Some(per_hour(1000)), Some(8))
        );
        assert!(!format!("{host:?}").contains("secret"), "{host:?}");
        let (_, pattern) = config.hosts.iter().find(|(name, _)| name == "*.example.com").unwrap();
        assert_eq!((pattern.adapt, pattern.max_hold), (Some(false), Some(Duration::from_secs(300))));
        assert_eq!((pattern.max_backoff, pattern.max_strikes), (Some(Duration::from_secs(120)), Some(3)));
        assert_eq!(pattern.slow_down, Some([403, 999].into_iter().collect()));
        assert_eq!(
            (&pattern.retry_status, &config.default.retry_status),
            (&Some(Statuses::default()), &None)
        );
        assert_eq!(config.crawl.max_body, Some(1 << 20));
    }

    #[test]
    fn unknown_keys_are_named_with_line_and_suggestion() {
        assert_eq!(
            error("[default]\nrtae = \"60/m\""),
            "opilio.toml:2: unknown key \"rtae\" in [default]: did you mean \"rate\"?"
        );
        assert_eq!(
            error("[host.\"a.example\"]\nin-flight = 2"),
            "opilio.toml:2: unknown key \"in-flight\" in [host.\"a.example\"]: did you mean \"in_flight\"?"
        );
        assert_eq!(
            error("[defaults]\n"),
            "opilio.toml:1: unknown key \"defaults\": did you mean \"default\"?"
        );
        assert!(error("[crawl]\nzzz = 1").contains("the keys are follow, include"));
    }

    #[test]
    fn wrong_values_are_named_with_their_line() {
        for (text, part) in [
            ("[default]\nrate = \"banana\"", "opilio.toml:2: rate: \"banana\" is no rate"),
            ("[default]\nrate = 60", "rate: this is a text in quotes"),
            ("[default]\nin_flight = 0", "in_flight: this is a number from 1 to 10000"),
            ("[default]\nadapt = \"no\"", "adapt: this is true or false"),
            ("[default]\nmax_hold = \"1\"", "max_hold: \"1\" is no time"),
            ("[default]\nslow_down = [403, \"999\"]", "opilio.toml:2: slow_down: this is a list of statuses"),
            ("[default]\nretry_status = [99]", "retry_status: \"99\" is no status"),
            ("[default]\nmax_strikes = 0", "max_strikes: this is a number from 1 to 10000"),
            ("[default]\nheaders = { a = \"b\" }", "headers is sent to one host only"),
            ("[default]\nbearer = \"t\"", "bearer is sent to one host only"),
            ("[host.\"a.example\"]\nbasic = \"secret\"", "basic: write it as \"user:password\""),
            ("[host.\"a.example\"]\nbearer = \"a b\"", "bearer: this is no token"),
            ("[host.\"a.example\"]\nbasic = \"a:b\"\nbearer = \"c\"", "a login by basic already"),
            ("[host.\"http://x/\"]\n", "host \"http://x/\" is neither a host"),
            ("[host.\"*\"]\n", "host \"*\" is neither a host"),
            ("[crawl]\nmemory_limit = \"1MiB\"", "memory_limit: \"1MiB\" is too little"),
            ("[crawl]\nallow_private = [\"lan\"]", "\"lan\" is no address or network"),
            ("default = 3", "default: this is a table"),
            ("[default\n", "opilio.toml:1:"),
        ] {
            let error = error(text);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_bad_header_is_named_without_its_value() {
        let error = error("[host.\"a.example\"]\nheaders = { \"X-Key\" = \"s\\necret\" }");
        assert!(error.contains("X-Key") && !error.contains("ecret"), "{error}");
    }
}
