//! Reads a robots.txt (RFC 9309), and keeps the rules of one site that apply to one crawler.
//!
//! This parser was written because no existing crate passed the 88 cases of `cases.rs`. robotxt 0.7 fails 10
//! of them (agents with a version or several words, `%2A`, encoded queries). texting_robots 0.2 fails 15
//! (also hex digits in another case, and encoded slashes). robotstxt 0.3 fails 20 (also groups, byte order
//! marks, and patterns with many stars: a hostile pattern takes many seconds).

mod line;
mod pattern;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use encoding_rs::{UTF_16BE, UTF_16LE};
use serde::{Deserialize, Serialize};
use url::{Position, Url};

use line::{LineKey, RuleLines};
use pattern::{PathTarget, Pattern};

/// The most bytes of a robots.txt that are read (RFC 9309 §2.5 asks for at least 500 KiB).
pub const ROBOTS_BYTES_MAX: usize = 500 * 1024;

/// The most rules with a `*` that are matched as written. A file may hold 36,000 such rules, and each rule
/// costs one pass over every path that is checked; no site needs so many. Beyond this number, a `Disallow`
/// forbids every path that starts with the text before its `*`, and an `Allow` is ignored. So the limit never
/// allows a path that the site forbids.
pub const STARRED_MAX: usize = 5_000;

/// The most sitemaps of one robots.txt that are kept, and the most bytes that all their addresses may have.
const SITEMAPS_MAX: usize = 1_000;
const SITEMAPS_BYTES_MAX: usize = 256 * 1024;

/// The rules of one robots.txt that apply to one crawler.
///
/// Groups of other crawlers are not kept, to save memory.
///
/// ```
/// # mod opilio { pub use opilio_robots as robots; }
/// use opilio::robots::Robots;
///
/// let file = b"User-agent: *\nDisallow: /private\nAllow: /private/news\nCrawl-delay: 2\n";
/// let robots = Robots::parse(file, "Opilio/0.1 (+https://example.org/bot)");
/// assert!(!robots.allows("/private/a?b=c"));
/// assert!(robots.allows("/private/news/1"));
/// assert_eq!(robots.crawl_delay().map(|delay| delay.as_secs()), Some(2));
/// ```
///
/// The serialised form, which a later run reads, leaves out the sitemaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Robots {
    /// The rules, sorted so that the first rule that matches a path decides: longest pattern first, then
    /// `Allow` before `Disallow`.
    rules: Box<[PathRule]>,
    crawl_delay: Option<Duration>,
    #[serde(skip)]
    sitemaps: Box<[String]>,
    #[serde(skip)]
    widened: usize,
}

/// The facts about a robots.txt besides its rules, as `opilio robots show` prints them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The crawl delay in whole milliseconds.
    pub crawl_delay_ms: Option<u64>,
    /// The addresses of the `Sitemap` lines, in the order of the file, as written there.
    pub sitemaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct PathRule {
    pattern: Pattern,
    access: Access,
}

/// Whether a rule allows or forbids. `Allow` sorts first, since it wins over a `Disallow` with a pattern of
/// the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Access {
    Allow,
    Disallow,
}

impl Robots {
    /// Reads a robots.txt for the crawler that sends `user_agent`. Never fails: lines that make no sense are
    /// skipped.
    ///
    /// `user_agent` is a product token or a whole `User-Agent` header, see [`product_token`]. Reads the first
    /// [`ROBOTS_BYTES_MAX`] bytes; the last line of a longer file is dropped, since it may be cut. A file
    /// with a UTF-16 byte order mark is read as UTF-16, any other file as UTF-8 (RFC 9309 §2.2).
    pub fn parse(bytes: &[u8], user_agent: &str) -> Self {
        let mut reader = Groups::new(product_token(user_agent));
        for line in RuleLines::new(&counted(bytes)) {
            reader.line(line.key, line.value);
        }
        reader.finish()
    }

    /// Returns rules that allow everything, as for a robots.txt that does not exist (RFC 9309 §2.3.1.3).
    pub fn allow_all() -> Self {
        Self::default()
    }

    /// Returns the same rules with these sitemaps. The serialised form leaves the sitemaps out.
    #[must_use]
    pub fn with_sitemaps(self, sitemaps: Vec<String>) -> Self {
        Self { sitemaps: sitemaps.into(), ..self }
    }

    /// Returns rules that allow nothing but `/robots.txt`, as for a server that could not send its robots.txt
    /// (RFC 9309 §2.3.1.4).
    pub fn disallow_all() -> Self {
        Self::parse(b"user-agent: *\ndisallow: /\n", "")
    }

    /// Returns whether a path with its query may be fetched. A fragment is ignored, a missing leading slash
    /// is added, and `/robots.txt` itself is always allowed (RFC 9309 §2.2.2).
    ///
    /// For any pattern, matching a rule takes at most one pass over the path.
    pub fn allows(&self, path_and_query: &str) -> bool {
        let target = PathTarget::new(path_and_query);
        target.is_robots_txt()
            || self
                .rules
                .iter()
                .find(|rule| rule.pattern.matches(&target))
                .is_none_or(|rule| rule.access == Access::Allow)
    }

