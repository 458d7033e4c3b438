//! Tests of the scheduler alone: what it reads from the store, and what it sends to the shards.

use bytes::Bytes;
use opilio_core::scheduling::Stamp;
use opilio_core::{Ending, Fingerprint, Host, LeaseId, Record, Scheme};
use opilio_fetch::FetchRequest;
use opilio_frontier::{Admission, MemoryFrontier};

use opilio_spider::coverage::PageCoverage;
use opilio_spider::parsed::EncodedItems;
use opilio_spider::rules::RulesQuestion;

use super::*;
use crate::message::{Asker, AssignedErrand, Errand, ShardCounts, Work};

/// A scheduler with an empty store. The test decides when the scheduler takes a turn.
struct Rig {
    scheduler: Scheduler,
    now: Timestamp,
    turn: Turn,
}

impl Rig {
    fn new(hosts_max: u32) -> Self {
        Self::with(hosts_max, Syncing::AtTheEnd)
    }

    fn with(hosts_max: u32, syncing: Syncing) -> Self {
        let scheduler = Scheduler::new(SchedulerSetup {
            frontier: Box::new(MemoryFrontier::new()),
            shards: 1,
            clock: Clock::begin(None, std::time::SystemTime::UNIX_EPOCH),
            pages_max: None,
            hosts_max,
            newcomers_max: u32::MAX,
            queued: None,
            cookies: None,
            shapes: HashSet::new(),
            before: Totals::default(),
            coverage: CrawlCoverage::default(),
            syncing,
            sink_at_work: tokio::sync::watch::channel(None).1,
        });
        Self { scheduler, now: Timestamp::EPOCH, turn: Turn::default() }
    }

    /// Takes one turn, and returns its effects.
    fn turn(&mut self, messages: Vec<ToScheduler>) -> Vec<Effect> {
        self.turn.messages = messages;
        self.scheduler.handle(self.now, &mut self.turn).unwrap();
        self.scheduler.effects().collect()
    }

    /// Takes one turn, and returns the leases that it gave to hosts.
    fn work(&mut self, messages: Vec<ToScheduler>) -> Vec<Work> {
        let effects = self.turn(messages).into_iter();
        let work = effects.filter_map(|effect| match effect {
            Effect::Assign { assign, .. } => Some(assign.work),
            _ => None,
        });
        work.flatten().collect()
    }

    /// Removes and returns all rows that wait for the exporter, as the exporter would.
    fn take_rows(&mut self) -> Vec<RowBatch> {
        self.scheduler.rows().drain(..).collect()
    }

    /// Takes a turn after the sinks have written all batches up to this number. Returns the settled leases.
    fn write(&mut self, sequence: u64) -> Vec<LeaseId> {
        self.turn.written.push(Written { sequence, positions: Vec::new(), synced: false });
        let effects = self.turn(Vec::new()).into_iter();
        let settled = effects.filter_map(|effect| match effect {
            Effect::Settled { settled, .. } => Some(settled.0),
            _ => None,
        });
        settled.flatten().flat_map(|(_, leases)| leases).collect()
    }

    fn left(&self) -> u64 {
        self.scheduler.frontier.stats().left
    }
}

/// Returns the result of a lease: a page with one row.
fn page(work: &Work, lease: usize) -> ToScheduler {
    let (host, lease) = (work.host.clone(), &work.leases[lease]);
    let bare = Parsed::bare(host, lease.id, Ending::Page, lease.record.url.clone(), 1);
    let items = EncodedItems { count: 1, rows: vec![b"row".to_vec()] };
    let parsed = Parsed { items, coverage: heading(), ..bare };
    ToScheduler::Parsed { shard: 0, counts: ShardCounts::default(), parsed: Box::new(parsed) }
}

/// Returns the coverage of a page with a heading.
fn heading() -> PageCoverage {
    #[derive(opilio_extract::Extract)]
    struct Heading {
        #[css("h1")]
        #[expect(dead_code, reason = "only the counts matter")]
        text: String,
    }
    let url = url::Url::parse("http://a.example/").unwrap();
    let document = opilio_extract::Document::new(url, Some("text/html"), "<h1>a</h1>".into());
    PageCoverage::during(|| drop(document.extract::<Heading>())).1
}

/// Queues this many pages of one host, and leases as many of them as the host may hold at once.
fn leased(rig: &mut Rig, pages: usize) -> Work {
    let urls = (0..pages).map(|n| seed(&format!("http://a.example/{n}"))).collect();
    let mut work = rig.work(vec![ToScheduler::Seeds(urls), ToScheduler::Seeded]).swap_remove(0);
    let want = ToScheduler::Credit { host: work.host.clone(), leases: u32::try_from(pages).unwrap() };
    work.leases.extend(rig.work(vec![want]).into_iter().flat_map(|more| more.leases));
    work
}

