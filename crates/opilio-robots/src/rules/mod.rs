//! robots.txt (RFC 9309): the rules of one site for one crawler.
//!
//! Own code, since no existing crate passed the 88 cases of `cases.rs`: robotxt 0.7 fails 10 (agents with a
//! version or several words, `%2A`, encoded queries), texting_robots 0.2 fails 15 (also hex case, encoded
//! slashes), robotstxt 0.3 fails 20 (also groups, byte order marks, and stars that need backtracking: a
//! hostile pattern takes it many seconds).

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

use line::{Key, Lines};
use pattern::{Pattern, Target};

/// The part of a robots.txt that is read (RFC 9309 §2.5 asks for at least 500 KiB).
pub const ROBOTS_BYTES_MAX: usize = 500 * 1024;

/// The number of rules with a `*` that are matched as written. A file may hold 36,000 of them, and each costs
/// a pass over every path; no site needs that many. Of the others, a `Disallow` forbids everything with its
/// prefix up to the `*`, and an `Allow` is ignored. So nothing is allowed that the site forbids.
pub const STARRED_MAX: usize = 5_000;

/// How many sitemaps of one robots.txt are kept, and how long their addresses may be in all.
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
/// The serialised form keeps rules from run to run; it leaves out the sitemaps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Robots {
    /// The rule that wins comes first: longest pattern, then allow before disallow.
    rules: Box<[Rule]>,
    crawl_delay: Option<Duration>,
    #[serde(skip)]
    sitemaps: Box<[String]>,
    #[serde(skip)]
    widened: usize,
}

/// The content of `opilio robots show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The crawl delay in whole milliseconds.
    pub crawl_delay_ms: Option<u64>,
    /// The sitemaps as written.
    pub sitemaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Rule {
    pattern: Pattern,
    access: Access,
}

/// Ordered so that among patterns of one length allow comes first.
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
    /// [`ROBOTS_BYTES_MAX`] bytes, up to their last line end. A file with a UTF-16 byte order mark is read as
    /// UTF-16, every other as UTF-8 (§2.2).
    pub fn parse(bytes: &[u8], user_agent: &str) -> Self {
        let mut reader = Groups::new(product_token(user_agent));
        for line in Lines::new(&counted(bytes)) {
            reader.line(line.key, line.value);
        }
        reader.finish()
    }

    /// Allows everything: the robots.txt does not exist (RFC 9309 §2.3.1.3).
    pub fn allow_all() -> Self {
        Self::default()
    }

    /// Allows nothing but `/robots.txt`: the server could not say (RFC 9309 §2.3.1.4).
    pub fn disallow_all() -> Self {
        Self::parse(b"user-agent: *\ndisallow: /\n", "")
    }

    /// Returns whether a path with its query may be fetched. A fragment is ignored, a missing leading slash
    /// is added, and `/robots.txt` itself is always allowed (§2.2.2).
    ///
    /// Takes at most one pass over the path per rule, for any pattern.
    pub fn allows(&self, path_and_query: &str) -> bool {
        let target = Target::new(path_and_query);
        target.is_robots_txt()
            || self
                .rules
                .iter()
                .find(|rule| rule.pattern.matches(&target))
                .is_none_or(|rule| rule.access == Access::Allow)
    }

    /// Tells whether a URL may be fetched. The caller sees to it that these are the rules of the
    /// URL's origin.
    pub fn allows_url(&self, url: &Url) -> bool {
        self.allows(&url[Position::BeforePath..Position::AfterQuery])
    }

    /// The largest `Crawl-delay` of our groups. It is custom, not part of RFC 9309; there is no
    /// upper bound here, so callers clamp it.
    pub fn crawl_delay(&self) -> Option<Duration> {
        self.crawl_delay
    }

    /// The `Sitemap` lines of the whole file, as written, in order and without repeats; at most a
    /// thousand. They should be absolute URLs, but some sites write paths.
    pub fn sitemaps(&self) -> &[String] {
        &self.sitemaps
    }

    /// How many rules forbid more than the site wrote, including ignored `Allow` lines, because of the limit
    /// [`STARRED_MAX`].
    pub fn widened(&self) -> usize {
        self.widened
    }

    /// Facts about the file for people, beside the rules.
    pub fn summary(&self) -> Summary {
        Summary {
            crawl_delay_ms: self
                .crawl_delay
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            sitemaps: self.sitemaps.to_vec(),
        }
    }
}

/// The product token of a `User-Agent` header (RFC 9309 §2.2.1): `Opilio` of
/// `Opilio/0.1 (+https://…)`, and the bot's of `Mozilla/5.0 (compatible; Bot/2.1; …)`.
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

/// The part of the file that is read, as UTF-8.
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

/// Drops the last line of a cut file, since its rest may have narrowed the rule. A file without any line end
/// is one line beyond the line limit anyway.
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

/// Collects the rules of the groups named by our token and, as long as there are none, of `*`.
struct Groups<'a> {
    token: &'a str,
    own: GroupRules,
    star: GroupRules,
    /// A group that names this crawler was seen. Then the `*` groups do not apply, even if its own group has
    /// no rules.
    named: bool,
    /// Whom the agents of the current group include.
    current: Members,
    /// A rule has followed the last agent line, so that the next agent line starts a group.
    closed: bool,
    /// Whom the agents include that a crawl delay would be for.
    delayed: Members,
    /// A crawl delay has followed the last agent line: the next agent line names whom the next one is for.
    delay_said: bool,
    sitemaps: Vec<String>,
    sitemap_bytes: usize,
    sitemaps_known: HashSet<String>,
}

#[derive(Default)]
struct GroupRules {
    rules: HashSet<Rule>,
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

    fn line(&mut self, key: Key, value: &[u8]) {
        match key {
            Key::UserAgent => self.agent(value),
            Key::Allow => self.rule(Access::Allow, value),
            Key::Disallow => self.rule(Access::Disallow, value),
            Key::CrawlDelay => self.crawl_delay(value),
            Key::Sitemap => self.sitemap(value),
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
        // Google: a star with more words behind it is a star.
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
        // An empty pattern matches nothing, and so does one that cannot match a path's first slash.
        let Some(pattern) = Pattern::new(value) else {
            return;
        };
        let rule = Rule { pattern, access };
        if self.current.own {
            self.own.rules.insert(rule);
        } else if self.current.star && !self.named {
            self.star.rules.insert(rule);
        }
    }

    /// Counts for the agents named so far and ends no group of rules: §2.2.4 wants the lines that it does
    /// not define to leave that grouping alone. Agents named later have delays of their own: `opilio` with
    /// 1 s before `*` with 60 s is one group of rules, and still two delays.
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

    /// Sitemaps belong to no group (§2.2.4).
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
        let mut rules: Vec<Rule> = ours.rules.into_iter().collect();
        // The pattern's text last: equal files give equal rules in the same order.
        rules.sort_by(|a, b| {
            let key = |rule: &Rule| (std::cmp::Reverse(rule.pattern.octets()), rule.access);
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

/// Removes the stars from all but the first `max` rules with stars, without allowing anything more; returns
/// their number.
fn widen(rules: &mut Vec<Rule>, max: usize) -> usize {
    let (mut starred, mut widened) = (0, HashSet::new());
    // In place: a rule that forbids more still comes where it came, before all that it won against.
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
