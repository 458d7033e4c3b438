//! The table of settings, with one row for each setting.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opilio_core::{HostPolicy, Rate};
use opilio_engine::{Crawler, Expectation, HostSettings, Scope, TrapRules};
use opilio_fetch::Proxy;

use super::choice::{DurabilityWord, FollowWord, Format, OrderWord};
use super::reader::{
    Choice, HeaderTable, Networks, OFF, ON, PathValue, StatusList, Text, Texts, Times, Whole,
};
use super::row::{CommandKind, Setting, Shown, flag, if_off, if_on, key_of_one_host};
use crate::unit;

/// Returns all settings, in the order of the help.
pub(crate) fn all() -> Vec<Setting> {
    let headed = |heading: &'static str, settings: Vec<Setting>| {
        settings.into_iter().map(move |mut setting| {
            setting.arg = setting.arg.map(|arg| arg.help_heading(heading));
            setting
        })
    };
    headed("What", which_urls())
        .chain(headed("What", how_many()))
        .chain(headed("How fast", how_fast()))
        .chain(headed("How patient", how_patient()))
        .chain(headed("Where", place()))
        .chain(headed("As whom", as_whom()))
        .chain(headed("Messages", messages()))
        .collect()
}

/// Returns the settings that say which URLs are fetched, and which URLs or pages count as the same.
fn which_urls() -> Vec<Setting> {
    vec![
        flag("follow", Choice::<FollowWord>::new("WHERE", "\"all\""), "Which links are followed, by where they lead")
            .variable()
            .key("\"same-host\"", "or none, same-domain, all")
            .scope(|scope, word| scope.follow(word.into())),
        flag("include", PATTERNS, "Follows only links that match (* stands for any text); may be repeated. Seeds need not match")
            .key("[]", "as [\"*/products/*\"]: only links that match one; * stands for any text")
            .draft(|draft, patterns| scoped(&mut draft.scope, &patterns, Scope::include)),
        flag("exclude", PATTERNS, "Follows no link that matches (* stands for any text); may be repeated")
            .key("[]", "no link that matches one")
            .draft(|draft, patterns| scoped(&mut draft.scope, &patterns, Scope::exclude)),
        flag("strip-tracking", ON, "Removes tracking parameters, such as utm_source and gclid, from every URL")
            .variable()
            .key("false", "")
            .crawler(if_on(Crawler::strip_tracking)),
        flag("keep-session-ids", ON, "Fetches URLs apart that differ only in a session id (;jsessionid=, PHPSESSID=, sid= and the like); without this they are one URL")
            .variable()
            .key("false", "true: URLs that differ only in a session id are fetched apart")
            .scope(if_on(Scope::keep_session_ids)),
        flag("merge-canonical", ON, "Writes one page for all that name the same canonical URL, which gets a field; the others count as aliases")
            .variable()
            .key("false", "")
            .draft(|draft, on| {
                draft.run.merge_canonical = on;
                draft.then(move |crawler| if on { crawler.merge_canonical() } else { crawler });
                Ok(())
            }),
        flag("merge-duplicates", ON, "Writes only the first of all pages with equal content (white space and session ids do not count); the others count as aliases")
            .variable()
            .key("false", "")
            .crawler(if_on(Crawler::merge_duplicates)),
        flag("follow-traps", ON, "Also follows links that look like a trap's: paths and queries that repeat parts or have too many, months years ahead, links of a page that a host sends under many URLs")
            .variable()
            .scope(|scope, on| if on { scope.traps(TrapRules::none()) } else { scope }),
    ]
}

