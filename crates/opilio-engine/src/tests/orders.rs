//! Tests of snapshots of a running crawl, and of orders for one of its hosts.

use std::sync::mpsc;

use opilio_core::{Host, Outcome};
use opilio_fetch::FetchRequest;
use tokio::sync::oneshot;

use super::robots::times_of;
use super::*;
use crate::crawler::Handle;
use crate::message::{Asker, Errand, FetchFacts, HostOrder, OrderKind, ToScheduler};
use crate::supervisor::Command;
use crate::{OrderAnswer, PartSnapshot};

pub(super) fn host(name: &str) -> Host {
    Host::of(&url::Url::parse(&format!("http://{name}/")).unwrap()).unwrap()
}

/// Crawls twenty pages of each host, as [`watch`] does.
fn watched<F>(
    hosts: &[&str],
    live: u32,
    asked: impl FnOnce(Handle) -> F,
) -> (CrawlReport, Vec<(Duration, String)>, F::Output)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let spider = List(hosts.iter().flat_map(|host| urls(host, 20)).collect());
    watch(crawler(spider).live_hosts(live).transport(web(|_, _, _| page())), asked)
}

/// Runs a crawl. The future that `asked` returns runs at the same time as the crawl, in the same virtual time.
pub(super) fn watch<F>(
    crawler: Crawler<List>,
    asked: impl FnOnce(Handle) -> F,
) -> (CrawlReport, Vec<(Duration, String)>, F::Output)
where
    F: Future + 'static,
    F::Output: 'static,
{
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    ARRIVALS.with(|arrivals| arrivals.borrow_mut().clear());
    let (tell, told) = oneshot::channel();
    let report = LocalSet::new().block_on(&runtime, async move {
        let give = |handle| {
            let asked = asked(handle);
            tokio::task::spawn_local(async move {
                let _ = tell.send(asked.await);
            });
        };
        crawler.run_here_with(give).await.unwrap()
    });
    assert!(report.balances());
    (report, ARRIVALS.with(|arrivals| arrivals.borrow().clone()), told.blocking_recv().unwrap())
}

/// Returns how many pages of a host arrived between these two seconds of the crawl.
fn between(arrivals: &[(Duration, String)], host: &str, from: u64, until: u64) -> usize {
    let is_there = |(at, url): &&(Duration, String)| {
        (Duration::from_secs(from)..Duration::from_secs(until)).contains(at) && url.contains(host)
    };
    arrivals.iter().filter(is_there).count()
}

#[test]
fn every_actor_tells_where_it_stands() {
    let (_, _, snapshot) = watched(&["a.example", "b.example"], 100, async |handle: Handle| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        handle.snapshot().await.unwrap()
    });
    assert_eq!(snapshot.missing, [""; 0]);
    let words: serde_json::Value = serde_json::to_value(&snapshot).unwrap();
    let part = |name: &str| {
        let parts = words["parts"].as_array().unwrap().iter();
        parts.filter_map(|part| part.get(name)).next().unwrap_or_else(|| panic!("no {name} in {words}"))
    };
    assert_eq!(part("supervisor")["phase"], "running");
    assert_eq!((&part("scheduler")["admitted"], &part("scheduler")["live"]), (&40.into(), &2.into()));
    assert!(part("pool")["slots"].as_u64() > Some(0) && part("runner")["pages_waiting"].is_u64());
    assert_eq!(part("exporter")["sinks"].as_array().map(Vec::len), Some(0));
    let hosts = part("shard")["hosts"].as_array().unwrap();
    assert_eq!(hosts.len(), 2);
    assert_eq!((&hosts[0]["host"], &hosts[0]["wakes_in"][1]), (&"a.example".into(), &"Budget".into()));
}