    /// Returns whether a URL may be fetched. The caller makes sure that these rules are those of the URL's
    /// origin.
    pub fn allows_url(&self, url: &Url) -> bool {
        self.allows(&url[Position::BeforePath..Position::AfterQuery])
    }

    /// Returns the largest `Crawl-delay` of the groups that apply to this crawler. `Crawl-delay` is custom,
    /// not part of RFC 9309. The delay has no upper bound here, so callers must limit it.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// Returns the addresses of the `Sitemap` lines of the whole file, as written, in order and without
    /// repeats; at most a thousand. The addresses should be absolute URLs, but some sites write paths.
    pub fn sitemaps(&self) -> &[String] {
        &self.sitemaps
    }

    /// Returns the number of rules that were changed because of the limit [`STARRED_MAX`]: `Disallow` lines
    /// that now forbid more than the site wrote, and `Allow` lines that are ignored.
    pub fn widened(&self) -> usize {
        self.widened
    }

    /// Returns the facts about the file besides its rules, for people to read.
    pub fn summary(&self) -> Summary {
        Summary {
            crawl_delay_ms: self
                .crawl_delay
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            sitemaps: self.sitemaps.to_vec(),
        }
    }
}

/// Returns the product token of a `User-Agent` header (RFC 9309 §2.2.1): `Opilio` for `Opilio/0.1
/// (+https://…)`, and `Bot` for `Mozilla/5.0 (compatible; Bot/2.1; …)`.
///
/// The RFC allows letters, `_` and `-`. Digits are kept, too: without them, a bot with a digit in its name
/// would obey another bot's rules.
pub fn product_token(user_agent: &str) -> &str {
    let user_agent = user_agent.trim_start();
    let token = leading_token(user_agent);
    if !token.eq_ignore_ascii_case("mozilla") {
        return token;
    }
    match user_agent.split_once("(compatible;") {
        Some((_, rest)) if !leading_token(rest.trim_start()).is_empty() => leading_token(rest.trim_start()),
        _ => token,
    }
}

fn leading_token(text: &str) -> &str {
    let end = text
        .bytes()
        .position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'))
        .unwrap_or(text.len());
    &text[..end]
}

/// Returns the part of the file that is read, converted to UTF-8.
fn counted(bytes: &[u8]) -> Cow<'_, [u8]> {
    let encoding = match bytes {
        [0xff, 0xfe, ..] => UTF_16LE,
        [0xfe, 0xff, ..] => UTF_16BE,
        _ => return Cow::Borrowed(head(bytes, bytes.len() > ROBOTS_BYTES_MAX)),
    };
    let marked = &bytes[..bytes.len().min(ROBOTS_BYTES_MAX)];
    let (text, _) = encoding.decode_with_bom_removal(marked);
    Cow::Owned(head(text.as_bytes(), bytes.len() > ROBOTS_BYTES_MAX).to_vec())
}

/// Returns the part of a file that is read. If the file was cut, the last line is dropped: the part that was
/// cut off may have made its rule narrower. A cut file without any line end is a single line, longer than any
/// line that is read in full.
fn head(bytes: &[u8], cut: bool) -> &[u8] {
    if !cut {
        return bytes;
    }
    let head = &bytes[..bytes.len().min(ROBOTS_BYTES_MAX)];
    match memchr::memrchr2(b'\n', b'\r', head) {
        Some(end) => &head[..=end],
        None => head,
    }
}

/// Collects the rules of the groups that name this crawler's token, and those of `*`, which apply if no group
/// names the crawler.
struct Groups<'a> {
    token: &'a str,
    own: GroupRules,
    star: GroupRules,
    /// Whether a group named this crawler. If so, the `*` groups do not apply, even if this crawler's group
    /// has no rules.
    named: bool,
    /// Whether the current group names this crawler, `*`, or both: the rules of the group apply to these.
    current: Members,
    /// Whether a rule was read after the last `User-agent` line. If so, the next `User-agent` line starts a
    /// new group.
    closed: bool,
    /// Whether the `User-agent` lines to which a `Crawl-delay` would now apply name this crawler, `*`, or
    /// both.
    delayed: Members,
    /// Whether a `Crawl-delay` was read after the last `User-agent` line. If so, the next `User-agent` line
    /// starts a new list of agents for the next delay.
    delay_said: bool,
    sitemaps: Vec<String>,
    sitemap_bytes: usize,
    sitemaps_known: HashSet<String>,
}

#[derive(Default)]
struct GroupRules {
    rules: HashSet<PathRule>,
    crawl_delay: Option<Duration>,
}

#[derive(Default, Clone, Copy)]
struct Members {
    own: bool,
    star: bool,
}

