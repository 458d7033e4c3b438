//! Limits how many fetches a crawl starts by the memory that its process uses.
//!
//! A crawl cannot refuse single allocations without failing. So it limits the starts of fetches, since
//! fetches allocate memory. The nearer memory is to the limit, the fewer slots are used. From 92 % of the
//! limit on, no fetch starts until work in flight has ended. When memory grows, the level changes at once;
//! when memory shrinks, the level changes one step at a time, to avoid fast changes.
//!
//! Memory may stay high although nothing is in flight, because allocators keep freed memory and reuse it first.
//! In that case one fetch at a time may start, as long as memory is below the limit itself. If memory stays
//! at the limit nevertheless, the crawl is told to end while it still can.
//!
//! The intake level only ever slows a crawl, so it cannot break politeness.

use std::time::Duration;

use crate::time::Timestamp;

/// The intake level: how many of a crawl's slots may be used. A greater level allows fewer slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum IntakeLevel {
    /// All slots may be used.
    #[default]
    Full,
    /// Half of the slots may be used.
    Half,
    /// A quarter of the slots may be used.
    Quarter,
    /// An eighth of the slots may be used.
    Eighth,
    /// One slot may be used.
    One,
    /// No fetch may start.
    Paused,
}

impl IntakeLevel {
    /// Returns how many of `slots` may be used: at least one, except when paused.
    #[must_use]
    pub const fn of(self, slots: u32) -> u32 {
        match self {
            Self::Full => slots,
            Self::Half => slots.div_ceil(2),
            Self::Quarter => slots.div_ceil(4),
            Self::Eighth => slots.div_ceil(8),
            Self::One => {
                if slots > 0 {
                    1
                } else {
                    0
                }
            }
            Self::Paused => 0,
        }
    }

    /// Returns the next lower intake level, which allows more slots.
    fn opened(self) -> Self {
        match self {
            Self::Full | Self::Half => Self::Full,
            Self::Quarter => Self::Half,
            Self::Eighth => Self::Quarter,
            Self::One => Self::Eighth,
            Self::Paused => Self::One,
        }
    }
}

/// A crawl's use of memory at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    /// The bytes of memory that the whole process uses.
    pub memory_bytes: u64,
    /// The number of fetches in flight and of pages not settled yet. Memory is freed when they end.
    pub under_way: u32,
}

/// An instruction to the crawl.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    /// From now on, start only as much as this intake level allows.
    Take(IntakeLevel),
    /// End the crawl, since nothing can free memory any more. This is returned once; no advice follows.
    End,
}

/// Derives the intake level of a crawl with a memory limit from its use of memory.
#[derive(Clone, Debug)]
pub struct Intake {
    limit_bytes: u64,
    /// The number of bytes in use from which on nothing starts. It is below the limit at first; it is raised
    /// to the limit if a pause does not free memory.
    pause_bytes: u64,
    level: IntakeLevel,
    seen: Timestamp,
    /// The time since when memory has been low enough for the next level that allows more; `None` if it is
    /// not low enough now.
    calm: Option<Timestamp>,
    /// The time since when nothing starts, nothing is in flight, and memory is still too high; `None` if this
    /// is not so now.
    idle: Option<Timestamp>,
    stuck: Option<Timestamp>,
    ended: bool,
    slowed: Duration,
}

impl Intake {
    /// The smallest memory limit in bytes. A smaller limit is raised to this value.
    pub const LIMIT_BYTES_MIN: u64 = 16 << 20;

    /// Creates an intake that allows all slots. The limit is at least
    /// [`LIMIT_BYTES_MIN`](Self::LIMIT_BYTES_MIN).
    #[must_use]
    pub fn new(limit_bytes: u64, now: Timestamp) -> Self {
        let limit_bytes = limit_bytes.max(Self::LIMIT_BYTES_MIN);
        Self {
            limit_bytes,
            pause_bytes: percent(limit_bytes, PAUSE_PERCENT),
            level: IntakeLevel::Full,
            seen: now,
            calm: None,
            idle: None,
            stuck: None,
            ended: false,
            slowed: Duration::ZERO,
        }
    }

