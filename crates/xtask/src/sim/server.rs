//! The servers of the simulation: a few kinds, simple enough to answer twenty million requests in a short time.

use std::collections::VecDeque;
use std::time::Duration;

use opilio_core::{Fault, Hints, Outcome, Quota, Timestamp};

/// The behaviour of a server. Each simulated host has a server of one of these kinds.
#[derive(Clone, Debug)]
pub(super) enum Temper {
    /// Answers nearly all requests with a page.
    Good,
    /// Allows `count` requests in a sliding window. If `stated` is true, a refusal states how long to wait.
    Limited { count: usize, window: Duration, stated: bool, last: VecDeque<Timestamp> },
    /// Allows `count` requests in each fixed window, and announces with every answer how many requests are left.
    Announcing { count: u32, window: Duration, used: u32, ends: Timestamp },
    /// Refuses requests at random. A refusal states a wait, or no wait, or a wait that is longer than the crawler's
    /// longest hold.
    Moody,
    /// One of `one_in` pages always fails, and each such page fails in its own way. The other pages never fail.
    Broken { one_in: u32 },
    /// A load balancer with one bad backend: `per_mille` of 1,000 requests, for whatever URL, are refused with
    /// `status`.
    Flaky { per_mille: u16, status: u16 },
    /// A rate limiter with a token bucket. Its refusals do not state how long to wait.
    Bucket { per_second: f64, burst: f64, status: u16, level: f64, at: Timestamp },
    /// Breaks all connections during a quarter of each period.
    Flapping { period: Duration },
    /// Accepts no connection.
    Dead,
}

/// The reaction of a server to a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reaction {
    pub(super) outcome: Outcome,
    pub(super) hints: Hints,
    pub(super) latency: Duration,
}

impl Temper {
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        let window = Duration::from_secs(random.u64(2..60));
        match random.u8(..100) {
            0..24 => Self::Good,
            24..30 => Self::Broken { one_in: random.u32(3..40) },
            30..36 => {
                Self::Flaky { per_mille: random.u16(1..100), status: if random.bool() { 429 } else { 503 } }
            }
            36..42 => {
                let (per_second, burst) = (random.f64() * 20.0 + 0.3, random.f64() * 20.0 + 1.0);
                let status = if random.bool() { 429 } else { 503 };
                Self::Bucket { per_second, burst, status, level: 0.0, at: Timestamp::EPOCH }
            }
            42..55 => {
                let (count, stated) = (random.usize(2..30), random.bool());
                Self::Limited { count, window, stated, last: VecDeque::new() }
            }
            55..65 => Self::Announcing { count: random.u32(2..30), window, used: 0, ends: Timestamp::EPOCH },
            65..88 => Self::Moody,
            88..98 => Self::Flapping { period: Duration::from_secs(random.u64(10..120)) },
            _ => Self::Dead,
        }
    }

    /// Returns the reaction to a request that reaches the server now.
    pub(super) fn answer(&mut self, now: Timestamp, url: u64, random: &mut fastrand::Rng) -> Reaction {
        let latency = match random.u8(..) {
            0..240 => Duration::from_micros(random.u64(500..80_000)),
            240..254 => Duration::from_millis(random.u64(500..8_000)),
            _ => Duration::from_secs(random.u64(20..40)),
        };
        let (outcome, hints) = self.decide(now, url, random);
        Reaction { outcome, hints, latency }
    }

    /// Returns whether the server answers requests for this URL with a page, except for refusals at random or by a
    /// rate limit. Returns `None` for servers that may fail in other ways, too.
    pub(super) fn is_healthy(&self, url: u64) -> Option<bool> {
        match self {
            Self::Broken { one_in } => Some(!is_broken(url, *one_in)),
            Self::Flaky { .. } | Self::Bucket { .. } => Some(true),
            Self::Good
            | Self::Limited { .. }
            | Self::Announcing { .. }
            | Self::Moody
            | Self::Flapping { .. }
            | Self::Dead => None,
        }
    }

    fn decide(&mut self, now: Timestamp, url: u64, random: &mut fastrand::Rng) -> (Outcome, Hints) {
        let none = Hints::default();
        match self {
            Self::Broken { one_in } if is_broken(url, *one_in) => broken(url),
            Self::Flaky { per_mille, status } if random.u16(..1_000) < *per_mille => {
                (Outcome::Answered(*status), none)
            }
            Self::Broken { .. } | Self::Flaky { .. } => (Outcome::Answered(200), none),
            Self::Bucket { per_second, burst, status, level, at } => {
                *level = (*level - now.since(*at).as_secs_f64() * *per_second).max(0.0);
                *at = now;
                if *level + 1.0 > *burst {
                    return (Outcome::Answered(*status), none);
                }
                *level += 1.0;
                (Outcome::Answered(200), none)
            }
            Self::Good => (ordinary(random), none),
            Self::Limited { count, window, stated, last } => {
                while last.front().is_some_and(|then| now.since(*then) >= *window) {
                    last.pop_front();
                }
                if last.len() < *count {
                    last.push_back(now);
                    return (ordinary(random), none);
                }
                let opens = last.front().map_or(now, |first| *first + *window);
                let wait = Duration::from_secs(opens.since(now).as_secs() + 1);
                (Outcome::Answered(429), Hints { retry_after: stated.then_some(wait), quota: None })
            }
            Self::Announcing { count, window, used, ends } => {
                if now >= *ends {
                    (*used, *ends) = (0, now + *window);
                }
                let refused = *used >= *count;
                *used = (*used + 1).min(*count);
                let reset = Duration::from_secs(ends.since(now).as_secs() + 1);
                let quota = Quota { limit: Some(*count), remaining: *count - *used, reset, window: None };
                let outcome = if refused { Outcome::Answered(429) } else { ordinary(random) };
                (outcome, Hints { retry_after: None, quota: Some(quota) })
            }
            Self::Moody => moody(random),
            Self::Flapping { period } => {
                let phase = now.as_micros() % period.as_micros().max(1) as u64;
                let down = phase < period.as_micros() as u64 / 4;
                if !down {
                    return (ordinary(random), none);
                }
                let faults = [Fault::Reset, Fault::Connect, Fault::Timeout, Fault::Tls];
                (Outcome::Failed(faults[random.usize(..faults.len())]), none)
            }
            Self::Dead => (Outcome::Failed(Fault::Connect), none),
        }
    }
}