fn seed(url: &str) -> Admission {
    let url = url::Url::parse(url).unwrap();
    Admission::Queue(Record::new(url.as_str(), Fingerprint::of(&url), Host::of(&url).unwrap(), Scheme::Http))
}

fn seeds(hosts: usize) -> Vec<ToScheduler> {
    vec![ToScheduler::Seeds((0..hosts).map(|n| seed(&format!("http://h{n}.example/"))).collect())]
}

#[test]
fn hosts_come_from_the_store_some_at_a_time_and_all_of_them_come() {
    let mut rig = Rig::new(100_000);
    rig.turn(seeds(3_000));
    assert_eq!((rig.scheduler.dispatch.live(), rig.scheduler.has_more()), (1_024, true));
    rig.turn(Vec::new());
    rig.turn(Vec::new());
    assert_eq!((rig.scheduler.dispatch.live(), rig.scheduler.has_more()), (3_000, false));
}

#[test]
fn hosts_that_cannot_be_live_soon_stay_with_the_store() {
    let mut rig = Rig::new(2);
    let host = rig.work(seeds(3_000)).swap_remove(0).host;
    assert!(rig.scheduler.has_more(), "two are live, and two could be next");
    rig.turn(Vec::new());
    let dispatch = &rig.scheduler.dispatch;
    assert_eq!((dispatch.live(), dispatch.ready(), rig.scheduler.has_more()), (2, 2, false));
    // One of the two live hosts becomes passive, and the next becomes live.
    let passive = Passivated { host, memo: Bytes::new(), stamp: Stamp(1) };
    let work = rig.work(vec![ToScheduler::Passivated(passive)]);
    assert_eq!((rig.scheduler.dispatch.live(), work.len()), (2, 1));
}

#[test]
fn a_live_host_gets_its_new_urls_at_once_however_many_hosts_wait() {
    let mut rig = Rig::new(2);
    let host = rig.work(seeds(3_000)).swap_remove(0).host;
    while rig.scheduler.has_more() {
        rig.turn(Vec::new());
    }
    let more = || ToScheduler::Seeds(vec![seed("http://h0.example/more"), seed("http://h2000.example/more")]);
    assert!(rig.work(vec![ToScheduler::Credit { host: host.clone(), leases: 8 }]).is_empty());
    let work = rig.work(vec![more()]);
    assert_eq!((work.len(), &work[0].host, work[0].leases.len()), (1, &host, 1));
    // A host that is passive waits in line.
    rig.turn(vec![ToScheduler::Credit { host: host.clone(), leases: 8 }]);
    let again = ToScheduler::Seeds(vec![seed("http://h0.example/again")]);
    let passive = Passivated { host: host.clone(), memo: Bytes::new(), stamp: Stamp(1) };
    let work = rig.work(vec![ToScheduler::Passivated(passive), again]);
    assert!(work.iter().all(|work| work.host != host) && work.len() == 1);
}

#[test]
fn a_want_that_came_after_its_hosts_passivation_wakes_it_with_its_memo() {
    let mut rig = Rig::new(2);
    let admission = seed("http://a.example/");
    let Admission::Queue(Record { host, .. }) = &admission else { panic!("it is in scope") };
    let memo = Bytes::from_static(b"held");
    let passive = Passivated { host: host.clone(), memo: memo.clone(), stamp: Stamp(1) };
    let late = ToScheduler::Credit { host: host.clone(), leases: 4 };
    let work = rig.work(vec![ToScheduler::Passivated(passive), late, ToScheduler::Seeds(vec![admission])]);
    assert_eq!((work.len(), work[0].leases.len(), &work[0].memo), (1, 1, &Some(memo)));
}

