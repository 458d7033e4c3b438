//! Estimates the rate of a server's limiter from single refusals.
//!
//! A token-bucket limiter has no token left each time it refuses a start. So between two refusals the server
//! accepted as many starts as the limiter gained tokens, which gives the limiter's rate, give or take one
//! start. A server that refuses at random does so at any pace: such an estimate is about the crawler's own
//! pace, and two estimates may contradict each other. Therefore each refusal narrows an interval of possible
//! rates. If the interval becomes empty, no limiter can have caused all refusals, and they count as chance. If
//! enough refusals agree, the estimate *believes in* a limiter: it counts the refusals as those of a limiter with
//! an estimated rate, until later refusals or starts refute that.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The estimate of the rate of a server's limiter, from single refusals.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct LimiterEstimate {
    /// The last refused start; `None` before the first refusal and after the host was closed for another
    /// reason.
    last: Option<Moment>,
    /// The number of starts since `last` of which it is unclear whether they were refused by the limiter or
    /// for another reason.
    unclear: u32,
    /// The refused start from which the rate over a long time is measured; how many starts since then were
    /// refused; and how many more may have been refused by the limiter.
    anchor: Option<(Moment, u32, u32)>,
    /// The lowest and the highest rate that a limiter may have, in starts per second, if it caused all refusals so
    /// far. `None` if there is no estimate.
    rates: Option<(f32, f32)>,
    /// How many measurements in a row, each from one refusal to the next, agreed with `rates`.
    agreed: u8,
    /// The number of starts that the server accepted before it refused one, and the seconds that these starts
    /// took. Of several such runs of starts, the fastest is kept.
    passed: (f64, f64),
    /// Set once the refusals are believed to come from a limiter: the number of the latest refused start, and
    /// how many refusals came since the belief began. More than `FORGIVEN_AFTER` starts without a refusal
    /// reset that count to 0.
    believed: Option<(u32, u8)>,
    /// Whether more than two in five starts were refused before the limiter was believed in, which is hardly
    /// chance.
    most_refused: bool,
    /// How often no limiter could have caused all refusals. Each time raises by one the number of measurements that
    /// must agree before a limiter is believed in.
    chances: u8,
}

/// A start: its time and number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    pub(super) seq: u32,
}

/// Starts that were refused together, while other starts were answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RefusedStarts {
    pub(super) first: Moment,
    pub(super) last: Moment,
    pub(super) count: u32,
    /// Whether the present pace has been used for a short time only, so that it is new to the host.
    pub(super) young: bool,
    /// How many more measurements than usual have to agree before a limiter is believed in. Not 0 if the
    /// refusals prove less: if they say nothing about the pace, or if the host's pages fail now and then
    /// anyway.
    pub(super) doubt: u8,
    /// The time for which the host was closed because of these refusals, in seconds; 0 if it was not closed.
    pub(super) hold: f64,
}

/// The conclusion from all refusals so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finding {
    /// There are too few measurements for a conclusion.
    Unclear,
    /// No limiter can have caused all refusals, so they count as chance.
    Chance,
    /// The refusals came from a limiter. `pace` is the pace to use, a little below the limiter's rate, in
    /// starts per second; `exact` tells whether the rate is known within 5 %.
    Limit { pace: f64, exact: bool },
}

impl LimiterEstimate {
    /// Records that the server accepted `starts` starts within `seconds` before it refused one.
    pub(super) fn let_pass(&mut self, starts: f64, seconds: f64) {
        if starts * (self.passed.1 + 1.0) > self.passed.0 * (seconds + 1.0) {
            self.passed = (starts, seconds);
        }
    }