/// Returns the settings that say how many URLs are fetched, and in which order.
fn how_many() -> Vec<Setting> {
    vec![
        flag("max-pages", Whole::from(1), "Ends after this many pages")
            .variable()
            .key_such_as("1000", "")
            .otherwise(NO_LIMIT)
            .crawler(Crawler::max_pages),
        flag(
            "max-depth",
            Whole::from(0),
            "Follows at most this many links in a row from a seed; 0 fetches the seeds alone",
        )
        .variable()
        .key_such_as("3", "links from a seed")
        .otherwise(NO_LIMIT)
        .clap(|arg| arg.visible_alias("depth"))
        .scope(Scope::max_depth),
        flag("max-pages-per-host", Whole::from(1), "Fetches at most this many pages of each host")
            .variable()
            .otherwise(NO_LIMIT)
            .draft(|draft, pages| {
                draft.caps.pages = Some(pages);
                Ok(())
            }),
        flag("max-bytes-per-host", SIZE, "Requests no more pages of a host after this many bytes of them")
            .variable()
            .otherwise(NO_LIMIT)
            .draft(|draft, bytes| {
                draft.caps.body_bytes = Some(bytes);
                Ok(())
            }),
        flag(
            "order",
            Choice::<OrderWord>::new("ORDER", "\"dfs\""),
            "Which URLs of a host go first, by how many links they are from a seed",
        )
        .variable()
        .otherwise("bfs")
        .crawler(|crawler, word| crawler.order(word.into())),
        flag("max-duration", SPAN, "Starts no more requests after this time")
            .variable()
            .key_such_as("\"2h\"", "")
            .otherwise(NO_LIMIT)
            .crawler(Crawler::max_duration),
    ]
}

/// Returns the settings that limit the load on hosts and on this machine.
fn how_fast() -> Vec<Setting> {
    vec![
        flag("rate", RATE, "Requests of each host, per s, m, h or d")
            .variable()
            .key("\"60/m\"", "")
            .policy(HostPolicy::rate),
        flag("delay", DELAY, "Time between two requests to a host, instead of --rate: 2s is 30/m")
            .same_as("rate")
            .policy(HostPolicy::rate),
        flag("in-flight", Whole::from(1).up_to(IN_FLIGHT_MAX), "Requests in flight at each host")
            .variable()
            .key("1", "")
            .policy(HostPolicy::in_flight),
        flag("total-in-flight", Whole::from(1).up_to(IN_FLIGHT_MAX), "Requests in flight in all")
            .variable()
            .key("64", "")
            .crawler(Crawler::total_in_flight),
        flag("memory-limit", MEMORY, "Starts fewer requests above 70 % of this memory, and none near it until those in flight have ended. Ends the crawl if that does not help. At least 16MiB")
            .variable()
            .key_such_as("\"1GiB\"", "")
            .otherwise(NO_LIMIT)
            .crawler(Crawler::memory_limit),
        flag("no-adapt", OFF, "Does not lower the rate after refusals (waits that a server states still hold)")
            .variable()
            .key("true", "lowers the rate after refusals")
            .named("adapt")
            .policy(HostPolicy::adapt),
        flag("max-crawl-delay", WAIT, "Obeys a Crawl-delay of robots.txt up to this time, and warns if it is longer")
            .variable()
            .key("\"1m\"", "a Crawl-delay of robots.txt is obeyed up to this")
            .policy(HostPolicy::max_crawl_delay),
        flag("max-hold", WAIT, "Parks a host for this run if it states a longer wait")
            .variable()
            .key("\"1h\"", "a host that states a longer wait is parked for this run")
            .also_as(CommandKind::Explain, "A stated wait beyond this parks the host: ms, s, m, h or d")
            .policy(HostPolicy::max_hold),
    ]
}

