//! The shard actor owns the table of its live hosts and the state of each of them. So a host whose actor panics
//! keeps its hold (time without requests) and its strikes (closings in a row).

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context, Handler, MessageResult, Recipient, SpawnHandle};
use opilio_core::host::{Admitted, HostMemo, HostState, Input};
use opilio_core::{Ending, Hints, Host, Lease, LeaseId, PerScheme, Scheme, Timestamp};
use opilio_fetch::Fetcher;
use opilio_spider::parsed::Parsed;
use opilio_spider::rules::{self, RulesTable, Unjudged};
use opilio_spider::{HostStatus, memo};

use super::asleep::SleepingHosts;
use super::cached::{self, Missing};
use crate::context::ShardContext;
use crate::death::DeathWatch;
use crate::host::{HostActor, HostParts, RulesNews, admit, answer, refuse, take_in};
use crate::message::{
    AskSnapshot, Assign, AssignedErrand, Deliver, Drain, Drained, Errand, ErrandResult, FetchFacts, Gone,
    HOSTS_LISTED, HostGone, HostOrder, OrderAnswer, OrderKind, PartSnapshot, Passivated, Settled,
    ShardCounts, ShardReport, Stamp, StopHost, ToScheduler, Wake, Work,
};
use crate::outbox::Outbox;
use crate::prepared;

/// The arguments with which a shard is started.
pub(crate) struct ShardSetup {
    pub(crate) context: Box<dyn FnOnce(Outbox<HostGone>) -> ShardContext>,
    pub(crate) drained: Recipient<Drained>,
    pub(crate) reports: Recipient<ShardReport>,
    pub(crate) death: DeathWatch,
}

pub(crate) struct Shard {
    cx: Rc<ShardContext>,
    /// The live hosts that have an actor.
    live: HashMap<Host, Live>,
    /// The live hosts that only wait, without an actor.
    asleep: SleepingHosts,
    /// The timer of the hosts that sleep: when it fires, and its handle.
    timer: Option<(Timestamp, SpawnHandle)>,
    /// Passive hosts whose saved states are not yet in the store. If leases for such a host are already on their
    /// way to the shard, they make the host live again.
    leaving: HashMap<Host, Leaving>,
    stamp: Stamp,
    draining: bool,
    drained_said: bool,
    drained: Outbox<Drained>,
    reports: Recipient<ShardReport>,
    _death: DeathWatch,
}

struct Live {
    actor: Addr<HostActor>,
    kept: Rc<HostParts>,
    /// The number of batches of this host's leases that are being looked up in the cache now. The host stays live
    /// until this is 0.
    looked_up: u32,
    /// Whether the host's actor went passive during a look-up in the cache. The actor is started again after the
    /// look-up.
    resting: bool,
}

/// A passive host. The shard keeps it until its saved state (memo) is in the store.
struct Leaving {
    memo: HostMemo,
    rules: RulesTable,
    stamp: Stamp,
}

impl Shard {
    /// Starts a shard on this thread.
    pub(crate) fn start(setup: ShardSetup) -> Addr<Self> {
        Self::create(|ctx| {
            ctx.set_mailbox_capacity(MAILBOX);
            let gone = Outbox::new(ctx.address().recipient());
            Self {
                cx: Rc::new((setup.context)(gone)),
                live: HashMap::new(),
                asleep: SleepingHosts::default(),
                timer: None,
                leaving: HashMap::new(),
                stamp: Stamp::default(),
                draining: false,
                drained_said: false,
                drained: Outbox::new(setup.drained),
                reports: setup.reports,
                _death: setup.death,
            }
        })
    }

    /// Returns a live host. If the host is not live, makes it live, with its saved state: the one that this shard
    /// still keeps, or else `memo`, which comes from the store.
    fn host(&mut self, host: &Host, memo: Option<&[u8]>) -> &Live {
        self.wake(host);
        let (cx, leaving, draining) = (&self.cx, &mut self.leaving, self.draining);
        self.live.entry(host.clone()).or_insert_with(|| {
            let (memo, rules) = match leaving.remove(host) {
                Some(Leaving { memo, rules, .. }) => (Some(memo), rules),
                None => recall(cx, host, memo),
            };
            let mut state = awaken(cx, host, memo);
            if draining {
                state.handle(cx.clock.now(), Input::Drain);
            }
            Live::start(cx, host, Rc::new(HostParts::new(state, rules)), false)
        })
    }