    /// Returns the current intake level.
    #[must_use]
    pub fn level(&self) -> IntakeLevel {
        self.level
    }

    /// Returns the memory limit in bytes that is used.
    #[must_use]
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Returns the total time during which fewer than all slots were allowed, up to the last call of `handle`.
    #[must_use]
    pub fn slowed(&self) -> Duration {
        self.slowed
    }

    /// Updates the intake level from the current use of memory. Returns an advice if something changes.
    ///
    /// Call it several times a second, since memory grows between the calls.
    pub fn handle(&mut self, now: Timestamp, usage: Usage) -> Option<Advice> {
        if self.ended {
            return None;
        }
        if self.level > IntakeLevel::Full {
            self.slowed += now.since(self.seen);
        }
        self.seen = self.seen.max(now);
        let before = self.level;
        self.level = self.level.max(self.level_at(usage.memory_bytes));
        self.open_if_calm(now, usage.memory_bytes);
        if self.is_stuck(now, usage) {
            self.ended = true;
            return Some(Advice::End);
        }
        (self.level != before).then_some(Advice::Take(self.level))
    }

    /// Returns the intake level for this number of bytes in use.
    fn level_at(&self, bytes: u64) -> IntakeLevel {
        let is_from = |part| bytes >= percent(self.limit_bytes, part);
        match bytes {
            _ if bytes >= self.pause_bytes => IntakeLevel::Paused,
            _ if is_from(PAUSE_PERCENT) => IntakeLevel::One,
            _ if is_from(84) => IntakeLevel::Eighth,
            _ if is_from(77) => IntakeLevel::Quarter,
            _ if is_from(70) => IntakeLevel::Half,
            _ => IntakeLevel::Full,
        }
    }

    /// Changes to the next lower intake level, which allows more slots, if memory has been low for long enough.
    fn open_if_calm(&mut self, now: Timestamp, bytes: u64) {
        if self.level_at(bytes.saturating_add(percent(self.limit_bytes, MARGIN_PERCENT))) >= self.level {
            self.calm = None;
        } else if has_lasted(&mut self.calm, now, CALM) {
            self.level = self.level.opened();
            self.calm = Some(now);
        }
    }

    /// Returns whether the crawl is stuck: nothing is in flight, and memory stays at the limit. If nothing is
    /// in flight but memory is a little below the limit, changes to the next level that allows more slots
    /// instead, since no fetch in flight could end and free memory.
    fn is_stuck(&mut self, now: Timestamp, usage: Usage) -> bool {
        if self.level < IntakeLevel::Paused || usage.under_way > 0 {
            (self.idle, self.stuck) = (None, None);
            return false;
        }
        let idle = has_lasted(&mut self.idle, now, CALM);
        let stuck = usage.memory_bytes >= self.pause_bytes && has_lasted(&mut self.stuck, now, STUCK);
        if usage.memory_bytes >= self.limit_bytes {
            return stuck;
        }
        if stuck {
            self.pause_bytes = self.limit_bytes;
        }
        if usage.memory_bytes < self.pause_bytes {
            self.stuck = None;
        }
        if idle && usage.memory_bytes < self.pause_bytes {
            self.level = self.level.opened();
            (self.idle, self.calm) = (None, None);
        }
        false
    }
}

/// Returns whether a condition that is true now has been true for `span`. `since` keeps the time at which it
/// became true.
fn has_lasted(since: &mut Option<Timestamp>, now: Timestamp, span: Duration) -> bool {
    now.since(*since.get_or_insert(now)) >= span
}