/// Returns the settings about failures: when a request is tried again, and how long and how large an attempt may
/// be.
fn how_patient() -> Vec<Setting> {
    vec![
        flag("retries", Whole::from(0), "Retries after the first attempt")
            .variable()
            .key("3", "after the first attempt")
            .of_the_crawl()
            .also(CommandKind::Explain)
            .host(|host, retries| host.retries = retries),
        flag("min-backoff", SPAN, "First wait before a retry if the server states none; it doubles up to --max-backoff")
            .variable()
            .key_usually("\"1s\"", "the first wait if the server states none; it doubles")
            .also_as(CommandKind::Explain, "First wait if the server states none; it doubles: ms, s, m, h or d")
            .host(|host, wait| host.min_backoff = Some(wait)),
        flag("max-backoff", SPAN, "Longest wait before a retry if the server states none")
            .variable()
            .key_usually("\"1m\"", "the longest wait if the server states none")
            .also_as(CommandKind::Explain, "Longest wait if the server states none: ms, s, m, h or d")
            .host(|host, wait| host.max_backoff = Some(wait)),
        flag("max-strikes", Whole::from(1).up_to(STRIKES_MAX), "Parks a host for this run after this many refusals or failures to reach it in a row")
            .variable()
            .key("12", "a host that refuses or cannot be reached this often in a row is parked for this run")
            .policy(HostPolicy::max_strikes),
        flag("max-strikes-unanswered", Whole::from(1).up_to(STRIKES_MAX), "The same for a host that has never answered in this run")
            .variable()
            .key("4", "the same for a host that has never answered in this run")
            .otherwise("4, or --max-strikes if that is less")
            .policy(HostPolicy::max_strikes_unanswered),
        flag("slow-down", StatusList, "Statuses that mean \"slow down\", as 429 and 503 do: the host is held, and the URL is tried again")
            .variable()
            .key("[]", "as [403, 999]: statuses that mean \"slow down\", as 429 and 503 always do")
            .also_as(CommandKind::Explain, "Statuses that mean \"slow down\", as 429 and 503 do")
            .policy(|policy, statuses| policy.slow_down(statuses.iter())),
        flag("retry-status", StatusList, "Statuses that cause a retry, as 500 does")
            .variable()
            .key("[]", "as [404, 520]: statuses that cause a retry, as 500 does")
            .also(CommandKind::Explain)
            .host(|host, statuses| host.retry_statuses = statuses),
        flag("timeout", SPAN, "Longest time of an attempt, body included")
            .variable()
            .key("\"30s\"", "of an attempt, body included")
            .also_as(CommandKind::Fetch, "Longest time of the attempt, body included")
            .draft(|draft, span| {
                draft.limits.timeout = span;
                Ok(())
            }),
        flag("max-body", SIZE, "Largest body; a larger one is a failure, never a cut page")
            .variable()
            .key("\"10MiB\"", "a larger one is a failure, never a cut page")
            .also_as(CommandKind::Fetch, "Largest body; a larger one is a failure, never a cut one")
            .draft(|draft, bytes| {
                draft.limits.body_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
                draft.limits.wire_bytes_max = bytes;
                Ok(())
            }),
        flag("max-redirects", Whole::from(0), "Follows at most this many redirects in a row")
            .variable()
            .key("10", "")
            .crawler(Crawler::max_redirects),
    ]
}

/// Returns the settings that name files and directories.
fn place() -> Vec<Setting> {
    vec![
        flag("output", PathValue("FILE"), "File for the items; overwritten, unless --resume continues it")
            .otherwise("stdout")
            .clap(|arg| arg.short('o'))
            .run(|run, path| run.output = Some(path)),
        flag("format", Choice::<Format>::new("FORMAT", "\"csv\""), "Form of the output")
            .otherwise("csv for a file that ends in .csv, else jsonl")
            .run(|run, format| run.format = Some(format)),
        flag("keep-formulas", ON, "In CSV, keeps texts that begin like a formula (=, +, -, @) unchanged. Without this they get an apostrophe in front, since a spreadsheet would run a formula that a web page wrote")
            .run(|run, on| run.keep_formulas = on),
        flag("cache", PathValue("DIR"), "Reads answers again from DIR without a request while they are fresh, for the time in which you write a spider")
            .variable()
            .run(|run, dir| run.cache = Some(dir)),
        flag("cache-for", WAIT, "Takes cached answers for fresh this long, whatever servers say; robots.txt for at most a day")
            .otherwise("as servers say")
            .clap(|arg| arg.requires("cache"))
            .run(|run, span| run.cache_for = Some(span)),
        flag("report", PathValue("FILE.json"), "File for the report as JSON; also written after an interruption")
            .run(|run, path| run.report = Some(path)),
        flag("state", PathValue("DIR"), "Keeps the crawl in this directory, so that a stopped or killed crawl can be resumed")
            .run(|run, dir| run.state = Some(dir)),
        flag("resume", ON, "Resumes the crawl in the --state directory, or begins one if there is none. Queued URLs that the flags now put out of scope are filtered")
            .clap(|arg| arg.requires("state"))
            .run(|run, on| run.resume = on),
        flag("retry-failed", ON, "Retries all failures of the resumed crawl (opilio failed lists them), also on parked hosts. A host that stated a wait longer than --max-hold is not asked before its end")
            .clap(|arg| arg.requires("resume"))
            .crawler(if_on(Crawler::retry_failed)),
        flag("history", ON, "Keeps the time and the validators (ETag, Last-Modified) of each page, for --refresh in a later run")
            .clap(|arg| arg.requires("state"))
            .crawler(if_on(Crawler::history)),
        flag("refresh", Text { name: "AGE", ..WAIT }, "Fetches pages again that are older than this, if they have changed (an unchanged one is written with status 304). Needs a crawl with --history; implies it")
            .clap(|arg| arg.requires("resume"))
            .crawler(Crawler::refresh),
        flag("durability", Choice::<DurabilityWord>::new("HOW", "\"commit\""), "What a power cut may lose of --state (a kill loses nothing)")
            .otherwise("interval")
            .clap(|arg| arg.requires("state"))
            .crawler(|crawler, word| crawler.durability(word.into())),
        // This row only describes the flag: its value is read before all other settings.
        flag(super::CONFIG, PathValue("FILE.toml"), "Settings file, also for single hosts; the word none reads no file")
            .variable()
            .otherwise("opilio.toml in this directory, if there is one")
            .run(|_, _| {}),
    ]
}