    /// Gives an errand to its host, which is live already.
    fn take_errand(&mut self, errand: Errand) {
        let Some(live) = self.live.get(&errand.host) else { return };
        let host = errand.host.clone();
        let admitted = admit(&mut live.kept.errands.borrow_mut(), errand);
        match admitted {
            Admitted::New(lease) => self.tell(&host, Input::Assign(vec![*lease])),
            Admitted::Joined => {}
            Admitted::Full(asker) => answer(&self.cx.port, asker, FetchFacts::nothing()),
        }
    }

    /// Performs an order for a host.
    fn obey(&mut self, order: HostOrder) {
        if !self.wake(&order.host) {
            // The host has become passive in the meantime. The scheduler hears that the host is passive before it
            // gets this order back.
            return self.cx.port.send(ToScheduler::Order(order));
        }
        match order.what {
            OrderKind::Hold { until } => self.tell(&order.host, Input::Hold { until }),
            OrderKind::Leave => self.tell(&order.host, Input::Drain),
            OrderKind::Lose => self.lose(&order.host),
        }
        if let Some(reply) = order.reply {
            let _ = reply.send(OrderAnswer::Obeyed);
        }
    }

    /// Drops a live host without saving its state. The results of its fetches in flight are ignored.
    fn lose(&mut self, host: &Host) {
        let Some(live) = self.live.remove(host) else { return };
        let actor = live.actor.clone();
        actix::spawn(async move {
            let _ = actor.send(StopHost).await;
        });
        let (errands, leases): (Vec<_>, Vec<_>) =
            live.kept.state.borrow_mut().abandon().into_iter().partition(|lease| lease.id.is_errand());
        for errand in errands {
            for asker in live.kept.errands.borrow_mut().end(errand.id) {
                answer(&self.cx.port, asker, FetchFacts::nothing());
            }
        }
        self.give_back(host, leases);
        self.cx.port.send(ToScheduler::Lost { host: host.clone() });
        self.say_if_drained();
    }

    /// Gives leases back to the store, unchanged.
    fn give_back(&self, host: &Host, leases: Vec<Lease>) {
        for Lease { id, record } in leases {
            let attempts = record.attempts.requests;
            let parsed = Parsed::bare(host.clone(), id, Ending::Return, record.url, attempts);
            self.cx.port.give(self.cx.shard, parsed);
        }
    }

    /// Returns the shard's part of a snapshot of the crawl, which lists hosts of the shard.
    fn snapshot(&self) -> PartSnapshot {
        let now = self.cx.clock.now();
        let mut names: Vec<&Host> = self.live.keys().chain(self.asleep.names()).collect();
        names.sort_unstable();
        let hosts = names.into_iter().take(HOSTS_LISTED).filter_map(|name| match self.live.get(name) {
            Some(live) => Some(HostStatus::of(name, &*live.kept.state.try_borrow().ok()?, now)),
            None => Some(HostStatus::of(name, &self.asleep.state(&self.cx.settings, name)?, now)),
        });
        PartSnapshot::Shard {
            shard: self.cx.shard,
            hosts: hosts.collect(),
            live: self.live_hosts(),
            asleep: self.asleep.len(),
            leaving: self.leaving.len(),
        }
    }

    /// Sends the state of a host to the store. The shard keeps a copy until the store has saved the state.
    fn passivate(&mut self, host: Host, live: &Live) {
        let user_agent = &self.cx.settings.user_agent;
        let memo = live.kept.state.borrow().memo();
        let rules = live.kept.rules.replace(RulesTable::new(&host, user_agent.clone()));
        let bytes = memo::write(memo, rules.all(), user_agent);
        self.stamp = Stamp(self.stamp.0 + 1);
        let stamp = self.stamp;
        self.leaving.insert(host.clone(), Leaving { memo, rules, stamp });
        self.cx.port.send(ToScheduler::Passivated(Passivated { host, memo: bytes, stamp }));
    }

