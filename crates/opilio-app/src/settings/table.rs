//! The table: every setting is one row.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opilio_core::{HostPolicy, Rate};
use opilio_engine::{Crawler, HostSettings, Scope, Spider, TrapRules};
use opilio_fetch::Proxy;

use super::choice::{DurabilityWord, FollowWord, Format, OrderWord};
use super::reader::{
    Choice, HeaderTable, Networks, OFF, ON, PathValue, StatusList, Text, Texts, Times, Whole,
};
use super::row::{CommandKind, Setting, Shown, flag, if_off, if_on, key_of_one_host};
use crate::unit;

/// Every setting, in the order of the help.
pub(crate) fn all<S: Spider>() -> Vec<Setting<S>> {
    let headed = |heading: &'static str, settings: Vec<Setting<S>>| {
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

/// Which URLs are fetched, and which of them are one.
fn which_urls<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("follow", Choice::<FollowWord>::new("WHERE", "\"all\""), "Which links are followed, by where they lead")
            .variable()
            .key("\"same-host\"", "or none, same-domain, all")
            .scope(|scope, word| scope.follow(word.into())),
        flag("include", PATTERNS, "Only links that match; * stands for anything; may be repeated. A seed is fetched by being named")
            .key("[]", "as [\"*/products/*\"]: only URLs that match one; * stands for anything")
            .draft(|draft, patterns| scoped(&mut draft.scope, &patterns, Scope::include)),
        flag("exclude", PATTERNS, "No links that match; * stands for anything; may be repeated")
            .key("[]", "none of those that match one")
            .draft(|draft, patterns| scoped(&mut draft.scope, &patterns, Scope::exclude)),
        flag("strip-tracking", ON, "Takes tracking parameters, such as utm_source and gclid, out of every URL: it is fetched without")
            .variable()
            .key("false", "")
            .crawler(if_on(Crawler::strip_tracking)),
        flag("keep-session-ids", ON, "Tells URLs apart by their session ids, too (;jsessionid=, PHPSESSID=, sid= and the like); without this, URLs that differ in nothing else are one")
            .variable()
            .key("false", "true: URLs that differ only in a session id are two")
            .scope(if_on(Scope::keep_session_ids)),
        flag("merge-canonical", ON, "Prints one page of all that name the same canonical URL, in a further field; the others are aliases of it")
            .variable()
            .key("false", "")
            .draft(|draft, on| {
                draft.run.merge_canonical = on;
                draft.then(move |crawler| if on { crawler.merge_canonical() } else { crawler });
                Ok(())
            }),
        flag("merge-duplicates", ON, "Prints one page of all that have equal content, white space and session ids apart; the others are aliases of the first")
            .variable()
            .key("false", "")
            .crawler(if_on(Crawler::merge_duplicates)),
        flag("follow-traps", ON, "Follows links that only traps have, too: paths and queries that repeat themselves or have too many parts, months that are years ahead, links of a page that comes under one URL after another")
            .variable()
            .scope(|scope, on| if on { scope.traps(TrapRules::none()) } else { scope }),
    ]
}

/// How many URLs are fetched, and in which order.
fn how_many<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("max-pages", Whole::from(1), "Ends after exactly so many pages")
            .variable()
            .key_such_as("1000", "")
            .otherwise(NO_LIMIT)
            .crawler(Crawler::max_pages),
        flag("max-depth", Whole::from(0), "Links from a seed at the most; 0 fetches the seeds alone")
            .variable()
            .key_such_as("3", "links from a seed")
            .otherwise(NO_LIMIT)
            .clap(|arg| arg.visible_alias("depth"))
            .scope(Scope::max_depth),
        flag("max-pages-per-host", Whole::from(1), "Pages of each host at the most")
            .variable()
            .otherwise(NO_LIMIT)
            .draft(|draft, pages| {
                draft.caps.pages = Some(pages);
                Ok(())
            }),
        flag(
            "max-bytes-per-host",
            SIZE,
            "Bytes of each host's pages, after which nothing more is asked of it",
        )
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
        flag("max-duration", SPAN, "Starts nothing more after this time")
            .variable()
            .key_such_as("\"2h\"", "")
            .otherwise(NO_LIMIT)
            .crawler(Crawler::max_duration),
    ]
}

