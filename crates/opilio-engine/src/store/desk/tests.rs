//! The desk by itself: what it takes from the store, and what it hands out.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, Context, Handler};
use opilio_core::{Fingerprint, Priority, Record, RecordKind, Scheme, Score};
use opilio_frontier::{Admission, MemoryFrontier};
use tokio::task::LocalSet;

use super::*;
use crate::message::Work;

/// A scheduler that writes down what it is told, and shards that hear nothing.
struct Ear(Rc<RefCell<Vec<FromStore>>>);

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<FromStore> for Ear {
    type Result = ();

    fn handle(&mut self, news: FromStore, _: &mut Self::Context) {
        self.0.borrow_mut().push(news);
    }
}

impl Handler<Settled> for Ear {
    type Result = ();

    fn handle(&mut self, _: Settled, _: &mut Self::Context) {}
}

/// A desk over an empty store, whose turns a test takes.
struct Rig {
    desk: Desk,
    heard: Rc<RefCell<Vec<FromStore>>>,
}

impl Rig {
    fn new(hosts_max: u32) -> Self {
        let heard = Rc::default();
        let ear = Ear(Rc::clone(&heard)).start();
        let (exporter, _) = mpsc::channel(1);
        let (_, written) = mpsc::channel(1);
        let (_, closed_hosts) = mpsc::channel(1);
        let desk = Desk::new(DeskSetup {
            frontier: Box::new(MemoryFrontier::new()),
            exporter,
            written,
            scheduler: ear.clone().recipient(),
            shards: vec![ear.recipient()],
            closed_hosts,
            hurry: Arc::default(),
            clock: Clock::begin(),
            pages_max: None,
            hosts_max,
            queued: None,
            cookies: None,
            shapes: HashSet::new(),
            before: Totals::default(),
            syncing: Syncing::AtTheEnd,
        });
        Self { desk, heard }
    }

    async fn turn(&mut self, mut messages: Vec<ToStore>) {
        self.desk.take(&mut messages).await.unwrap();
        self.desk.lease().await.unwrap();
        // The ear is another task.
        tokio::time::sleep(GATHER).await;
    }

    /// What was handed out since the last call.
    fn work(&self) -> Vec<Work> {
        let heard = std::mem::take(&mut *self.heard.borrow_mut());
        let assigns = heard.into_iter().filter_map(|news| match news {
            FromStore::Leased(assign) => Some(assign.work),
            _ => None,
        });
        assigns.flatten().collect()
    }
}

fn seed(url: &str) -> Admission {
    let url = url::Url::parse(url).unwrap();
    Admission::Queue(Record {
        url: url.as_str().into(),
        fingerprint: Fingerprint::of(&url),
        host: Host::of(&url).unwrap(),
        scheme: Scheme::Http,
        depth: 0,
        priority: Priority(0),
        score: Score::default(),
        attempts: Default::default(),
        kind: RecordKind::Discovered,
        validators: None,
        extra: Bytes::new(),
    })
}

fn seeds(hosts: usize) -> Vec<ToStore> {
    vec![ToStore::Seeds((0..hosts).map(|n| seed(&format!("http://h{n}.example/"))).collect())]
}

fn in_virtual_time(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn hosts_come_from_the_store_some_at_a_time_and_all_of_them_come() {
    in_virtual_time(async {
        let mut rig = Rig::new(100_000);
        rig.turn(seeds(3_000)).await;
        assert_eq!((rig.desk.dispatch.live(), rig.desk.has_more()), (1_024, true));
        rig.turn(Vec::new()).await;
        rig.turn(Vec::new()).await;
        assert_eq!((rig.desk.dispatch.live(), rig.desk.has_more()), (3_000, false));
    });
}

#[test]
fn hosts_that_cannot_be_live_soon_stay_with_the_store() {
    in_virtual_time(async {
        let mut rig = Rig::new(2);
        rig.turn(seeds(3_000)).await;
        assert!(rig.desk.has_more(), "two are live, and two could be next");
        rig.turn(Vec::new()).await;
        assert_eq!((rig.desk.dispatch.live(), rig.desk.dispatch.ready(), rig.desk.has_more()), (2, 2, false));
        // One of the two goes, the next comes.
        let host = rig.work().swap_remove(0).host;
        let passive = Passivated { host, memory: Bytes::new(), stamp: Stamp(1) };
        rig.turn(vec![ToStore::Unwant(passive)]).await;
        assert_eq!((rig.desk.dispatch.live(), rig.work().len()), (2, 1));
    });
}

#[test]
fn a_want_that_came_after_its_hosts_passivation_wakes_it_with_its_memory() {
    in_virtual_time(async {
        let mut rig = Rig::new(2);
        let admission = seed("http://a.example/");
        let Admission::Queue(Record { host, .. }) = &admission else { panic!("it is in scope") };
        let memory = Bytes::from_static(b"held");
        let passive = Passivated { host: host.clone(), memory: memory.clone(), stamp: Stamp(1) };
        let late = ToStore::Want { host: host.clone(), leases: 4 };
        rig.turn(vec![ToStore::Unwant(passive), late, ToStore::Seeds(vec![admission])]).await;
        let work = rig.work();
        assert_eq!((work.len(), work[0].leases.len(), &work[0].memory), (1, 1, &Some(memory)));
    });
}