    /// Looks leases up in the cache. The host gets only those leases for which the cache has no answer.
    fn look_up(&mut self, ctx: &Context<Self>, cache: &Rc<Fetcher>, host: Host, leases: Vec<Lease>) {
        let Some(live) = self.live.get_mut(&host) else { return };
        live.looked_up += 1;
        let kept = live.kept.clone();
        let (cx, cache, shard) = (self.cx.clone(), cache.clone(), ctx.address());
        actix::spawn(async move {
            let leases = cached::missing(&cx, &cache, &host, &kept.prepared, leases).await;
            // The message is refused only when the crawl is over.
            let _ = shard.send(Missing { host, leases }).await;
        });
    }

    /// Gives a live host that sleeps an actor. Returns whether the host is live.
    fn wake(&mut self, host: &Host) -> bool {
        if let Some(parts) = self.asleep.wake(&self.cx.settings, host) {
            let live = Live::start(&self.cx, host, Rc::new(parts), false);
            let _ = live.actor.try_send(Wake);
            self.live.insert(host.clone(), live);
        }
        self.live.contains_key(host)
    }

    /// Lets a live host whose actor has stopped sleep. If the host has received an input since then, it gets a new
    /// actor instead.
    fn put_to_sleep(&mut self, ctx: &mut Context<Self>, host: Host) {
        let Some(live) = self.live.remove(&host) else { return };
        let until = live.kept.state.borrow().may_sleep_until();
        let Some(until) = until.filter(|_| live.looked_up == 0) else {
            let awake = Live { looked_up: live.looked_up, ..Live::start(&self.cx, &host, live.kept, false) };
            if awake.looked_up == 0 {
                let _ = awake.actor.try_send(Wake);
            }
            self.live.insert(host, awake);
            return;
        };
        self.asleep.insert(host, until, &live.kept);
        self.arm(ctx);
    }

    /// Sets the timer to the time at which the first host wakes.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        let Some(at) = self.asleep.next() else { return };
        if let Some((armed, handle)) = self.timer {
            if armed <= at {
                return;
            }
            ctx.cancel_future(handle);
        }
        let handle = ctx.run_later(at.since(self.cx.clock.now()), |shard, ctx| {
            shard.timer = None;
            shard.wake_due();
            shard.arm(ctx);
        });
        self.timer = Some((at, handle));
    }

    /// Wakes the hosts whose time has come, but not too many at once.
    fn wake_due(&mut self) {
        let now = self.cx.clock.now();
        for _ in 0..WOKEN_AT_ONCE {
            let Some(host) = self.asleep.due(now) else { break };
            self.wake(&host);
        }
    }

    /// If the shard drains, tells up to `n` hosts that sleep to drain. They become live one after another, so that they
    /// do not take the memory of as many actors.
    fn drain_asleep(&mut self, n: usize) {
        for _ in 0..n {
            let first = self.asleep.names().next().cloned();
            let Some(host) = first.filter(|_| self.draining) else { break };
            self.wake(&host);
            self.tell(&host, Input::Drain);
        }
    }

    /// Returns the number of live hosts, with those that sleep.
    fn live_hosts(&self) -> usize {
        self.live.len() + self.asleep.len()
    }

    /// Starts a new actor for a host whose actor has panicked.
    fn restart(&mut self, host: &Host) {
        tracing::error!(%host, "the actor of this host panicked and is started again with its state");
        self.revive(host);
    }

    /// Starts a new actor that uses the state of a live host.
    fn revive(&mut self, host: &Host) {
        let Some(live) = self.live.get_mut(host) else { return };
        let (kept, looked_up) = (live.kept.clone(), live.looked_up);
        *live = Live { looked_up, ..Live::start(&self.cx, host, kept, true) };
    }

    /// Reports that the shard has drained, once that is so. Reports it only once.
    fn say_if_drained(&mut self) {
        if self.draining && !self.drained_said && self.live_hosts() == 0 {
            self.drained_said = true;
            // The messages of the hosts are on the same queue, so the scheduler receives this message after them.
            self.cx.port.send(ToScheduler::Drained { shard: self.cx.shard });
            self.drained.send(Drained { shard: self.cx.shard, counts: self.counts() });
        }
    }

    fn counts(&self) -> ShardCounts {
        ShardCounts { hosts: count(self.live_hosts()), ..self.cx.counts.get() }
    }

    fn report(&self) {
        // If the mailbox is full, the report is dropped. The next report has newer values of the same counts.
        let _ = self.reports.try_send(ShardReport { shard: self.cx.shard, counts: self.counts() });
    }

    /// Gives an input to the state of a live host. The state outlives the host's actor, so no input is lost if the
    /// actor panics. If the actor is idle, it is told to take a step. If it has panicked, it is started again.
    fn tell(&mut self, host: &Host, input: Input) {
        let now = self.cx.clock.now();
        let Some(live) = self.live.get(host) else { return };
        {
            let mut state = live.kept.state.borrow_mut();
            let assigned: HashSet<LeaseId> = match &input {
                Input::Assign(leases) => leases.iter().map(|lease| lease.id).collect(),
                _ => HashSet::new(),
            };
            let unjudged = match &input {
                Input::Assign(_) => Some(Unjudged::Only(&assigned)),
                _ => None,
            };
            state.handle(now, input);
            for scheme in [Scheme::Http, Scheme::Https] {
                // Expired rules are not applied. They are fetched again first.
                if let Some(unjudged) = unjudged.filter(|_| state.knows_rules(scheme, now)) {
                    refuse(&live.kept.rules.borrow(), scheme, unjudged, &mut state, now);
                }
            }
        }
        let _ = live.actor.try_send(Wake);
    }
}