/// The load on hosts and on this machine.
fn how_fast<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("rate", RATE, "Requests of each host, per s, m, h or d")
            .variable()
            .key("\"60/m\"", "")
            .policy(HostPolicy::rate),
        flag("delay", DELAY, "Time between two requests to a host, which is another way to say a rate: 2s is 30/m")
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
        flag("memory-limit", MEMORY, "Starts less from 70 % of this memory on, and nothing near it until what is under way has ended; ends the crawl when that does not help; 16MiB at the least")
            .variable()
            .key_such_as("\"1GiB\"", "")
            .otherwise(NO_LIMIT)
            .crawler(Crawler::memory_limit),
        flag("no-adapt", OFF, "Keeps to the rate after refusals, instead of lowering it (waits that a server states are kept)")
            .variable()
            .key("true", "lowers the rate after refusals")
            .named("adapt")
            .policy(HostPolicy::adapt),
        flag("max-crawl-delay", WAIT, "Keeps to a Crawl-delay of robots.txt up to this, and says so if it asks for more")
            .variable()
            .key("\"1m\"", "a Crawl-delay of robots.txt is kept up to this")
            .policy(HostPolicy::max_crawl_delay),
        flag("max-hold", WAIT, "Gives a host up for this run that states a longer wait")
            .variable()
            .key("\"1h\"", "a host that states a longer wait is given up for this run")
            .also_as(CommandKind::Explain, "A stated wait beyond this parks the host: ms, s, m, h or d")
            .policy(HostPolicy::max_hold),
    ]
}

/// Failures: how often and how soon something is tried again, and what bounds an attempt.
fn how_patient<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("retries", Whole::from(0), "Retries after the first attempt")
            .variable()
            .key("3", "after the first attempt")
            .of_the_crawl()
            .also(CommandKind::Explain)
            .host(|host, retries| host.retries = retries),
        flag("min-backoff", SPAN, "First wait where the server states none; it doubles up to --max-backoff")
            .variable()
            .key_usually("\"1s\"", "the first wait where the server states none; it doubles")
            .also_as(CommandKind::Explain, "First wait where the server states none; it doubles: ms, s, m, h or d")
            .host(|host, wait| host.min_backoff = Some(wait)),
        flag("max-backoff", SPAN, "Longest wait where the server states none")
            .variable()
            .key_usually("\"1m\"", "the longest wait where the server states none")
            .also_as(CommandKind::Explain, "Longest wait where the server states none: ms, s, m, h or d")
            .host(|host, wait| host.max_backoff = Some(wait)),
        flag("max-strikes", Whole::from(1).up_to(STRIKES_MAX), "Gives a host up for this run after so many refusals or failures to reach it in a row")
            .variable()
            .key("12", "a host that refuses or cannot be reached so often in a row is given up for this run")
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
        flag("retry-status", StatusList, "Statuses that are worth a retry, as a 500 is")
            .variable()
            .key("[]", "as [404, 520]: statuses that are worth a retry, as a 500 is")
            .also(CommandKind::Explain)
            .host(|host, statuses| host.retry_statuses = statuses),
        flag("timeout", SPAN, "Time of a whole attempt, body included")
            .variable()
            .key("\"30s\"", "of an attempt, body included")
            .also_as(CommandKind::Fetch, "Time of the whole attempt, body included")
            .draft(|draft, span| {
                draft.limits.timeout = span;
                Ok(())
            }),
        flag("max-body", SIZE, "A larger body is a failure, never a cut page")
            .variable()
            .key("\"10MiB\"", "a larger one is a failure, never a cut page")
            .also_as(CommandKind::Fetch, "A larger body is a failure, never a cut one")
            .draft(|draft, bytes| {
                draft.limits.body_bytes_max = usize::try_from(bytes).unwrap_or(usize::MAX);
                draft.limits.wire_bytes_max = bytes;
                Ok(())
            }),
        flag("max-redirects", Whole::from(0), "Redirects in a row")
            .variable()
            .key("10", "")
            .crawler(Crawler::max_redirects),
    ]
}