#[test]
fn an_actor_that_is_busy_counts_as_missing() {
    struct Busy(std::sync::Mutex<mpsc::Receiver<()>>);
    impl Spider for Busy {
        type Item = ();
        type Step = ();

        fn seeds(&self) -> Vec<Request<()>> {
            vec![Request::get("http://a.example/", ())]
        }

        fn parse(&self, _: &Page<()>, _: &mut Found<Self>) -> Result<(), ParseError> {
            let _ = self.0.lock().unwrap().recv();
            Ok(())
        }
    }
    let (go_on, wait) = mpsc::channel();
    let (parsing, begun) = mpsc::channel();
    let transport = move || {
        let parsing = parsing.clone();
        Rc::new(ScriptedTransport::new(move |_: Instant, _: &TransportRequest| {
            let _ = parsing.send(());
            page()
        })) as Rc<dyn Transport>
    };
    let crawler = Crawler::new(Busy(wait.into())).addresses(AddressPolicy::allow_all()).no_robots();
    let crawl = crawler.shards(1).transport(transport).start().unwrap();
    begun.recv().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let missing = runtime.block_on(async {
        loop {
            let snapshot = crawl.handle().snapshot().await.unwrap();
            if !snapshot.missing.is_empty() {
                assert!(snapshot.parts.iter().any(|part| matches!(part, PartSnapshot::Scheduler { .. })));
                break snapshot.missing;
            }
        }
    });
    assert_eq!(missing, ["shard 0", "fetcher pool 0", "spider runner 0"]);
    go_on.send(()).unwrap();
    assert_eq!(runtime.block_on(crawl).unwrap().pages, 1);
}

#[test]
fn a_host_is_held_on_order_and_no_other_even_when_its_actor_dies() {
    crate::host::die_once_at(Duration::from_secs(20));
    let (report, arrivals, answer) = watched(&["a.example", "b.example"], 100, async |handle: Handle| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let hold = Duration::from_secs(60);
        // It is not known which of the two hosts has the actor that panics.
        let a = handle.hold(&host("a.example"), hold).await;
        (a, handle.hold(&host("b.example"), hold).await)
    });
    assert!(crate::host::has_died());
    assert_eq!(answer, (Some(OrderAnswer::Obeyed), Some(OrderAnswer::Obeyed)));
    assert_eq!(report.pages, 40);
    for host in ["a.example", "b.example"] {
        assert_eq!(between(&arrivals, host, 4, 63), 0);
        assert_eq!(between(&arrivals, host, 0, 4) + between(&arrivals, host, 63, 80), 20);
    }
    let (_, arrivals, shown) = watched(&["a.example", "b.example"], 100, async |handle: Handle| {
        handle.hold(&host("a.example"), Duration::from_secs(60)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        handle.snapshot().await.unwrap()
    });
    let hosts = shown.parts.into_iter().find_map(|part| match part {
        PartSnapshot::Shard { hosts, .. } => Some(hosts),
        _ => None,
    });
    assert_eq!(hosts.unwrap()[0].hold_reason.as_deref(), Some("Ordered"));
    assert_eq!((between(&arrivals, "a.example", 1, 60), between(&arrivals, "b.example", 0, 12)), (0, 20));
}

#[test]
fn an_order_stands_for_a_host_that_is_not_live_and_holds_it_when_it_wakes() {
    let (report, arrivals, answers) = watched(&["a.example", "b.example"], 1, async |handle: Handle| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let first = handle.hold(&host("a.example"), Duration::from_secs(1)).await;
        let second = handle.hold(&host("b.example"), Duration::from_secs(600)).await;
        [first, second]
    });
    let live = answers.iter().filter(|answer| **answer == Some(OrderAnswer::Obeyed)).count();
    assert_eq!((live, report.pages), (1, 40), "{answers:?}");
    // One of the two hosts was not live.
    let standing = answers.iter().position(|answer| *answer == Some(OrderAnswer::Standing)).unwrap();
    if standing == 1 {
        assert_eq!(between(&arrivals, "b.example", 0, 603), 0);
    } else {
        assert_eq!(between(&arrivals, "b.example", 4, 603), 0);
    }
}