impl Live {
    fn start(cx: &Rc<ShardContext>, host: &Host, kept: Rc<HostParts>, restarted: bool) -> Self {
        let actor = HostActor::start(cx.clone(), host.clone(), kept.clone(), restarted);
        Self { actor, kept, looked_up: 0, resting: false }
    }
}

/// Returns whether a host has work, so that it needs an actor.
fn is_busy(state: &HostState) -> bool {
    let host = state.snapshot();
    host.ready + host.waiting + host.in_flight + host.parsed > 0
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Reads the saved state of a host (memo) from the bytes in the store, and the robots.txt rules in it.
fn recall(cx: &ShardContext, host: &Host, memo: Option<&[u8]>) -> (Option<HostMemo>, RulesTable) {
    let user_agent = &cx.settings.user_agent;
    let read = memo.and_then(|bytes| memo::read(bytes, user_agent));
    if memo.is_some() && read.is_none() {
        tracing::warn!(%host, "the saved state of this host cannot be read: the host is treated as a new one");
    }
    let (memo, rules) = read.map_or((None, PerScheme::default()), |(memo, rules)| (Some(memo), rules));
    (memo, RulesTable::restored(host, user_agent.clone(), rules))
}

/// Makes the state with which a host becomes live.
fn awaken(cx: &ShardContext, host: &Host, memo: Option<HostMemo>) -> HostState {
    let now = cx.clock.now();
    let policy = cx.settings.hosts.of(host).policy.clone();
    let limits = cx.settings.limits_of(&policy);
    let rules = cx.settings.rules;
    // Each host has its own random seed. So hosts that back off at the same moment do not all send requests again
    // at the same moment.
    let seed = cx.settings.seed ^ xxhash_rust::xxh3::xxh3_64(host.as_str().as_bytes()) ^ now.as_micros();
    let memo = memo.map(|memo| memo.clamped(now, policy.hold_max()));
    let memo = match cx.maybe_fetched_until {
        Some(until) => Some(memo.unwrap_or_default().after_kill(until)),
        None => memo,
    };
    match memo {
        Some(memo) => HostState::resume(policy, rules, limits, memo, seed, now),
        None => HostState::new(policy, rules, limits, seed, now),
    }
}

impl Actor for Shard {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(REPORT_EVERY, |shard, _| shard.report());
    }
}

impl Handler<Assign> for Shard {
    type Result = ();

    fn handle(&mut self, Assign { work, errands, orders, kept, decided }: Assign, ctx: &mut Self::Context) {
        self.cx.clock.fault("shard");
        let cache = self.cx.cache.clone().filter(|_| !self.draining);
        for Work { host, leases, memo } in work {
            self.host(&host, memo.as_deref());
            if let Some(cache) = &cache {
                self.look_up(ctx, cache, host, leases);
                continue;
            }
            self.tell(&host, Input::Assign(leases));
        }
        for AssignedErrand { errand, memo } in errands {
            self.host(&errand.host, memo.as_deref());
            self.take_errand(errand);
        }
        for order in orders {
            self.obey(order);
        }
        for one in decided {
            let prepared = prepared::read(&one.lease.record);
            self.cx.runner.send(Deliver::decided(one, prepared));
        }
        for (host, stamp) in kept {
            if self.leaving.get(&host).is_some_and(|leaving| leaving.stamp == stamp) {
                self.leaving.remove(&host);
            }
        }
    }
}

