//! Decides for which hosts an actor is started, in which order the wants (requests of hosts for leases) are
//! served, and how many leases each host gets.
//!
//! Dispatch keeps the state of a host while the host has due work or its actor runs (it is *live*):
//!
//! ```text
//!            Ready                    lease                 Leases
//! unknown ─────────► ready ─────────────────────► starting ────────► live
//!    ▲                                               │                │
//!    ├──────────────────── Passivated ───────────────┼────────────────┤
//!    └──────────────────────────── Nothing ──────────┘                │ Want: has room,
//!                                                                     │ and takes its turn
//! ```
//! The store reports a host again only after a want of this host was not filled, or after the host has left dispatch,
//! so it does not report a host twice for the same work. Live hosts with new work do not wait behind the hosts that
//! are not live: the store reports them first. The store knows the times at which URLs are due, so dispatch needs no
//! clock.

mod line;
#[cfg(test)]
mod tests;
mod witness;

use std::collections::HashMap;

use super::invariants::{SchedulingInvariant, SchedulingViolation, ensure};
use super::sabotage::{Planted, SchedulingBug as Bug};
use crate::intake::IntakeLevel;
use crate::name::Host;
use line::{HostLine, TurnNumber};
pub use witness::DispatchWitness;

/// The limits of a crawl that dispatch enforces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DispatchLimits {
    /// The most pages that the whole crawl may fetch; `None` for no limit.
    pub pages_max: Option<u64>,
    /// The most hosts that may be live at once, that is, whose actors run.
    pub hosts_max: u32,
    /// How many of the live hosts may be newcomers, that is, have not had their first turn for a slot. While there are
    /// so many, no further host is started.
    ///
    /// So the hosts that take turns for the slots grow by this number from one turn to the next. If a host came alive
    /// whenever `hosts_max` allowed it, all hosts would take turns at once, and each would have lost its connection when
    /// its turn comes again. A host without a connection to lose waits in the store instead. No host waits there for
    /// ever, however much work the live hosts have, since newcomers get their turn like all others.
    pub newcomers_max: u32,
}

/// The counts of a store that dispatch needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StoreCounts {
    /// The number of URLs that ended as pages.
    pub pages: u64,
    /// The number of leases that are handed out and not settled yet.
    pub out: u64,
}

/// A want: a number of URLs to lease for a host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// The host.
    pub host: Host,
    /// The most URLs to lease.
    pub n: usize,
}

/// The inputs of dispatch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DispatchInput {
    /// A live host has room for more leases.
    Want {
        /// The host.
        host: Host,
        /// How many leases the host has room for.
        leases: u32,
    },
    /// A live host is no newcomer any more: it has had its first turn for a slot, or it needs no slot now.
    Begun(Host),
    /// The actor of a host has stopped. The store reports the host again if it has due work, then or later.
    Passivated(Host),
    /// Hosts that now have due work, as the store reports them.
    Ready {
        /// The hosts: first all live hosts with new work, then those that are not live.
        hosts: Vec<Host>,
        /// The most hosts that are not live for which the store was asked. If it reported as many hosts, it may have
        /// more.
        asked: usize,
    },
    /// The intake level that applies from now on.
    Intake(IntakeLevel),
    /// No more URLs are to be leased.
    Stop,
}

/// The store's answer to one want.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WantAnswer {
    /// The store gave leases.
    Leases,
    /// The store filtered out all the records that it read for this want. The host may have further due records.
    Filtered,
    /// The host has no due record.
    Nothing,
}

/// Whether a host's actor is started now. If so, it needs the saved state of the host (its memo).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Waking {
    /// The host's actor is started now and needs the memo.
    Starts,
    /// The host's actor runs already, or it is not started.
    No,
}

/// Decides for which hosts an actor is started, and how many leases each host gets.
///
/// In each turn, call [`handle`](Self::handle) for each input, with the hosts that the store reports
/// ([`Ready`](DispatchInput::Ready)) as the last input; then [`lease`](Self::lease); then
/// [`answer`](Self::answer) for each want.
#[derive(Debug)]
pub struct Dispatch {
    limits: DispatchLimits,
    hosts: HashMap<Host, HostPlace>,
    /// How many of `hosts` are live or being started; the others are ready (they have work and no actor).
    live: usize,
    /// How many of the live hosts are newcomers.
    newcomers: usize,
    /// The hosts that have work and are not live. The store may have further hosts with work.
    ready: HostLine,
    /// The live hosts to serve in this turn, because they have a new want or new work.
    turn: HostLine,
    /// The current intake level. The next field is the number of hosts that were live when the level last
    /// left `Full`.
    level: IntakeLevel,
    live_then: usize,
    stopped: bool,
    /// True if the store's last report had at least as many hosts as it was asked for. Then the store may have more.
    store_has_more: bool,
    /// Whether the store answered a want of this turn with `WantAnswer::Filtered`.
    filtered: bool,
    planted: Planted,
}

