//! Tests of the whole table: each row has the effect that its names and its help promise.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use clap::ArgMatches;
use opilio_core::{HostPolicy, RetryPolicy, Statuses, per_hour, per_minute};
use opilio_fetch::Limits;

use super::file::SettingsText;
use super::*;

fn settings() -> SettingsTable {
    SettingsTable::of(CommandKind::Crawl)
}

fn matches(flags: &[&str]) -> ArgMatches {
    settings().flags(clap::Command::new("test").no_binary_name(true)).try_get_matches_from(flags).unwrap()
}

/// Reads the settings from the text of a settings file and from flags.
fn read(text: &str, flags: &[&str]) -> anyhow::Result<CrawlDraft> {
    let source = SettingsText { name: "opilio.toml".to_owned(), text: text.to_owned() };
    settings().draft(&matches(flags), &[&source])
}

fn error(text: &str) -> String {
    format!("{:#}", read(text, &[]).err().unwrap())
}

/// Returns all values of a draft as text, so that drafts can be compared.
fn shown(draft: &CrawlDraft) -> String {
    format!("{:?} {:?} {:?} {:?} {:?}", draft.host, draft.scope, draft.limits, draft.caps, draft.run)
}

/// Returns the text of a file that sets this setting to this value, or `None` if the setting has no key.
fn file_of(setting: &Described, value: &str) -> Option<String> {
    let (section, key) = setting.key.as_ref()?;
    let section = if *section == "host" { "host.\"a.example\"" } else { section };
    Some(format!("[{section}]\n{key} = {value}\n"))
}

/// Returns arguments that set this setting to its sample value, with the flags that it requires.
fn flags_of(setting: &Described) -> Option<Vec<String>> {
    let flag = setting.flag?;
    let needed: &[&str] = match flag {
        "cache-for" => &["--cache=c"],
        "resume" | "history" | "durability" => &["--state=s"],
        "retry-failed" | "refresh" => &["--state=s", "--resume"],
        _ => &[],
    };
    let own = match setting.sample.0 {
        Some(value) => format!("--{flag}={value}"),
        None => format!("--{flag}"),
    };
    Some(needed.iter().map(|flag| (*flag).to_owned()).chain([own]).collect())
}

#[test]
fn every_row_is_read_from_each_place_that_it_names_and_the_stronger_one_wins() {
    let source = |draft: &CrawlDraft, name: &str| {
        draft.sources.iter().find(|(other, _)| other == name).map(|(_, from)| from.clone())
    };
    for setting in settings().described() {
        let name = setting.flag.map(str::to_owned).or(setting.key.clone().map(|(_, key)| key)).unwrap();
        let file = file_of(&setting, setting.sample.1);
        let by_file = read(file.as_deref().unwrap_or(""), &[]).unwrap();
        match &setting.key {
            Some(("host", key)) => {
                assert!(!by_file.hosts[0].1.settings().unwrap().headers.is_empty(), "{key}")
            }
            Some(_) => assert_eq!(source(&by_file, &name).as_deref(), Some("opilio.toml:2"), "{name}"),
            None => assert_eq!(source(&by_file, &name), None, "{name}"),
        }
        let Some(flags) = flags_of(&setting) else { continue };
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let by_flag = read(file.as_deref().unwrap_or(""), &flags).unwrap();
        assert_eq!(source(&by_flag, &name), Some(format!("--{name}")), "{name}");
    }
}

#[test]
fn every_row_is_in_the_help_with_its_variable_and_its_default() {
    for command in [CommandKind::Crawl, CommandKind::Fetch, CommandKind::Explain] {
        let settings: SettingsTable = SettingsTable::of(command);
        let mut clap = settings.flags(clap::Command::new("test"));
        clap.clone().debug_assert();
        let help = clap.render_long_help().to_string().replace('\n', " ");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in settings.described() {
            let Some(flag) = setting.flag else { continue };
            let rest = help.split_once(&format!("--{flag} ")).or(help.split_once(&format!("--{flag}[")));
            let rest = rest.or(help.split_once(&format!("--{flag}..."))).map(|(_, rest)| rest);
            let rest = rest.unwrap_or_else(|| panic!("--{flag} is not in the help of {command:?}"));
            let own = rest.split(" --").next().unwrap();
            if let Some(variable) = &setting.variable {
                assert!(rest.contains(&format!("[env: {variable}")), "{flag}: {own}");
            }
            let words = setting.default.filter(|text| !["true", "false", "[]"].contains(text));
            if let Some(text) = words {
                let text = format!("[default: {}", text.trim_matches('"'));
                assert!(own.contains(&text), "{flag}: {text} is not in {own}");
            }
        }
    }
}

#[test]
fn every_default_of_the_table_is_that_of_the_library() {
    let draft = read("", &[]).unwrap();
    let host = draft.host.settings().unwrap();
    assert_eq!(host.policy, HostPolicy::default());
    assert_eq!(format!("{:?}", host.retry.unwrap()), format!("{:?}", RetryPolicy::default()));
    assert_eq!(format!("{:?}", draft.limits), format!("{:?}", Limits::default()));
    for setting in settings().described() {
        let Some(file) = setting.default.and_then(|text| file_of(&setting, text)) else { continue };
        assert_eq!(shown(&read(&file, &[]).unwrap()), shown(&draft), "{file}");
    }
}