impl<'a> Groups<'a> {
    fn new(token: &'a str) -> Self {
        Self {
            token,
            own: GroupRules::default(),
            star: GroupRules::default(),
            named: false,
            current: Members::default(),
            closed: false,
            delayed: Members::default(),
            delay_said: false,
            sitemaps: Vec::new(),
            sitemap_bytes: 0,
            sitemaps_known: HashSet::new(),
        }
    }

    fn line(&mut self, key: LineKey, value: &[u8]) {
        match key {
            LineKey::UserAgent => self.agent(value),
            LineKey::Allow => self.rule(Access::Allow, value),
            LineKey::Disallow => self.rule(Access::Disallow, value),
            LineKey::CrawlDelay => self.crawl_delay(value),
            LineKey::Sitemap => self.sitemap(value),
        }
    }

    fn agent(&mut self, value: &[u8]) {
        if self.closed || self.delay_said {
            self.delayed = Members::default();
            self.delay_said = false;
        }
        if self.closed {
            self.current = Members::default();
            self.closed = false;
        }
        let value = String::from_utf8_lossy(value);
        // As in Google's parser, a `*` with further words after it counts as `*`.
        let mut words = value.split_ascii_whitespace();
        if words.next() == Some("*") {
            self.current.star = true;
            self.delayed.star = true;
        } else if !self.token.is_empty() && leading_token(&value).eq_ignore_ascii_case(self.token) {
            self.current.own = true;
            self.delayed.own = true;
            self.named = true;
        }
    }

    fn rule(&mut self, access: Access, value: &[u8]) {
        self.closed = true;
        // An empty pattern matches nothing. A pattern that starts with neither `/` nor `*` matches nothing
        // either, since each path starts with a slash.
        let Some(pattern) = Pattern::new(value) else {
            return;
        };
        let rule = PathRule { pattern, access };
        if self.current.own {
            self.own.rules.insert(rule);
        } else if self.current.star && !self.named {
            self.star.rules.insert(rule);
        }
    }

    /// Applies a delay to the agents named since the last delay. A delay does not end a group of rules: RFC
    /// 9309 §2.2.4 says that lines which the RFC does not define must not change the groups. So `opilio` with
    /// 1 s before `*` with 60 s is one group of rules with two delays.
    fn crawl_delay(&mut self, value: &[u8]) {
        self.delay_said = true;
        let Some(delay) = line::seconds(value) else {
            return;
        };
        if self.delayed.own {
            self.own.crawl_delay = self.own.crawl_delay.max(Some(delay));
        }
        if self.delayed.star {
            self.star.crawl_delay = self.star.crawl_delay.max(Some(delay));
        }
    }

    /// Keeps the address of a sitemap. A `Sitemap` line belongs to no group (RFC 9309 §2.2.4).
    fn sitemap(&mut self, value: &[u8]) {
        let full =
            self.sitemaps.len() >= SITEMAPS_MAX || self.sitemap_bytes + value.len() > SITEMAPS_BYTES_MAX;
        if value.is_empty() || full {
            return;
        }
        let sitemap = String::from_utf8_lossy(value).into_owned();
        if self.sitemaps_known.insert(sitemap.clone()) {
            self.sitemap_bytes += value.len();
            self.sitemaps.push(sitemap);
        }
    }

    fn finish(self) -> Robots {
        let ours = if self.named { self.own } else { self.star };
        let mut rules: Vec<PathRule> = ours.rules.into_iter().collect();
        // Equal lengths and kinds are sorted by the pattern's text, so that the same file always gives the
        // same order.
        rules.sort_by(|a, b| {
            let key = |rule: &PathRule| (std::cmp::Reverse(rule.pattern.octets()), rule.access);
            key(a).cmp(&key(b)).then_with(|| a.pattern.cmp(&b.pattern))
        });
        let widened = widen(&mut rules, STARRED_MAX);
        Robots {
            rules: rules.into_boxed_slice(),
            crawl_delay: ours.crawl_delay,
            sitemaps: self.sitemaps.into_boxed_slice(),
            widened,
        }
    }
}

/// Changes all but the first `max` rules that have a `*`, so that they never allow more than before: a
/// `Disallow` is cut at its `*`, an `Allow` is removed. Returns how many rules were changed.
fn widen(rules: &mut Vec<PathRule>, max: usize) -> usize {
    let (mut starred, mut widened) = (0, HashSet::new());
    // The rules keep their order, though some patterns become shorter: a rule that now forbids more paths
    // still comes before all rules over which it took precedence before.
    rules.retain_mut(|rule| {
        let Some(wider) = rule.pattern.up_to_star() else { return true };
        starred += 1;
        if starred <= max {
            return true;
        }
        rule.pattern = wider;
        rule.access == Access::Disallow && widened.insert(rule.pattern.clone())
    });
    starred.saturating_sub(max)
}