#[test]
fn an_errand_wakes_its_host_with_its_memo_once() {
    let mut rig = Rig::new(2);
    let host = Host::of(&url::Url::parse("http://a.example/").unwrap()).unwrap();
    let passive = Passivated { host: host.clone(), memo: Bytes::from_static(b"held"), stamp: Stamp(7) };
    let effects = rig.turn(vec![ToScheduler::Passivated(passive)]);
    let kept = |effect: &Effect| match effect {
        Effect::Assign { assign, .. } => assign.kept.clone(),
        _ => Vec::new(),
    };
    assert_eq!(effects.iter().flat_map(kept).collect::<Vec<_>>(), [(host.clone(), Stamp(7))]);
    assert_eq!(rig.scheduler.frontier.host_memo(&host).unwrap().as_deref(), Some(&b"held"[..]));
    let question = || RulesQuestion { host: host.clone(), scheme: Scheme::Http, number: 0 };
    let request = || FetchRequest::get(url::Url::parse("http://a.example/robots.txt").unwrap());
    let errand = || {
        let asker = Asker::Rules(question());
        ToScheduler::Errand(Box::new(Errand { host: host.clone(), request: request(), asker }))
    };
    let errands = rig.turn(vec![errand(), errand()]).into_iter().filter_map(|effect| match effect {
        Effect::Assign { assign, .. } => Some(assign.errands),
        _ => None,
    });
    let memos: Vec<_> = errands.flatten().map(|AssignedErrand { memo, .. }| memo.is_some()).collect();
    assert_eq!(memos, [true, false]);
}

#[test]
fn a_page_is_settled_once_its_rows_are_written_and_a_second_report_of_it_is_dropped() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 2);
    rig.turn(vec![page(&work, 0), page(&work, 0)]);
    let mut rows = rig.take_rows();
    rig.turn(vec![page(&work, 1), page(&work, 0)]);
    rows.extend(rig.take_rows());
    let rows: Vec<_> = rows.into_iter().map(|rows| (rows.sequence, rows.rows)).collect();
    assert_eq!(rows, [(1, vec![b"row".to_vec()]), (2, vec![b"row".to_vec()])]);
    assert_eq!(rig.left(), 2);
    assert_eq!(rig.write(1), [work.leases[0].id]);
    assert_eq!((rig.left(), rig.write(2)), (1, vec![work.leases[1].id]));
    assert_eq!(rig.left(), 0);
}

#[test]
fn the_coverage_of_a_page_is_kept_with_the_commit_that_settles_it() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 2);
    rig.turn(vec![page(&work, 0), page(&work, 0), page(&work, 1)]);
    rig.take_rows();
    let kept = |rig: &Rig| {
        let coverage = CrawlCoverage::read(&*rig.scheduler.frontier).unwrap();
        coverage.fields().get("Heading.text").map(|counts| counts.filled)
    };
    // A commit for another reason comes while the rows are not written.
    rig.turn.memos.push(ClosedHost { host: work.host.clone(), memo: Bytes::from_static(b"closed") });
    rig.turn(Vec::new());
    assert_eq!((kept(&rig), rig.left()), (None, 2));
    rig.write(1);
    assert_eq!((kept(&rig), rig.left()), (Some(2), 0));
}

#[test]
fn while_the_sinks_are_behind_nothing_is_taken_on_and_a_host_that_closes_is_kept_all_the_same() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 130);
    rig.turn((0..128).map(|n| page(&work, n)).collect());
    rig.take_rows();
    assert!(!rig.scheduler.takes_on() && !rig.scheduler.has_more());
    rig.turn.memos.push(ClosedHost { host: work.host.clone(), memo: Bytes::from_static(b"closed") });
    assert!(rig.turn(Vec::new()).is_empty());
    assert_eq!(rig.scheduler.frontier.host_memo(&work.host).unwrap().as_deref(), Some(&b"closed"[..]));
    rig.write(1);
    assert!(rig.scheduler.takes_on());
}

#[test]
fn rows_that_the_exporter_has_no_room_for_wait_and_nothing_is_taken_on_meanwhile() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 1);
    rig.turn(vec![page(&work, 0)]);
    assert!(!rig.scheduler.takes_on());
    assert_eq!(rig.take_rows().len(), 1);
    assert!(rig.scheduler.takes_on());
}

#[test]
fn a_sink_that_takes_nothing_holds_up_the_end_for_its_time_and_no_longer() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 140);
    rig.turn((0..128).map(|n| page(&work, n)).collect());
    assert!(rig.scheduler.may_hurry());
    rig.turn.hurry = true;
    rig.turn(Vec::new());
    rig.now = rig.scheduler.wake_at().unwrap();
    rig.turn(Vec::new());
    assert!(rig.scheduler.takes_on(), "what is told at the end is heard");
    rig.turn(vec![page(&work, 130), last(), close()]);
    assert!(rig.scheduler.is_closed() && rig.take_rows().is_empty());
    assert_eq!(rig.left(), 140);
}