/// Returns the settings about identity and connections: user agent, logins, proxies, addresses.
fn as_whom() -> Vec<Setting> {
    vec![
        flag("user-agent", USER_AGENT, "User agent; should hold a URL or mail address where you can be reached")
            .variable()
            .key_such_as("\"yourbot/1.0 (+https://you.example/bot)\"", "")
            .also(CommandKind::Fetch)
            .draft(|draft, text| {
                draft.run.user_agent = Some(text.clone());
                draft.then(|crawler| crawler.user_agent(text));
                Ok(())
            }),
        flag("header", HEADER, "Header field for every host, as in 'Accept-Language: de'; may be repeated. A login belongs to one host: put it into opilio.toml, or into a seed as user info")
            .clap(|arg| arg.short('H'))
            .crawler(|crawler, fields| fields.iter().fold(crawler, |crawler, (name, value)| {
                crawler.header(name.as_str(), value.to_str().unwrap_or_default())
            })),
        flag("no-robots", OFF, "Fetches and obeys no robots.txt: for your own servers")
            .variable()
            .key("true", "false is for your own servers")
            .named("robots")
            .also(CommandKind::Fetch)
            .crawler(if_off(Crawler::no_robots)),
        flag("proxy", PROXY, "Fetches through a proxy: http://, https:// or socks5://, with user info for a login. Several proxies take turns")
            .key("[]", "as [\"http://me:secret@proxy.example:8080\"]; several take turns")
            .named("proxies")
            .draft(|draft, proxies| {
                draft.run.is_proxied = !proxies.is_empty();
                draft.then(|crawler| proxies.into_iter().fold(crawler, Crawler::proxy));
                Ok(())
            }),
        flag("no-cookies", OFF, "Neither keeps nor sends cookies. Without this, the --state directory keeps them, too")
            .variable()
            .key("true", "kept in the state directory, too")
            .named("cookies")
            .crawler(if_off(Crawler::no_cookies)),
        flag("allow-private", Networks, "Connects to private and loopback addresses: all, or those of the given networks")
            .variable()
            .key("false", "or true, or networks: [\"127.0.0.0/8\"]")
            .also(CommandKind::Fetch)
            .draft(|draft, addresses| {
                draft.run.addresses = addresses.clone();
                draft.then(|crawler| crawler.addresses(addresses));
                Ok(())
            }),
        flag("danger-accept-any-certificate", ON, "Accepts any TLS certificate, so that anyone on the way can read and change the traffic: for your own servers")
            .also_as(CommandKind::Fetch, "Accepts any TLS certificate: for your own servers")
            .crawler(if_on(Crawler::danger_accept_any_certificate)),
        key_of_one_host("headers", HeaderTable, Shown::Usual("{ \"X-Api-Key\" = \"secret\" }"), "sent to this host alone; no log shows them")
            .host(|host, headers| host.headers = headers),
        key_of_one_host("basic", LOGIN_BASIC, Shown::Usual("\"user:password\""), "a login by name and password")
            .host_or(super::HostDraft::log_in),
        key_of_one_host("bearer", LOGIN_BEARER, Shown::Example("\"secret\""), "a login by a token")
            .host_or(super::HostDraft::log_in),
    ]
}