/// Files and directories.
fn place<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("output", PathValue("FILE"), "Where pages go; the file is begun anew, unless --resume goes on with it")
            .otherwise("stdout")
            .clap(|arg| arg.short('o'))
            .run(|run, path| run.output = Some(path)),
        flag("format", Choice::<Format>::new("FORMAT", "\"csv\""), "In which form")
            .otherwise("csv for a file that ends in .csv, else jsonl")
            .run(|run, format| run.format = Some(format)),
        flag("keep-formulas", ON, "In CSV, leaves texts that begin like a formula (=, +, -, @) as they are; otherwise they get an apostrophe in front, since a spreadsheet would run what a stranger wrote")
            .run(|run, on| run.keep_formulas = on),
        flag("cache", PathValue("DIR"), "Reads again from DIR what was fetched once and is still fresh, without a request: for trying things")
            .variable()
            .run(|run, dir| run.cache = Some(dir)),
        flag("cache-for", WAIT, "Reads from the cache for this long, whatever servers say about it; robots.txt for a day at the most")
            .otherwise("as they say")
            .clap(|arg| arg.requires("cache"))
            .run(|run, span| run.cache_for = Some(span)),
        flag("report", PathValue("FILE.json"), "Where the report goes, as JSON; written after a gentle stop too")
            .run(|run, path| run.report = Some(path)),
        flag("state", PathValue("DIR"), "Keeps the crawl in this directory, so that nothing can lose it")
            .run(|run, dir| run.state = Some(dir)),
        flag("resume", ON, "Goes on with the crawl in the --state directory; begins one if there is none. What is queued and out of the scope that the flags say now is filtered")
            .clap(|arg| arg.requires("state"))
            .run(|run, on| run.resume = on),
        flag("retry-failed", ON, "Tries all failures of the resumed crawl again (opilio failed lists them), also of hosts that did not answer; those that asked for a wait longer than --max-hold are left alone until it is over")
            .clap(|arg| arg.requires("resume"))
            .crawler(if_on(Crawler::retry_failed)),
        flag("history", ON, "Keeps when each page was fetched and what to ask with next time, for --refresh in a later run")
            .clap(|arg| arg.requires("state"))
            .crawler(if_on(Crawler::history)),
        flag("refresh", Text { name: "AGE", ..WAIT }, "Fetches pages again that are older than this; servers are asked whether they have changed (a page that has not is a line with status 304). Of pages with --history; implies it")
            .clap(|arg| arg.requires("resume"))
            .crawler(Crawler::refresh),
        flag("durability", Choice::<DurabilityWord>::new("HOW", "\"commit\""), "What a power cut may take of --state (a kill takes nothing)")
            .otherwise("interval")
            .clap(|arg| arg.requires("state"))
            .crawler(|crawler, word| crawler.durability(word.into())),
        // Where the file is, is known before the others are read.
        flag(super::CONFIG, PathValue("FILE.toml"), "Settings, also of single hosts; none reads no file")
            .variable()
            .otherwise("opilio.toml in this directory, if there is one")
            .run(|_, _| {}),
    ]
}