#[test]
fn a_run_that_closes_settles_what_is_written_and_ends_with_the_exporter() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 2);
    rig.turn(vec![page(&work, 0), page(&work, 1), last(), close()]);
    assert!(rig.scheduler.is_closing() && !rig.scheduler.is_closed() && !rig.scheduler.takes_on());
    assert_eq!((rig.take_rows().len(), rig.write(1).len()), (1, 2));
    assert!(!rig.scheduler.is_closed(), "the disk is waited for");
    rig.turn.exporter_ended = true;
    rig.turn(Vec::new());
    assert!(rig.scheduler.is_closed());
    let outcome = rig.scheduler.outcome(rig.now).unwrap();
    assert_eq!((outcome.stats.pages, outcome.totals.items), (2, 2));
    assert!(outcome.totals.finished_unix_ms.is_none(), "it is in the note, for the next run");
}

#[test]
fn an_orderly_end_waits_for_a_sink_however_long_it_takes_and_says_so() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 2);
    rig.turn(vec![page(&work, 0), page(&work, 1), last(), close()]);
    for _ in 0..1_000 {
        rig.now = rig.scheduler.wake_at().unwrap();
        let effects = rig.turn(Vec::new());
        assert!(matches!(&effects[..], [Effect::TryTell(FromScheduler::SinkIsLate)]), "{effects:?}");
    }
    assert!(rig.now >= Timestamp::from_secs(3_600) && !rig.scheduler.is_closed());
    assert_eq!((rig.take_rows().len(), rig.write(1).len()), (1, 2));
    rig.now = rig.scheduler.wake_at().unwrap();
    rig.turn(Vec::new());
    assert!(!rig.scheduler.is_closed(), "its disk is waited for, too");
    rig.turn.exporter_ended = true;
    rig.turn(Vec::new());
    let outcome = rig.scheduler.outcome(rig.now).unwrap();
    assert_eq!((outcome.stats.pages, outcome.unwritten), (2, None));
}

#[test]
fn an_end_that_is_hurried_waits_a_while_and_says_what_was_not_written() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 2);
    rig.turn(vec![page(&work, 0), page(&work, 1), last(), close()]);
    assert!(rig.scheduler.may_hurry());
    rig.turn.hurry = true;
    rig.turn(Vec::new());
    assert!(!rig.scheduler.is_closed() && !rig.scheduler.may_hurry());
    rig.now = rig.scheduler.wake_at().unwrap();
    rig.turn(Vec::new());
    let outcome = rig.scheduler.outcome(rig.now).unwrap();
    let unwritten = outcome.unwritten.unwrap();
    assert_eq!((unwritten.pages, unwritten.bytes, outcome.stats.left), (2, 6, 2));
}

#[test]
fn the_scheduler_is_told_once_that_nothing_is_left() {
    let mut rig = Rig::new(2);
    let work = leased(&mut rig, 1);
    rig.turn(vec![page(&work, 0)]);
    rig.take_rows();
    let is_over = |effect: &Effect| matches!(effect, Effect::Tell(FromScheduler::Over(Stopped::Finished)));
    rig.turn.written.push(Written { sequence: 1, positions: Vec::new(), synced: false });
    assert_eq!(rig.turn(Vec::new()).iter().filter(|effect| is_over(effect)).count(), 1);
    assert_eq!(rig.turn(Vec::new()).iter().filter(|effect| is_over(effect)).count(), 0);
}

#[test]
fn what_is_committed_is_synced_when_it_is_due() {
    let span = std::time::Duration::from_secs(1);
    let mut rig = Rig::with(2, Syncing::Every(span));
    leased(&mut rig, 1);
    assert_eq!(rig.scheduler.wake_at(), Some(rig.now + span));
    rig.now += span;
    rig.turn(Vec::new());
    let rows: Vec<_> = rig.take_rows().into_iter().map(|rows| (rows.sequence, rows.sync)).collect();
    assert_eq!((rows, rig.scheduler.wake_at()), (vec![(1, true)], None));
}

#[test]
fn a_run_closes_after_the_last_message_of_each_shard_so_that_no_memo_is_lost() {
    let mut rig = Rig::new(2);
    let host = rig.work(seeds(1)).swap_remove(0).host;
    // The supervisor's order to close arrives before the last messages of the shard.
    rig.turn(vec![close()]);
    assert!(!rig.scheduler.is_closing());
    let memo = Bytes::from_static(b"held");
    let passive = Passivated { host: host.clone(), memo: memo.clone(), stamp: Stamp(1) };
    rig.turn(vec![ToScheduler::Passivated(passive), last()]);
    assert!(rig.scheduler.is_closing());
    assert_eq!(rig.scheduler.frontier.host_memo(&host).unwrap(), Some(memo));
}

/// Returns the message by which the only shard says that it has drained.
fn last() -> ToScheduler {
    ToScheduler::Drained { shard: 0 }
}

fn close() -> ToScheduler {
    ToScheduler::Close { counts: None, drained: true }
}