/// The state of a host that dispatch knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum HostPlace {
    /// The host has work and waits for its actor to be started.
    Ready(TurnNumber),
    /// The host is live, or being started.
    Live(LiveHost),
}

/// The state of a live host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct LiveHost {
    /// How many more leases the host has room for; `None` if the host wants no leases now.
    room: Option<u32>,
    /// Whether the host's actor is not started yet. It starts with the first lease; if there is no lease, the
    /// host is removed.
    starting: bool,
    /// Whether the host is a newcomer: it has not had its first turn for a slot.
    is_new: bool,
    /// The number of the host's place in the turn; `None` if the host does not wait to be served.
    number: Option<TurnNumber>,
}

impl Dispatch {
    /// Creates a dispatch without hosts.
    #[must_use]
    pub fn new(limits: DispatchLimits) -> Self {
        Self {
            limits,
            hosts: HashMap::new(),
            live: 0,
            newcomers: 0,
            ready: HostLine::default(),
            turn: HostLine::default(),
            level: IntakeLevel::Full,
            live_then: 0,
            stopped: false,
            store_has_more: false,
            filtered: false,
            planted: Planted::default(),
        }
    }

    /// Updates the state by one input.
    pub fn handle(&mut self, input: DispatchInput) {
        match input {
            DispatchInput::Want { host, leases } => self.want(host, leases),
            DispatchInput::Begun(host) => self.begun(&host),
            DispatchInput::Passivated(host) => self.passivated(&host),
            DispatchInput::Ready { hosts, asked } => {
                self.store_has_more = hosts.len() >= asked;
                hosts.into_iter().for_each(|host| self.has_work(host));
            }
            DispatchInput::Intake(level) => {
                if self.level == IntakeLevel::Full {
                    self.live_then = self.live;
                }
                self.level = level;
            }
            DispatchInput::Stop => self.stopped = true,
        }
    }

    /// Records that a host gets an errand, and makes the host live if it is not. The host's actor then asks
    /// for leases.
    pub fn errand(&mut self, host: &Host) -> Waking {
        match self.hosts.get(host) {
            Some(HostPlace::Live(live)) if live.starting => Waking::Starts,
            Some(HostPlace::Live(_)) => Waking::No,
            Some(HostPlace::Ready(_)) | None => {
                self.come_alive(host.clone(), LiveHost::default());
                Waking::Starts
            }
        }
    }

    /// Returns for how many hosts that are not live to ask the store: at most as many as could become live next. The
    /// number is limited, since a resumed crawl may have millions of hosts, and no input is handled during a turn.
    #[must_use]
    pub fn room(&self) -> usize {
        (self.limits.hosts_max as usize).min(READY_MAX).saturating_sub(self.ready())
    }

    /// Returns the wants to pass to the store now, in this order. Pass the store's answer to each of them to
    /// [`answer`](Self::answer).
    pub fn lease(&mut self, counts: StoreCounts) -> Vec<Want> {
        self.filtered = false;
        if self.hands_out_nothing() {
            return Vec::new();
        }
        // Leases take memory. If many are not settled yet, each host gets only a few at a time, so that no
        // host has to wait for the leases of another.
        let is_tight = counts.out >= OUT_MANY || self.level > IntakeLevel::Full;
        let (first, each_max) = if is_tight { (FEW_LEASES, FEW_LEASES) } else { (FIRST_LEASES, u32::MAX) };
        self.start_hosts(first);
        let wants = self.serve(self.allowance(counts), each_max);
        if !self.planted.is_sabotaged() {
            debug_assert_eq!(self.check_plan(&wants, counts), Ok(()));
        }
        wants
    }

    /// Records the store's answer to a want from [`lease`](Self::lease). Returns whether the host's actor starts
    /// with this answer.
    pub fn answer(&mut self, want: Want, answer: WantAnswer) -> Waking {
        let Want { host, n } = want;
        let Some(HostPlace::Live(live)) = self.hosts.get_mut(&host) else { return Waking::No };
        match answer {
            WantAnswer::Leases => {
                if std::mem::take(&mut live.starting) {
                    return Waking::Starts;
                }
            }
            // The host's actor does not run, so the host is removed. The store reports the host again when it
            // has work.
            WantAnswer::Nothing if live.starting => {
                self.newcomers -= usize::from(live.is_new);
                self.live -= 1;
                self.hosts.remove(&host);
            }
            WantAnswer::Nothing => live.room = Some(u32::try_from(n).unwrap_or(u32::MAX)),
            WantAnswer::Filtered => {
                live.room = Some(u32::try_from(n).unwrap_or(u32::MAX));
                self.filtered = true;
                self.queue(host);
            }
        }
        Waking::No
    }