    /// Records `refusals` that came while `pace` was used (in starts per second; `None` for no limit), and
    /// returns what they show.
    ///
    /// A pace learnt from refusals (`is_learnt`) is more likely to be too high than a pace that the user
    /// asked for. A limiter is believed in when several measurements agree. While the pace is new to the
    /// host, a single measurement is enough, provided that it shows that the pace is far too high.
    pub(super) fn refused(
        &mut self,
        refusals: &RefusedStarts,
        pace: Option<f64>,
        is_learnt: bool,
    ) -> Finding {
        if let Some((starts, refusals_since)) = &mut self.believed {
            // A real limiter stops refusing once the pace is below its rate.
            *refusals_since = if refusals.first.seq.wrapping_sub(*starts) > FORGIVEN_AFTER {
                0
            } else {
                *refusals_since + 1
            };
            *starts = refusals.first.seq;
            if *refusals_since > if self.most_refused { REFUSALS_MAX_SURE } else { REFUSALS_MAX } {
                self.last = Some(refusals.last);
                return self.give_up();
            }
        }
        let unclear = std::mem::take(&mut self.unclear);
        let Some(before) = self.last.replace(refusals.last) else {
            self.anchor = Some((refusals.last, 0, 0));
            return Finding::Unclear;
        };
        let (low, high) = interval(before, refusals.first, 1, unclear);
        if refusals.hold > 0.0 && f64::from(high) * (self.passed.1 + refusals.hold) > self.passed.0 {
            // During the hold the limiter may have gained all tokens that it can store, so the number of
            // tokens gained is unknown.
            self.anchor = Some((refusals.last, 0, 0));
            return Finding::Unclear;
        }
        let (anchor, refused, perhaps) = self.anchor.unwrap_or((before, 0, 0));
        let perhaps = perhaps + unclear;
        self.anchor = Some((anchor, refused + refusals.count, perhaps));
        let (low_all, high_all) = interval(anchor, refusals.first, refused + 1, perhaps);
        let known = self.rates.unwrap_or((0.0, f32::INFINITY));
        let rates = (low.max(low_all).max(known.0), high.min(high_all).min(known.1));
        if rates.0 > rates.1 {
            return self.give_up();
        }
        let same = if is_learnt { SAME_LEARNT } else { SAME };
        if self.rates.is_none() && pace.is_some_and(|pace| f64::from(rates.1) >= pace * same) {
            // The estimated rate is about the crawler's own pace, and a limiter with this rate would hardly
            // refuse.
            return Finding::Unclear;
        }
        self.rates = Some(rates);
        self.agreed = self.agreed.saturating_add(1);
        let middle = f64::from(rates.0.midpoint(rates.1));
        let far = pace.is_none_or(|pace| middle < pace * FAR);
        let many = refusals.first.seq.wrapping_sub(before.seq) > MANY;
        let obvious = refusals.young && refusals.doubt < FLAKY_DOUBT && self.chances == 0 && far && many;
        let doubt = self.chances.max(refusals.doubt);
        if self.believed.is_none() && self.agreed < AGREED_MIN + doubt && !obvious {
            return Finding::Unclear;
        }
        if self.believed.is_none() {
            let starts = refusals.last.seq.wrapping_sub(anchor.seq).max(1);
            self.most_refused = (refused + perhaps + refusals.count) * 5 > starts * 2;
            // If a single measurement was enough to believe in the limiter, one refusal fewer is enough to
            // refute it.
            let spent = u8::from(self.agreed < AGREED_MIN);
            self.believed = Some((refusals.first.seq, spent));
        }
        let exact = rates.1 - rates.0 < rates.1 * EXACT;
        let low = f64::from(rates.0) * 0.75 + f64::from(rates.1) * 0.25;
        let pace = if exact { low * BELOW } else { middle * WELL_BELOW };
        Finding::Limit { pace, exact }
    }

    /// How often no limiter could have caused all refusals.
    pub(super) fn chances(&self) -> u8 {
        self.chances
    }

    /// Whether a limiter with some rate can have caused all refusals so far, according to the estimate. Returns
    /// false before there is an estimate.
    pub(super) fn is_possible(&self) -> bool {
        self.rates.is_some()
    }

    /// Counts a refused start of which it is unclear whether the server's rate limiter refused it. The next
    /// estimate of the limiter's rate allows for both.
    pub(super) fn may_have_refused(&mut self) {
        self.unclear = self.unclear.saturating_add(1);
    }

    /// Records an accepted start. If the server accepted more starts than such a limiter would let pass, the
    /// limiter is refuted.
    pub(super) fn accepted(&mut self, start: Moment) -> Finding {
        let (Some(before), Some((_, high))) = (self.last, self.rates) else { return Finding::Unclear };
        let accepted = start.seq.wrapping_sub(before.seq) as i32;
        let most = high * start.at.since(before.at).as_secs_f32() + ROUNDING;
        if accepted as f32 <= most { Finding::Unclear } else { self.give_up() }
    }

    /// Forgets the starts from which rates are measured: the host was closed for another reason, so it is
    /// unknown how many tokens the limiter has gained meanwhile.
    pub(super) fn interrupt(&mut self) {
        (self.last, self.anchor) = (None, None);
    }

    fn give_up(&mut self) -> Finding {
        (self.rates, self.agreed, self.believed) = (None, 0, None);
        self.anchor = self.last.map(|last| (last, 0, 0));
        self.chances = self.chances.saturating_add(1).min(CHANCES_MAX);
        Finding::Chance
    }
}