/// Returns the settings about what is said on stderr, and what counts as an error.
fn messages() -> Vec<Setting> {
    vec![
        flag("expect", EXPECTED, "Ends with an error if a field that is read from pages is filled less often than this in all runs since the last --refresh, as in price=98% or Product.price=98%; may be repeated")
            .key("[]", "as [\"Product.price=98%\"]: a field that is filled less often is an error")
            .crawler(|crawler, expected| {
                expected.into_iter().fold(crawler, |crawler, Expectation { field, share }| crawler.expect_filled(field, share))
            }),
        flag("verbose", Times, "Logs more on stderr; twice for still more (OPILIO_LOG=… chooses in detail)")
            .clap(|arg| arg.short('v'))
            .also_as(CommandKind::Fetch, "Logs more on stderr; twice for still more")
            .run(|run, times| run.verbose = times),
        flag("quiet", ON, "Prints only warnings and errors on stderr")
            .clap(|arg| arg.short('q'))
            .run(|run, on| run.quiet = on),
    ]
}

/// Adds each of these patterns to a scope.
fn scoped<E: std::fmt::Display>(
    scope: &mut Scope,
    patterns: &[String],
    add: fn(Scope, &str) -> Result<Scope, E>,
) -> Result<(), String> {
    for pattern in patterns {
        *scope = add(std::mem::take(scope), pattern).map_err(|error| error.to_string())?;
    }
    Ok(())
}

const NO_LIMIT: &str = "no limit";
/// The most requests in flight that a setting allows: more would overload any machine.
const IN_FLIGHT_MAX: u32 = 10_000;
/// The most strikes (closings of a host in a row) that a setting allows: with waits of one minute they would take a
/// week.
const STRIKES_MAX: u32 = 10_000;

/// Reads a time that is longer than zero.
const SPAN: Text<Duration> = Text { name: "TIME", read: unit::positive_duration, sample: "\"5m\"" };
/// Reads a time that may be zero.
const WAIT: Text<Duration> = Text { name: "TIME", read: unit::duration, sample: "\"5m\"" };
const SIZE: Text<u64> = Text { name: "SIZE", read: unit::bytes, sample: "\"20MiB\"" };
const MEMORY: Text<u64> = Text { name: "SIZE", read: unit::memory_limit, sample: "\"2GiB\"" };
const RATE: Text<Rate> = Text {
    name: "RATE",
    read: |text| text.parse().map_err(|error: opilio_core::RateError| error.to_string()),
    sample: "\"30/m\"",
};
const DELAY: Text<Rate> = Text { name: "TIME", read: delay, sample: "\"2s\"" };
const USER_AGENT: Text<String> = Text { name: "UA", read: user_agent, sample: "\"bot/1.0\"" };
const PATTERNS: Texts<String> =
    Texts { name: "PATTERN", read: |text| Ok(text.to_owned()), is_secret: false, sample: "\"*/a/*\"" };
const EXPECTED: Texts<Expectation> =
    Texts { name: "FIELD=SHARE", read: unit::expectation, is_secret: false, sample: "\"price=98%\"" };
const HEADER: Texts<(HeaderName, HeaderValue)> =
    Texts { name: "NAME: VALUE", read: unit::header, is_secret: false, sample: "\"accept-language: de\"" };
const PROXY: Texts<Proxy> = Texts {
    name: "URL",
    read: |text| text.parse().map_err(|error: opilio_fetch::BadProxy| error.to_string()),
    is_secret: true,
    sample: "\"http://127.0.0.1:1\"",
};
// Errors must not repeat the value, which contains a secret.
const LOGIN_BASIC: Text<HostSettings> = Text {
    name: "",
    read: |text| {
        let (user, password) = text.split_once(':').ok_or("write it as \"user:password\"")?;
        let login = HostSettings::default().basic(user, password);
        login.map_err(|_| "this is not a user and a password".to_owned())
    },
    sample: "\"user:password\"",
};
const LOGIN_BEARER: Text<HostSettings> = Text {
    name: "",
    read: |text| {
        let login = HostSettings::default().bearer(text);
        login.map_err(|_| "this is not a token that HTTP allows".to_owned())
    },
    sample: "\"secret\"",
};

/// Reads the time between two requests, and returns it as a rate.
fn delay(text: &str) -> Result<Rate, String> {
    let span = unit::positive_duration(text)?;
    Rate::new(1, span).map_err(|_| format!("{text:?} is longer than a day, which is the longest delay"))
}

/// Reads a user agent, which must be a text that HTTP allows in a header field.
fn user_agent(text: &str) -> Result<String, String> {
    match opilio_engine::header("user-agent", text.trim()) {
        Ok(_) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(format!("{text:?} is not a user agent that HTTP allows")),
    }
}