fn percent(limit_bytes: u64, part: u64) -> u64 {
    let bytes = u128::from(limit_bytes) * u128::from(part) / 100;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The percentage of the memory limit from which on nothing starts, as long as a pause may free memory.
const PAUSE_PERCENT: u64 = 92;
/// How far memory must be below the point at which a level ends, before the crawl changes back to that level;
/// in percent of the limit. It prevents fast changes between two levels.
const MARGIN_PERCENT: u64 = 5;
/// How long memory has to be low enough before the crawl changes to the next level that allows more slots.
const CALM: Duration = Duration::from_secs(1);
/// How long memory may stay high with nothing in flight before the crawl counts as stuck: an allocator may
/// release freed memory late.
const STUCK: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u64 = 1_000 << 20;
    const TICK: Duration = Duration::from_millis(100);

    fn usage(percent: u64, under_way: u32) -> Usage {
        Usage { memory_bytes: LIMIT / 100 * percent, under_way }
    }

    /// An intake, with the clock that drives it in tests.
    struct Driven {
        intake: Intake,
        now: Timestamp,
    }

    impl Driven {
        fn new() -> Self {
            let now = Timestamp::EPOCH;
            Self { intake: Intake::new(LIMIT, now), now }
        }

        fn see(&mut self, usage: Usage) -> Option<Advice> {
            self.now += TICK;
            self.intake.handle(self.now, usage)
        }

        /// Reports the same use of memory for a while, and returns all advice.
        fn see_for(&mut self, span: Duration, usage: Usage) -> Vec<Advice> {
            let until = self.now + span;
            let mut advice = Vec::new();
            while self.now < until {
                advice.extend(self.see(usage));
            }
            advice
        }
    }

    #[test]
    fn the_nearer_the_limit_the_less_is_taken_on() {
        let mut driven = Driven::new();
        let advised: Vec<_> = [69, 70, 77, 84, 92].map(|percent| driven.see(usage(percent, 9))).into();
        let tighter = [IntakeLevel::Half, IntakeLevel::Quarter, IntakeLevel::Eighth, IntakeLevel::Paused];
        assert_eq!(advised[0], None);
        assert!(advised[1..].iter().copied().eq(tighter.map(|level| Some(Advice::Take(level)))));
        let slots = [
            IntakeLevel::Full,
            IntakeLevel::Half,
            IntakeLevel::Quarter,
            IntakeLevel::Eighth,
            IntakeLevel::One,
            IntakeLevel::Paused,
        ];
        assert_eq!(slots.map(|level| level.of(64)), [64, 32, 16, 8, 1, 0]);
        assert_eq!(slots.map(|level| level.of(1)), [1, 1, 1, 1, 1, 0]);
        assert_eq!(slots.map(|level| level.of(0)), [0; 6]);
    }

    #[test]
    fn a_peak_pauses_until_what_is_under_way_has_ended() {
        let mut driven = Driven::new();
        assert_eq!(driven.see(usage(130, 64)), Some(Advice::Take(IntakeLevel::Paused)));
        assert_eq!(driven.see_for(Duration::from_secs(600), usage(130, 1)), [], "a page takes its time");
        let opened = driven.see_for(Duration::from_secs(10), usage(30, 0));
        let levels = [
            IntakeLevel::One,
            IntakeLevel::Eighth,
            IntakeLevel::Quarter,
            IntakeLevel::Half,
            IntakeLevel::Full,
        ];
        assert!(opened.iter().copied().eq(levels.map(Advice::Take)), "{opened:?}");
        assert!(driven.intake.slowed() >= Duration::from_secs(604), "{:?}", driven.intake.slowed());
        assert!(driven.intake.slowed() < Duration::from_secs(607), "{:?}", driven.intake.slowed());
    }

    #[test]
    fn memory_that_stays_at_the_limit_with_nothing_under_way_ends_the_crawl_once() {
        let mut driven = Driven::new();
        let advised = driven.see_for(Duration::from_secs(60), usage(101, 0));
        assert_eq!(advised, [Advice::Take(IntakeLevel::Paused), Advice::End]);
    }

    #[test]
    fn memory_that_an_allocator_keeps_below_the_limit_is_lived_with() {
        let mut driven = Driven::new();
        let advised = driven.see_for(Duration::from_secs(60), usage(97, 0));
        assert_eq!(
            advised,
            [Advice::Take(IntakeLevel::Paused), Advice::Take(IntakeLevel::One)],
            "one at a time"
        );
        assert_eq!(
            driven.see_for(Duration::from_secs(60), usage(99, 2)),
            [],
            "it does not pause there again"
        );
        let advised = driven.see_for(Duration::from_secs(60), usage(100, 0));
        assert_eq!(advised, [Advice::Take(IntakeLevel::Paused), Advice::End]);
    }

    #[test]
    fn memory_that_hovers_around_a_threshold_changes_nothing_more() {
        let mut driven = Driven::new();
        let mut changes = 0;
        for n in 0..10_000 {
            changes += usize::from(driven.see(usage(68 + n % 5, 3)).is_some());
        }
        assert_eq!(changes, 1);
    }

    proptest! {
        #[test]
        fn whatever_memory_does(
            seen in proptest::collection::vec((1_u64..60, 60_u64..115, 0_u32..3), 1..200),
        ) {
            let mut driven = Driven::new();
            let (mut opened, mut stuck_since) = (None, None);
            let mut slowed = Duration::ZERO;
            for (ticks, percent, under_way) in seen {
                let usage = usage(percent, under_way);
                for _ in 0..ticks {
                    let before = driven.intake.level();
                    let advice = driven.see(usage);
                    let (level, now) = (driven.intake.level(), driven.now);
                    slowed += if before > IntakeLevel::Full { TICK } else { Duration::ZERO };
                    prop_assert_eq!(driven.intake.slowed(), slowed);

                    // The level never allows more than the memory in use permits, and it tightens at once.
                    prop_assert!(level >= driven.intake.level_at(usage.memory_bytes));
                    // Advice is returned exactly when something changes.
                    match advice {
                        None => prop_assert_eq!(level, before),
                        Some(Advice::Take(told)) => prop_assert!(told == level && told != before),
                        Some(Advice::End) => {}
                    }
                    // The level allows more by one step at a time only, and not twice within `CALM`.
                    if level < before {
                        prop_assert_eq!(level, before.opened());
                        prop_assert!(opened.is_none_or(|at| now.since(at) >= CALM));
                        opened = Some(now);
                    }
                    // The crawl is told to end exactly if nothing else can happen any more.
                    let has_no_room = usage.memory_bytes >= driven.intake.pause_bytes;
                    let stuck = level == IntakeLevel::Paused && under_way == 0 && has_no_room;
                    let since = if stuck { *stuck_since.get_or_insert(now) } else { stuck_since = None; now };
                    let over = now.since(since) >= STUCK && percent >= 100;
                    prop_assert_eq!(advice == Some(Advice::End), over);
                    if over {
                        prop_assert_eq!(driven.see(usage), None);
                        return Ok(());
                    }
                }
            }
        }

        /// Whatever the constant use of memory is, a crawl with nothing in flight does not stay paused for
        /// ever.
        #[test]
        fn a_crawl_never_waits_for_nothing(
            seen in proptest::collection::vec((60_u64..115, 0_u32..3), 0..100), last in 0_u64..200,
        ) {
            let mut driven = Driven::new();
            for (percent, under_way) in seen {
                if driven.see(usage(percent, under_way)) == Some(Advice::End) {
                    return Ok(());
                }
            }
            let advised = driven.see_for(STUCK + CALM, usage(last, 0));
            let ended = advised.last() == Some(&Advice::End);
            prop_assert!(ended || driven.intake.level() < IntakeLevel::Paused, "{advised:?}");
            prop_assert_eq!(ended, last >= 100);
            if last < 65 {
                driven.see_for(CALM * 5, usage(last, 0));
                prop_assert_eq!(driven.intake.level(), IntakeLevel::Full);
            }
        }
    }
}