/// Returns the lowest and the highest possible rate, in starts per second, of a limiter that had no token
/// left at both starts. `refused` of the starts after `from` were refused, and up to `perhaps` more.
fn interval(from: Moment, to: Moment, refused: u32, perhaps: u32) -> (f32, f32) {
    let accepted = to.seq.wrapping_sub(from.seq).saturating_sub(refused) as f32;
    let seconds = to.at.since(from.at).as_secs_f32();
    (
        (accepted - perhaps as f32 - 1.0).max(0.0) / (seconds + TRAVEL),
        (accepted + 1.0) / (seconds - TRAVEL).max(0.001),
    )
}

/// The time between two requests, in seconds, may change by this much on their way to the server.
const TRAVEL: f32 = 0.02;
/// An estimated rate of at least this share of the crawler's pace counts as that pace itself, and so is no
/// sign of a limiter. The second constant is for a pace that was learnt from refusals.
const SAME: f64 = 0.85;
const SAME_LEARNT: f64 = 0.9;
/// A pace is far too high if the limiter's rate is less than this share of the pace.
const FAR: f64 = 0.55;
/// A single measurement is enough to believe in a limiter only if there were more starts than this between
/// its two refusals.
const MANY: u32 = 5;
/// The most refusals that may come after a limiter is believed in. If there are more, the limiter counts as
/// refuted. The second constant is for a limiter that refused more than two in five starts before.
const REFUSALS_MAX: u8 = 2;
const REFUSALS_MAX_SURE: u8 = 10;
/// While a limiter is believed in, its refusals are counted, and too many of them refute it. If more starts
/// than this lie between two refusals, the count begins again at 0.
const FORGIVEN_AFTER: u32 = 200;
/// At least this many measurements have to agree before they lower a pace that the server accepted.
const AGREED_MIN: u8 = 2;
/// A rate counts as exact if the interval of possible rates is narrower than this share of its upper end.
const EXACT: f32 = 0.05;
/// How many more measurements than usual have to agree: the first constant is for a host whose pages fail now
/// and then, the second for refusals that say nothing about the pace (503).
pub(super) const FLAKY_DOUBT: u8 = 2;
pub(super) const SILENT_DOUBT: u8 = 1;
/// The shares of a limiter's rate that the crawl uses: of a rate known exactly, and of an estimate.
const BELOW: f64 = 0.985;
const WELL_BELOW: f64 = 0.93;
/// How many starts a limiter may let pass beyond its rate before it is refuted.
const ROUNDING: f32 = 2.0;
const CHANCES_MAX: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(limiter: &mut LimiterEstimate, millis: u64, seq: u32, pace: f64, young: bool) -> Finding {
        let moment = Moment { at: Timestamp::from_millis(millis), seq };
        let refusals = RefusedStarts { first: moment, last: moment, count: 1, young, doubt: 0, hold: 0.0 };
        limiter.refused(&refusals, Some(pace), false)
    }

    #[test]
    fn the_rate_of_a_bucket_is_what_it_accepts_between_two_refusals() {
        let mut limiter = LimiterEstimate::default();
        assert_eq!(refused(&mut limiter, 200, 10, 50.0, true), Finding::Unclear);
        let Finding::Limit { pace, .. } = refused(&mut limiter, 700, 21, 50.0, true) else {
            panic!("{limiter:?}")
        };
        assert!((17.0..21.0).contains(&pace), "{pace}");
        let Finding::Limit { pace, exact } = refused(&mut limiter, 8_700, 182, 22.0, false) else {
            panic!("{limiter:?}")
        };
        assert!((19.0..20.0).contains(&pace) && exact, "{pace}");
    }

    #[test]
    fn refusals_at_any_pace_are_no_limiter() {
        let mut limiter = LimiterEstimate::default();
        for (millis, seq) in [(0, 0), (5_000, 100), (5_500, 110), (9_500, 190)] {
            assert_eq!(refused(&mut limiter, millis, seq, 20.0, false), Finding::Unclear);
        }
    }

    #[test]
    fn rates_that_disagree_are_chance() {
        let mut limiter = LimiterEstimate::default();
        refused(&mut limiter, 0, 0, 20.0, false);
        assert_eq!(refused(&mut limiter, 2_000, 20, 20.0, false), Finding::Unclear);
        assert_eq!(refused(&mut limiter, 12_000, 180, 20.0, false), Finding::Chance);
    }

    #[test]
    fn more_than_a_limiter_lets_pass_is_none() {
        let mut limiter = LimiterEstimate::default();
        refused(&mut limiter, 0, 0, 50.0, true);
        refused(&mut limiter, 500, 11, 50.0, true);
        let at = Timestamp::from_millis(1_500);
        assert_eq!(limiter.accepted(Moment { at, seq: 31 }), Finding::Unclear);
        assert_eq!(limiter.accepted(Moment { at, seq: 45 }), Finding::Chance);
    }
}