/// Returns the answer for a broken page. It depends only on the URL, so that a page always fails in the same way.
fn broken(url: u64) -> (Outcome, Hints) {
    let none = Hints::default();
    let wait = Hints { retry_after: Some(Duration::from_secs(1 + url % 3)), quota: None };
    match url / 7 % 7 {
        0 => (Outcome::Answered(503), none),
        1 => (Outcome::Answered(429), none),
        2 => (Outcome::Answered(503), wait),
        3 => (Outcome::Answered(500), none),
        4 => (Outcome::Failed(Fault::Reset), none),
        5 => (Outcome::Failed(Fault::Timeout), none),
        _ => (Outcome::Answered(403), none),
    }
}

fn is_broken(url: u64, one_in: u32) -> bool {
    // The URLs of witness requests have far higher numbers than all other URLs. They never fail.
    url < 1 << 32 && (url.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).is_multiple_of(one_in.into())
}

fn ordinary(random: &mut fastrand::Rng) -> Outcome {
    match random.u8(..) {
        0..240 => Outcome::Answered(200),
        240..244 => Outcome::Answered(404),
        244..247 => Outcome::Redirected(301),
        247..251 => Outcome::Answered(500),
        251..253 => Outcome::Failed(Fault::Reset),
        253 => Outcome::Failed(Fault::StaleConnection),
        254 => Outcome::Failed(Fault::Ours),
        255 => Outcome::Answered(403),
    }
}

fn moody(random: &mut fastrand::Rng) -> (Outcome, Hints) {
    let status = if random.bool() { 429 } else { 503 };
    let wait = |wait| (Outcome::Answered(status), Hints { retry_after: Some(wait), quota: None });
    match random.u16(..1_000) {
        0..80 => (Outcome::Answered(status), Hints::default()),
        80..180 => wait(Duration::from_secs(random.u64(1..120))),
        180 => wait(Duration::from_secs(random.u64(3_601..1 << 40))),
        _ => (ordinary(random), Hints::default()),
    }
}