/// Identity and connections: user agent, logins, proxies, addresses.
fn as_whom<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("user-agent", USER_AGENT, "Who we say we are; should name a URL or a mail address where you can be reached")
            .variable()
            .key_such_as("\"yourbot/1.0 (+https://you.example/bot)\"", "")
            .also(CommandKind::Fetch)
            .draft(|draft, text| {
                draft.run.user_agent = Some(text.clone());
                draft.then(|crawler| crawler.user_agent(text));
                Ok(())
            }),
        flag("header", HEADER, "A header field to send to every host, as in 'Accept-Language: de'; may be repeated. Logins belong to one host: opilio.toml, or user info in a seed")
            .clap(|arg| arg.short('H'))
            .crawler(|crawler, fields| fields.iter().fold(crawler, |crawler, (name, value)| {
                crawler.header(name.as_str(), value.to_str().unwrap_or_default())
            })),
        flag("no-robots", OFF, "Asks for no robots.txt: for servers of your own")
            .variable()
            .key("true", "false is for servers of your own")
            .named("robots")
            .also(CommandKind::Fetch)
            .crawler(if_off(Crawler::no_robots)),
        flag("proxy", PROXY, "Fetches through a proxy: http://, https:// or socks5://, with user info for a login; several take turns")
            .key("[]", "as [\"http://me:secret@proxy.example:8080\"]; several take turns")
            .named("proxies")
            .draft(|draft, proxies| {
                draft.run.is_proxied = !proxies.is_empty();
                draft.then(|crawler| proxies.into_iter().fold(crawler, Crawler::proxy));
                Ok(())
            }),
        flag("no-cookies", OFF, "Neither keeps nor sends cookies; without this they are kept in the --state directory, too")
            .variable()
            .key("true", "kept in the state directory, too")
            .named("cookies")
            .crawler(if_off(Crawler::no_cookies)),
        flag("allow-private", Networks, "Visits private and loopback addresses: all, or those of the networks given")
            .variable()
            .key("false", "or true, or networks: [\"127.0.0.0/8\"]")
            .also(CommandKind::Fetch)
            .draft(|draft, addresses| {
                draft.run.addresses = addresses.clone();
                draft.then(|crawler| crawler.addresses(addresses));
                Ok(())
            }),
        flag("danger-accept-any-certificate", ON, "Trusts any TLS certificate, so that whoever sits on the way can read and forge everything: for servers of your own")
            .also_as(CommandKind::Fetch, "Trusts any TLS certificate: for servers of your own")
            .crawler(if_on(Crawler::danger_accept_any_certificate)),
        key_of_one_host("headers", HeaderTable, Shown::Usual("{ \"X-Api-Key\" = \"secret\" }"), "sent to this host alone, and shown in no log")
            .host(|host, headers| host.headers = headers),
        key_of_one_host("basic", LOGIN_BASIC, Shown::Usual("\"user:password\""), "a login")
            .host_or(super::HostDraft::log_in),
        key_of_one_host("bearer", LOGIN_BEARER, Shown::Example("\"secret\""), "or one by a token")
            .host_or(super::HostDraft::log_in),
    ]
}

/// Output on stderr.
fn messages<S: Spider>() -> Vec<Setting<S>> {
    vec![
        flag("verbose", Times, "Says more on stderr; twice for still more (OPILIO_LOG=… says exactly what)")
            .clap(|arg| arg.short('v'))
            .also_as(CommandKind::Fetch, "Says more on stderr; twice for still more")
            .run(|run, times| run.verbose = times),
        flag("quiet", ON, "Says nothing on stderr but warnings and errors")
            .clap(|arg| arg.short('q'))
            .run(|run, on| run.quiet = on),
    ]
}

/// Adds patterns to a scope.
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
/// More requests in flight than this help no crawl, and no machine.
const IN_FLIGHT_MAX: u32 = 10_000;
/// With waits of a minute, more strikes than this take a week.
const STRIKES_MAX: u32 = 10_000;

/// A time that is not zero.
const SPAN: Text<Duration> = Text { name: "TIME", read: unit::positive_duration, sample: "\"5m\"" };
/// A time that may be zero.
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
const HEADER: Texts<(HeaderName, HeaderValue)> =
    Texts { name: "NAME: VALUE", read: unit::header, is_secret: false, sample: "\"accept-language: de\"" };
const PROXY: Texts<Proxy> = Texts {
    name: "URL",
    read: |text| text.parse().map_err(|error: opilio_fetch::BadProxy| error.to_string()),
    is_secret: true,
    sample: "\"http://127.0.0.1:1\"",
};
// Errors about a secret do not repeat it.
const LOGIN_BASIC: Text<HostSettings> = Text {
    name: "",
    read: |text| {
        let (user, password) = text.split_once(':').ok_or("write it as \"user:password\"")?;
        let login = HostSettings::default().basic(user, password);
        login.map_err(|_| "this is no user and password".to_owned())
    },
    sample: "\"user:password\"",
};
const LOGIN_BEARER: Text<HostSettings> = Text {
    name: "",
    read: |text| {
        let login = HostSettings::default().bearer(text);
        login.map_err(|_| "this is no token that HTTP allows".to_owned())
    },
    sample: "\"secret\"",
};

/// Reads the time between two requests.
fn delay(text: &str) -> Result<Rate, String> {
    let span = unit::positive_duration(text)?;
    Rate::new(1, span).map_err(|_| format!("{text:?} is longer than a day, which is the longest delay"))
}

/// Reads a user agent: a text that HTTP allows.
fn user_agent(text: &str) -> Result<String, String> {
    match opilio_engine::header("user-agent", text.trim()) {
        Ok(_) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(format!("{text:?} is no user agent that HTTP allows")),
    }
}