/// Gives an order to a host three seconds after the start of the crawl.
pub(super) async fn order(handle: Handle, what: OrderKind) -> OrderAnswer {
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (reply, answer) = oneshot::channel();
    let order = HostOrder { host: host("a.example"), what, reply: Some(reply) };
    handle.commands.send(Command::Tell(ToScheduler::Order(order))).await.ok().unwrap();
    answer.await.unwrap()
}

#[test]
fn a_host_that_is_told_to_leave_gives_its_leases_back_with_its_memo() {
    let (report, arrivals, answer) = watched(&["a.example"], 100, |handle| order(handle, OrderKind::Leave));
    assert_eq!((answer, report.pages, arrivals.len()), (OrderAnswer::Obeyed, 20, 20));
    // The host's saved state (memo) contains the time of its last request. So the requests are half a second apart
    // even there.
    for pair in arrivals.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= Duration::from_millis(500), "{pair:?}");
    }
}

#[test]
fn a_host_that_is_lost_is_dropped_and_its_pages_are_leased_again() {
    let (report, arrivals, answer) = watched(&["a.example"], 100, |handle| order(handle, OrderKind::Lose));
    assert_eq!((answer, report.pages), (OrderAnswer::Obeyed, 20));
    // The request that was in flight when the host was dropped is sent again.
    assert!((20..=21).contains(&arrivals.len()), "{}", arrivals.len());
}

/// Sends a request on behalf of a caller. The limits of the requested host apply.
pub(super) async fn errand(handle: &Handle, url: &str) -> oneshot::Receiver<FetchFacts> {
    let url = url::Url::parse(url).unwrap();
    let (reply, answer) = oneshot::channel();
    let (host, request) = (Host::of(&url).unwrap(), FetchRequest::get(url));
    let errand = Errand { host, request, asker: Asker::Caller(reply) };
    handle.commands.send(Command::Tell(ToScheduler::Errand(Box::new(errand)))).await.ok().unwrap();
    answer
}

#[test]
fn an_errand_waits_while_its_host_is_held_and_spends_its_budget() {
    let (report, arrivals, facts) = watched(&["a.example"], 100, async |handle: Handle| {
        tokio::time::sleep(Duration::from_millis(3_100)).await;
        handle.hold(&host("a.example"), Duration::from_secs(60)).await;
        let answers =
            [errand(&handle, "http://a.example/form").await, errand(&handle, "http://a.example/form").await];
        let mut facts = Vec::new();
        for answer in answers {
            facts.push(answer.await.unwrap());
        }
        facts
    });
    assert_eq!(report.pages, 20, "an errand is no page");
    for FetchFacts { outcome, headers, body, .. } in facts {
        assert_eq!(outcome, Outcome::Answered(200));
        assert!(!headers.is_empty() && !body.is_empty());
    }
    let forms = times_of(&arrivals, "/form");
    assert_eq!(forms.len(), 2, "each asker has a fetch of its own: {arrivals:?}");
    assert!(forms[0] >= Duration::from_secs(63), "{forms:?}");
    let times: Vec<_> = arrivals.iter().map(|(at, _)| *at).collect();
    let spacing = times[1] - times[0];
    let after: Vec<_> = times.into_iter().filter(|at| *at > Duration::from_secs(63)).collect();
    assert!(
        after.windows(2).all(|pair| pair[1] - pair[0] >= spacing - Duration::from_millis(3)),
        "{after:?}"
    );
}

#[test]
fn an_errand_wakes_a_host_that_the_crawl_does_not_know() {
    let (report, arrivals, facts) = watched(&["a.example"], 100, async |handle: Handle| {
        errand(&handle, "http://other.example/x").await.await.unwrap()
    });
    assert_eq!((report.pages, facts.outcome), (20, Outcome::Answered(200)));
    assert_eq!(times_of(&arrivals, "//other.example/x").len(), 1);
}
