//! Chooses the proxy for the next request.
//!
//! A proxy resolves names itself, so the addresses that it connects to cannot be checked here; an IP address that is
//! written in a URL is still checked. The failure of a proxy never counts as a failure of the host behind it: the
//! proxy is not used for a while, and the other proxies carry its requests.

use std::time::Duration;

/// The order in which a crawl uses its proxies: in turn, except that a proxy that failed rests for a time.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    states: Vec<ProxyState>,
    next: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct ProxyState {
    /// The number of failures of the proxy in a row.
    failures: u32,
    rests_until: Duration,
    /// Whether the proxy has carried a request since it last failed.
    works: bool,
}

impl Rotation {
    pub(crate) fn new(proxies: usize) -> Self {
        Self { states: vec![ProxyState::default(); proxies], next: 0 }
    }

    /// Returns the index of the next proxy; if all proxies rest, of the proxy whose rest ends first. `now` is the
    /// time since the crawl began.
    pub(crate) fn pick(&mut self, now: Duration) -> Option<usize> {
        let count = self.states.len();
        let turn = (0..count).map(|step| (self.next + step) % count);
        let picked = turn.min_by_key(|at| self.states[*at].rests_until.saturating_sub(now))?;
        self.next = (picked + 1) % count;
        Some(picked)
    }

    /// Returns the index of the next proxy that does not rest, for a request whose proxy failed; `None` if all
    /// proxies rest.
    pub(crate) fn pick_awake(&mut self, now: Duration) -> Option<usize> {
        let awake = self.states.iter().any(|state| state.rests_until <= now);
        awake.then(|| self.pick(now)).flatten()
    }

    pub(crate) fn worked(&mut self, at: usize) {
        if let Some(state) = self.states.get_mut(at) {
            *state = ProxyState { works: true, ..ProxyState::default() };
        }
    }

    /// Records that a proxy did not carry a request. Returns whether this is its first failure since it last worked.
    pub(crate) fn failed(&mut self, at: usize, now: Duration) -> bool {
        let Some(state) = self.states.get_mut(at) else { return false };
        let (failures, first) = (state.failures, state.failures == 0);
        let rest = REST_MIN * 2_u32.pow(failures.min(DOUBLINGS_MAX));
        *state = ProxyState { failures: failures.saturating_add(1), rests_until: now + rest, works: false };
        first
    }

    /// Returns whether a proxy carried its last request. If it did and cannot connect to a host, the failure is the
    /// host's.
    pub(crate) fn works(&self, at: usize) -> bool {
        self.states.get(at).is_some_and(|state| state.works)
    }
}

/// How long a proxy rests after its first failure: 2 s. Each further failure in a row doubles the time.
const REST_MIN: Duration = Duration::from_secs(2);
/// How often the time of rest is doubled at most: 7 times, so to about four minutes.
const DOUBLINGS_MAX: u32 = 7;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn they_take_turns_and_one_that_failed_rests() {
        let mut rotation = Rotation::new(3);
        let picks = |rotation: &mut Rotation, now, n| {
            (0..n).map(|_| rotation.pick(secs(now)).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(picks(&mut rotation, 0, 4), [0, 1, 2, 0]);
        rotation.failed(1, secs(0));
        assert_eq!(picks(&mut rotation, 1, 4), [2, 0, 2, 0]);
        assert_eq!(picks(&mut rotation, 2, 3), [1, 2, 0]);
        rotation.failed(1, secs(2));
        rotation.failed(0, secs(4));
        rotation.failed(2, secs(5));
        // Proxies 0 and 1 rest until second 6, proxy 2 until second 7. All rest, so the proxy whose rest ends first
        // is used.
        assert!(picks(&mut rotation, 5, 4).iter().all(|at| *at != 2));
        assert_eq!(Rotation::new(0).pick(secs(0)), None);
        assert_eq!((rotation.pick_awake(secs(5)), rotation.pick_awake(secs(6)).is_some()), (None, true));
    }

    #[test]
    fn one_that_carries_again_is_as_good_as_new() {
        let mut rotation = Rotation::new(1);
        assert!(!rotation.works(0));
        for _ in 0..100 {
            rotation.failed(0, secs(0));
        }
        assert!(rotation.states[0].rests_until <= secs(300));
        rotation.worked(0);
        assert!(rotation.works(0) && rotation.states[0].rests_until.is_zero());
        rotation.failed(0, secs(10));
        assert_eq!(rotation.states[0].rests_until, secs(12));
    }
}
