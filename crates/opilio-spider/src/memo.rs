//! Encodes the facts that the store keeps of a host without work: its saved state (`HostMemo`) and its
//! robots.txt rules.

use bytes::Bytes;
use opilio_core::host::HostMemo;
use opilio_core::{PerScheme, Scheme};
use opilio_robots::Robots;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The encoded form. The rules apply to one user agent only, so the hash of that user agent is stored with them.
#[derive(Serialize, Deserialize)]
struct KeptHost<Rules> {
    memo: HostMemo,
    user_agent: u64,
    rules: PerScheme<Option<Rules>>,
}

/// Encodes the saved state of a host together with the robots.txt rules of its two origins (http and https). Rules
/// that are too long are left out, and are fetched again later.
#[must_use]
pub fn write(memo: HostMemo, rules: PerScheme<Option<&Robots>>, user_agent: &str) -> Bytes {
    let kept = KeptHost {
        memo: Scheme::BOTH.into_iter().fold(memo, |memo, scheme| match rules[scheme] {
            Some(_) => memo,
            None => memo.forgetting_rules(scheme),
        }),
        user_agent: xxh3_64(user_agent.as_bytes()),
        rules,
    };
    let bytes = postcard::to_stdvec(&kept).ok().filter(|bytes| bytes.len() <= BYTES_MAX);
    let bytes = bytes.or_else(|| {
        let memo = without_rules(memo);
        postcard::to_stdvec(&KeptHost::<&Robots> { memo, rules: PerScheme::default(), ..kept }).ok()
    });
    bytes.unwrap_or_default().into()
}

/// Decodes the result of [`write()`]. Returns `None` if the bytes cannot be decoded. Rules that were read for another
/// user agent are left out.
#[must_use]
pub fn read(bytes: &[u8], user_agent: &str) -> Option<(HostMemo, PerScheme<Option<Robots>>)> {
    let kept: KeptHost<Robots> = postcard::from_bytes(bytes).ok()?;
    if kept.user_agent == xxh3_64(user_agent.as_bytes()) {
        return Some((kept.memo, kept.rules));
    }
    Some((without_rules(kept.memo), PerScheme::default()))
}

fn without_rules(memo: HostMemo) -> HostMemo {
    Scheme::BOTH.into_iter().fold(memo, HostMemo::forgetting_rules)
}

/// The most bytes of the encoded form with its rules. If it would be longer, the rules are left out. Nearly every
/// robots.txt is shorter.
const BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use opilio_core::host::{HostLimits, HostState, Input, Output, RulesAnswer, RulesMode};
    use opilio_core::{
        Fingerprint, Host, HostPolicy, Lease, LeaseId, Priority, Record, RecordKind, Score, Timestamp,
    };
    use url::Url;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(5);

    /// Returns these rules for http, and no rules for https.
    fn http(rules: &Robots) -> PerScheme<Option<&Robots>> {
        PerScheme::from_fn(|scheme| (scheme == Scheme::Http).then_some(rules))
    }

    /// Returns the saved state of a host, and the rules in this robots.txt.
    fn host(robots: &[u8]) -> (HostMemo, Robots) {
        let url = Url::parse("http://a.example/").unwrap();
        let host = Host::of(&url).unwrap();
        let record = Record {
            url: url.as_str().into(),
            fingerprint: Fingerprint::of(&url),
            host,
            scheme: Scheme::Http,
            depth: 0,
            priority: Priority::default(),
            score: Score::default(),
            attempts: Default::default(),
            validators: None,
            kind: RecordKind::Discovered,
            extra: Bytes::new(),
        };
        let (policy, limits) = (HostPolicy::new(), HostLimits::default());
        let mut state = HostState::new(policy, RulesMode::Fetch, limits, 108, NOW);
        state.handle(NOW, Input::Assign(vec![Lease { id: LeaseId(1), record }]));
        while let Some(output) = state.poll(NOW) {
            match output {
                Output::AskSlot => state.handle(NOW, Input::Granted { is_short: false }),
                Output::FetchRules { scheme, .. } => {
                    let expires_in = Duration::from_secs(3_600);
                    let answer = RulesAnswer::Known { crawl_delay: None, expires_in };
                    state.handle(NOW, Input::Rules { scheme, answer, hints: Default::default() });
                }
                _ => {}
            }
        }
        (state.memo(), Robots::parse(robots, "Opilio"))
    }

    #[test]
    fn rules_come_back_with_their_host() {
        let (memo, rules) = host(b"user-agent: *\ndisallow: /private\nsitemap: http://a.example/map\n");
        let bytes = write(memo, http(&rules), "Opilio");
        assert!(bytes.len() < 128, "{}", bytes.len());
        let (read_memo, rules) = read(&bytes, "Opilio").unwrap();
        assert_eq!(read_memo, memo);
        assert!(!rules[Scheme::Http].as_ref().unwrap().allows("/private/a"));
        assert_eq!(rules[Scheme::Https], None);
    }

    #[test]
    fn rules_that_are_not_kept_are_not_taken_for_known() {
        let long: String = (0..9_000).map(|n| format!("disallow: /{n}-{n}\n")).collect();
        let (memo, rules) = host(format!("user-agent: *\n{long}").as_bytes());
        let bytes = write(memo, http(&rules), "Opilio");
        assert!(bytes.len() < 128, "{}", bytes.len());
        let unknown = memo.forgetting_rules(Scheme::Http);
        assert_ne!(memo, unknown);
        assert_eq!(read(&bytes, "Opilio"), Some((unknown, PerScheme::default())));

        let (memo, rules) = host(b"");
        let others = read(&write(memo, http(&rules), "Opilio"), "Another");
        assert_eq!(
            others,
            Some((memo.forgetting_rules(Scheme::Http), PerScheme::default())),
            "another crawler's"
        );
        assert_eq!(read(b"?", "Opilio"), None);
    }
}