#[test]
fn the_documentation_is_the_table() {
    let page = page();
    let documented = include_str!("../../../../docs/opilio.toml");
    assert_eq!(documented, page, "docs/opilio.toml is not the table's: run `cargo xtask settings`");
    let read_page = |text: &str| read(text, &[]).unwrap();
    assert_eq!(read_page(&page).hosts.len(), 2);
    for setting in settings().described() {
        if let Some((_, key)) = setting.key {
            assert!(
                page.contains(&format!("\n{key} = ")) || page.contains(&format!("\n# {key} = ")),
                "{key}"
            );
        }
    }
    // The examples, which are commented out, must be valid settings as well.
    let examples: String = page
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") && !rest.starts_with("bearer") => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert!(read_page(&examples).run.user_agent.is_some());
}

#[test]
fn a_programs_own_settings_are_the_weakest() {
    let own = SettingsText {
        name: "own".into(),
        text:
            "[default]\nrate = \"5/s\"\nin_flight = 7\n[host.\"a.example\"]\nin_flight = 2\nbearer = \"t\"\n"
                .into(),
    };
    let file = SettingsText {
        name: "file".into(),
        text: "[default]\nrate = \"6/s\"\n[host.\"A.example\"]\nrate = \"1/s\"\nbasic = \"a:b\"\n".into(),
    };
    let draft = settings().draft(&matches(&["--max-hold=5m"]), &[&file, &own]).unwrap();
    let policy = &draft.host.policy;
    assert_eq!((policy.rate_max(), policy.in_flight_max()), (Some("6/s".parse().unwrap()), 7));
    assert_eq!(draft.hosts.len(), 1, "however the host is spelt");
    let host = draft.hosts[0].1.settings().unwrap();
    assert_eq!((host.policy.rate_max(), host.policy.in_flight_max()), (Some("1/s".parse().unwrap()), 2));
    assert_eq!(
        host.policy.hold_max(),
        Duration::from_secs(300),
        "a flag holds where the section says nothing"
    );
    assert!(host.headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let with_defaults = settings().with_defaults("[crawl]\nqqqq = 1").read(&matches(&["--config=none"]));
    assert!(with_defaults.err().unwrap().to_string().starts_with("the program's settings:2: unknown key"));
}

#[test]
fn reads_what_the_design_shows() {
    let draft = read(
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
        &[],
    )
    .unwrap();
    assert_eq!(draft.host.policy.rate_max(), Some(per_minute(60)));
    let of = |name: &str| &draft.hosts.iter().find(|(pattern, _)| pattern == name).unwrap().1;
    let host = of("127.0.0.2:8080");
    assert_eq!((host.policy.rate_max(), host.policy.in_flight_max()), (Some(per_hour(1000)), 8));
    assert!(!format!("{host:?}").contains("secret"), "{host:?}");
    let below = of("*.example.com");
    assert_eq!((below.policy.adapts(), below.policy.hold_max()), (false, Duration::from_secs(300)));
    assert_eq!((below.max_backoff, below.policy.strikes_max(true)), (Some(Duration::from_secs(120)), 3));
    assert_eq!(below.policy.slow_down_statuses(), &[403, 999].into_iter().collect::<Statuses>());
    assert_eq!(
        (&below.retry_statuses, &draft.host.retry_statuses),
        (&Statuses::default(), &Statuses::default())
    );
    assert_eq!(draft.limits.wire_bytes_max, 1 << 20);
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
    assert_eq!(error("[defaults]\n"), "opilio.toml:1: unknown key \"defaults\": did you mean \"default\"?");
    assert!(error("[crawl]\nzzz = 1").contains("the keys are follow, include"));
    assert_eq!(
        error("[crawl]\nrate = \"60/m\""),
        "opilio.toml:2: unknown key \"rate\" in [crawl]: it belongs below [default] or [host.\"…\"]"
    );
}

#[test]
fn wrong_values_are_named_with_their_line() {
    for (text, part) in [
        ("[default]\nrate = \"banana\"", "opilio.toml:2: rate: \"banana\" is not a rate"),
        ("[default]\nrate = 60", "rate: this is a text in quotes"),
        ("[default]\nin_flight = 0", "in_flight: this is a number from 1 to 10000"),
        ("[default]\nadapt = \"no\"", "adapt: this is true or false"),
        ("[default]\nmax_hold = \"1\"", "max_hold: \"1\" is not a time"),
        ("[default]\nslow_down = [403, \"999\"]", "opilio.toml:2: slow_down: this is a list of statuses"),
        ("[default]\nretry_status = [99]", "retry_status: \"99\" is not a status"),
        ("[default]\nmax_strikes = 0", "max_strikes: this is a number from 1 to 10000"),
        ("[default]\nheaders = { a = \"b\" }", "headers is sent to one host only"),
        ("[default]\nbearer = \"t\"", "bearer is sent to one host only"),
        ("[host.\"a.example\"]\nbasic = \"secret\"", "basic: write it as \"user:password\""),
        ("[host.\"a.example\"]\nbearer = \"a b\"", "bearer: this is not a token"),
        ("[host.\"a.example\"]\nbasic = \"a:b\"\nbearer = \"c\"", "a login by basic already"),
        ("[host.\"http://x/\"]\n", "\"http://x/\" does not name a host"),
        ("[host.\"*\"]\n", "\"*\" does not name a host"),
        ("[crawl]\nmemory_limit = \"1MiB\"", "memory_limit: \"1MiB\" is too little"),
        ("[crawl]\nallow_private = [\"lan\"]", "\"lan\" is not an address or network"),
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