impl Handler<Missing> for Shard {
    type Result = ();

    fn handle(&mut self, Missing { host, leases }: Missing, _: &mut Self::Context) {
        if !self.wake(&host) {
            // The host was dropped by an order (`lose`) in the meantime.
            return self.give_back(&host, leases);
        }
        self.tell(&host, Input::Assign(leases));
        let Some(live) = self.live.get_mut(&host) else { return };
        live.looked_up = live.looked_up.saturating_sub(1);
        if std::mem::take(&mut live.resting) {
            self.revive(&host);
        }
    }
}

impl Handler<AskSnapshot> for Shard {
    type Result = MessageResult<AskSnapshot>;

    fn handle(&mut self, _: AskSnapshot, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.snapshot())
    }
}

impl Handler<Settled> for Shard {
    type Result = ();

    fn handle(&mut self, Settled(settled): Settled, _: &mut Self::Context) {
        for (host, leases) in settled {
            // A host that is not live holds none of the settled leases.
            if self.wake(&host) {
                self.tell(&host, Input::Settled(leases));
            }
        }
    }
}

impl Handler<ErrandResult> for Shard {
    type Result = ();

    fn handle(&mut self, ErrandResult { question, facts }: ErrandResult, _: &mut Self::Context) {
        // If the host that asked is passive now, it fetches robots.txt again when it becomes live.
        self.wake(&question.host);
        let Some(live) =
            self.live.get(&question.host).filter(|live| live.kept.rules.borrow().is_awaited(&question))
        else {
            return;
        };
        // This answer came from another host, so its headers do not say how long the host that asked has to wait.
        // The state of the host that asked decides about its waits.
        let hints = Hints::default();
        let policy = self.cx.settings.retry_of(&question.host);
        let proposal = policy.propose(&rules::ATTEMPT, facts.outcome, hints, 0.0);
        let news = RulesNews { scheme: question.scheme, facts: &facts, proposal, hints };
        take_in(&self.cx, &question.host, &live.kept.rules, &live.kept.state, &news);
        let _ = live.actor.try_send(Wake);
    }
}

impl Handler<HostGone> for Shard {
    type Result = ();

    fn handle(&mut self, HostGone { host, why }: HostGone, ctx: &mut Self::Context) {
        match why {
            Gone::Died => {
                // The actor is not started again at once. So even a host whose actor panics again and again leaves
                // time for the other hosts.
                ctx.run_later(RESTART_PAUSE, move |shard, _| shard.restart(&host));
            }
            Gone::Passive => {
                if let Some(live) = self.live.get_mut(&host).filter(|live| live.looked_up > 0) {
                    live.resting = true;
                    return;
                }
                // The state may have received another input after the actor decided to stop.
                if self.live.get(&host).is_some_and(|live| is_busy(&live.kept.state.borrow())) {
                    return self.revive(&host);
                }
                if let Some(live) = self.live.remove(&host) {
                    self.passivate(host, &live);
                }
                self.drain_asleep(1);
                self.say_if_drained();
            }
            Gone::Asleep => self.put_to_sleep(ctx, host),
        }
    }
}

impl Handler<Drain> for Shard {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
        let hosts: Vec<Host> = self.live.keys().cloned().collect();
        for host in hosts {
            self.tell(&host, Input::Drain);
        }
        self.drain_asleep(WOKEN_AT_ONCE);
        self.say_if_drained();
    }
}

/// The most messages that wait for a shard. Senders wait while the mailbox is full.
const MAILBOX: usize = 256;
/// The time between two messages with the shard's counts to the supervisor.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// The most hosts that are woken before other messages are handled.
const WOKEN_AT_ONCE: usize = 256;
/// The time between the panic of a host's actor and the start of a new actor for this host.
const RESTART_PAUSE: Duration = Duration::from_millis(100);
