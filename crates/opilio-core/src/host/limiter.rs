//! Which rates a limiter may have, judged from single refusals.
//!
//! A limiter that refuses a start is empty at that moment, and again at its next refusal. So what it
//! accepted in between is what it gained: its rate, give or take one start. Chance gives the pace itself
//! that way, since it refuses at any pace; and it gives one rate now and another one later. So rates are
//! kept as an interval that each refusal narrows. Where nothing is left of it, no limiter explains the
//! refusals: they are chance.

use crate::time::Timestamp;

/// What single refusals say about a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(super) struct Limiter {
    /// The last refused start, and its number.
    last: Option<(Timestamp, u32)>,
    /// The rates that explain all refusals so far, in starts per second.
    rates: Option<(f32, f32)>,
    /// How many intervals in a row agree.
    agreed: u8,
}

/// What a refusal says, together with those before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Finding {
    /// Nothing for sure.
    Unclear,
    /// No limiter explains all of them.
    Chance,
    /// A limiter of this rate, in starts per second, explains them.
    Limit(f64),
}

impl Limiter {
    /// Takes in that start `seq` was refused, while others were not, at a pace in starts per second.
    /// A limiter is believed in when so many intervals agree.
    pub(super) fn refused(&mut self, at: Timestamp, seq: u32, pace: Option<f64>, agreed_min: u8) -> Finding {
        let Some((before, before_seq)) = self.last.replace((at, seq)) else { return Finding::Unclear };
        let accepted = seq.wrapping_sub(before_seq).saturating_sub(1) as f32;
        let seconds = at.since(before).as_secs_f32().max(0.001);
        let (low, high) = ((accepted - 1.0).max(0.0) / seconds, (accepted + 1.0) / seconds);
        let known =
            self.rates.map_or((0.0, f32::INFINITY), |(low, high)| (low / TOLERANCE, high * TOLERANCE));
        let rates = (low.max(known.0), high.min(known.1));
        if rates.0 > rates.1 {
            (self.rates, self.agreed) = (None, 0);
            return Finding::Chance;
        }
        if pace.is_some_and(|pace| f64::from(rates.1) >= pace * SAME) {
            // As many were accepted as were sent: that explains nothing.
            return Finding::Unclear;
        }
        self.rates = Some(rates);
        self.agreed = self.agreed.saturating_add(1);
        if self.agreed < agreed_min {
            return Finding::Unclear;
        }
        Finding::Limit(f64::from(rates.0 + (rates.1 - rates.0) * PLACE))
    }

    /// Forgets what was refused: something else explains it.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

/// Ends of intervals are off by travel times.
const TOLERANCE: f32 = 1.03;
/// From this share of the pace on, a rate is the pace itself.
const SAME: f64 = 0.95;
/// Where in the interval the rate is taken to be.
const PLACE: f32 = 0.4;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn the_rate_of_a_bucket_is_what_it_accepts_between_two_refusals() {
        let mut limiter = Limiter::default();
        assert_eq!(limiter.refused(at(200), 10, Some(50.0), 1), Finding::Unclear);
        let Finding::Limit(rate) = limiter.refused(at(700), 21, Some(50.0), 1) else { panic!("{limiter:?}") };
        assert!((18.0..22.0).contains(&rate), "{rate}");
    }

    #[test]
    fn refusals_at_any_pace_are_no_limiter() {
        let mut limiter = Limiter::default();
        for (millis, seq) in [(0, 0), (5_000, 100), (5_500, 110), (9_500, 190)] {
            assert_eq!(limiter.refused(at(millis), seq, Some(20.0), 1), Finding::Unclear);
        }
    }

    #[test]
    fn rates_that_disagree_are_chance() {
        let mut limiter = Limiter::default();
        limiter.refused(at(0), 0, Some(20.0), 2);
        assert_eq!(limiter.refused(at(2_000), 20, Some(20.0), 2), Finding::Unclear);
        assert_eq!(limiter.refused(at(12_000), 180, Some(20.0), 2), Finding::Chance);
    }
}