    /// Whether another turn should follow at once, before any further input.
    #[must_use]
    pub fn has_more(&self) -> bool {
        // If the hosts that were just started had nothing to do, no input may come from them, so the next
        // hosts are started without waiting for an input.
        let may_start = !self.hands_out_nothing() && self.ready() > 0 && self.may_start();
        may_start || self.filtered || (self.store_has_more && self.room() > 0)
    }

    /// Whether dispatch was stopped, so that nothing more is leased.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the page limit is reached and no open lease could become a page.
    #[must_use]
    pub fn is_at_its_limit(&self, counts: StoreCounts) -> bool {
        counts.out == 0 && self.limits.pages_max.is_some_and(|max| counts.pages >= max)
    }

    /// Whether a host is live or being started.
    #[must_use]
    pub fn is_live(&self, host: &Host) -> bool {
        matches!(self.hosts.get(host), Some(HostPlace::Live(_)))
    }

    /// Returns how many hosts are live or being started.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live
    }

    /// Returns how many hosts have work and are not live.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.hosts.len() - self.live
    }

    /// Checks the invariants that the state alone can show. The cost grows with the number of hosts.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), SchedulingViolation> {
        use SchedulingInvariant::{S3, S5};
        let is_ready = |host: &Host, number| self.hosts.get(host) == Some(&HostPlace::Ready(number));
        let in_line = self.ready.iter().filter(|(number, host)| is_ready(host, *number)).count();
        let live = self.hosts.values().filter(|place| matches!(place, HostPlace::Live(_))).count();
        ensure(live == self.live, S3, || format!("{} live hosts are counted as {}", live, self.live))?;
        let is_new = |place: &&HostPlace| matches!(place, HostPlace::Live(live) if live.is_new);
        let (new, counted) = (self.hosts.values().filter(is_new).count(), self.newcomers);
        ensure(new == counted, S3, || format!("{new} newcomers are counted as {counted}"))?;
        ensure(in_line == self.ready(), S3, || format!("{in_line} places for {} hosts", self.ready()))?;
        let waits = self.hosts.iter().filter_map(|(host, place)| match place {
            HostPlace::Live(LiveHost { number: Some(number), .. }) => Some((*number, host)),
            HostPlace::Live(_) | HostPlace::Ready(_) => None,
        });
        for (number, host) in waits {
            ensure(self.turn.holds(number, host), S5, || format!("{host} has lost its turn"))?;
        }
        ensure(self.turn.is_in_order(), S5, || "the turn is out of order".to_owned())
    }

    fn want(&mut self, host: Host, leases: u32) {
        match self.hosts.get_mut(&host) {
            Some(HostPlace::Live(live)) => {
                live.starting = false;
                live.room = Some(leases);
            }
            // The message that the host's actor has stopped arrived before this want. If the host gets leases
            // now, its actor may have to be started, and then needs the memo.
            Some(HostPlace::Ready(_)) | None => {
                let live = LiveHost { room: Some(leases), starting: true, ..LiveHost::default() };
                self.come_alive(host.clone(), live);
            }
        }
        self.queue(host);
    }

    fn begun(&mut self, host: &Host) {
        if let Some(HostPlace::Live(live)) = self.hosts.get_mut(host) {
            self.newcomers -= usize::from(std::mem::take(&mut live.is_new));
        }
    }

    fn passivated(&mut self, host: &Host) {
        if let Some(HostPlace::Live(live)) = self.hosts.get(host) {
            self.newcomers -= usize::from(live.is_new);
            self.live -= 1;
            self.hosts.remove(host);
        }
    }

    /// Records that a host has due work, as the store reports.
    fn has_work(&mut self, host: Host) {
        match self.hosts.get(&host) {
            Some(HostPlace::Live(_)) if self.planted.has(Bug::ReadyWhileLive) => {
                self.passivated(&host);
                self.become_ready(host);
            }
            Some(HostPlace::Live(_)) => self.queue(host),
            // The host is in the queue already.
            Some(HostPlace::Ready(_)) => {}
            None => self.become_ready(host),
        }
    }

    fn become_ready(&mut self, host: Host) {
        let number = self.ready.push(host.clone());
        self.hosts.insert(host, HostPlace::Ready(number));
        let hosts = &self.hosts;
        let is_ready = |number, host: &Host| hosts.get(host) == Some(&HostPlace::Ready(number));
        self.ready.tidy(hosts.len() - self.live, is_ready);
    }

    fn come_alive(&mut self, host: Host, live: LiveHost) {
        self.hosts.insert(host, HostPlace::Live(live));
        self.live += 1;
    }

    /// Gives a live host a place in the turn, unless the host has a place already.
    fn queue(&mut self, host: Host) {
        let Some(HostPlace::Live(live)) = self.hosts.get_mut(&host) else { return };
        if live.number.is_some() {
            return;
        }
        live.number = Some(self.turn.push(host));
        let hosts = &self.hosts;
        self.turn.tidy(self.live, |number, host| has_turn(hosts, number, host));
    }

    /// Makes ready hosts live, oldest first, until a limit is reached. Each of them wants `first` leases.
    fn start_hosts(&mut self, first: u32) {
        while self.may_start() {
            let Some((number, host)) = self.ready.pop() else { break };
            if self.hosts.get(&host) == Some(&HostPlace::Ready(number)) {
                let live = LiveHost { room: Some(first), starting: true, is_new: true, number: None };
                self.come_alive(host.clone(), live);
                self.newcomers += 1;
                self.queue(host);
            }
        }
    }

    /// Returns the wants of this turn that the page limit allows, with at most `each_max` leases each. The
    /// hosts that are not served keep their places for the next turn.
    fn serve(&mut self, mut allowance: u64, each_max: u32) -> Vec<Want> {
        // Near the page limit, each host gets at most an equal share. Otherwise a held host could keep the
        // last leases that the limit allows, although other hosts could fetch pages with them.
        let share = (allowance / (self.turn.len().max(1) as u64)).max(1);
        let mut wants = Vec::with_capacity(self.turn.len());
        let mut turn = self.turn.take();
        if self.planted.has(Bug::LatestFirst) {
            turn.reverse();
        }
        for (number, host) in turn {
            let Some(HostPlace::Live(live)) = self.hosts.get_mut(&host) else { continue };
            if live.number != Some(number) {
                continue;
            }
            let Some(room) = live.room else {
                live.number = None;
                continue;
            };
            let n = allowance.min(share).min(u64::from(room.min(each_max)));
            if n == 0 {
                self.turn.keep(number, host);
                continue;
            }
            allowance -= n;
            (live.number, live.room) = (None, None);
            wants.push(Want { host, n: usize::try_from(n).unwrap_or(usize::MAX) });
        }
        wants
    }

    /// Returns how many more leases the page limit allows. Each open lease may become a page, so it counts as
    /// a page.
    fn allowance(&self, counts: StoreCounts) -> u64 {
        let Some(max) = self.limits.pages_max else { return u64::MAX };
        let off_by = u64::from(self.planted.has(Bug::OneMorePage));
        max.saturating_sub(counts.pages).saturating_sub(counts.out) + off_by
    }

    fn hands_out_nothing(&self) -> bool {
        self.stopped || self.level == IntakeLevel::Paused
    }

    /// Whether one more host may be started.
    fn may_start(&self) -> bool {
        self.live < self.live_max() && self.newcomers < self.limits.newcomers_max as usize
    }

    /// Returns how many hosts may be live. If the intake level is below full, this is at most the number of
    /// hosts that were live when the level left full, and it shrinks as memory gets nearer to its limit. A
    /// few hosts are always allowed, since the live hosts may all be held.
    fn live_max(&self) -> usize {
        let max = self.limits.hosts_max as usize;
        match self.level {
            IntakeLevel::Full => max,
            level => {
                let then = u32::try_from(self.live_then).unwrap_or(u32::MAX);
                max.min((level.of(then) as usize).max(FEW_HOSTS))
            }
        }
    }

    /// Checks the wants of a turn against the page limit, in debug builds. If there are many hosts, no other
    /// check is made.
    fn check_plan(&self, wants: &[Want], counts: StoreCounts) -> Result<(), SchedulingViolation> {
        let allowed = self.allowance(counts);
        let planned: u64 = wants.iter().map(|want| want.n as u64).sum();
        ensure(planned <= allowed, SchedulingInvariant::S2, || format!("{planned} of {allowed}"))?;
        if self.hosts.len() <= CHECKED_MAX { self.check() } else { Ok(()) }
    }

    /// Plants a bug, which the witness must find.
    #[cfg(feature = "sabotage")]
    pub fn sabotage(&mut self, bug: Bug) {
        self.planted = Planted(Some(bug));
    }
}

fn has_turn(hosts: &HashMap<Host, HostPlace>, number: TurnNumber, host: &Host) -> bool {
    matches!(hosts.get(host), Some(HostPlace::Live(live)) if live.number == Some(number))
}

/// The most hosts with work that are taken from the store before they become live.
const READY_MAX: usize = 1_024;
/// How many leases a host gets when it is started. The host itself asks for more.
const FIRST_LEASES: u32 = 16;
/// From this many unsettled leases on, each host gets only a few leases at a time.
const OUT_MANY: u64 = 32_768;
const FEW_LEASES: u32 = 2;
/// How many hosts may always be live, however little memory is left.
const FEW_HOSTS: usize = 64;
/// The most hosts with which debug builds check every host in each turn. With more hosts, only the wants are
/// checked.
const CHECKED_MAX: usize = 256;
