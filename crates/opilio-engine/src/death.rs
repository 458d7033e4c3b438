//! Tells the supervisor when an actor panics, so that it ends the crawl. Actix drops such an actor silently.
//!
//! Nothing is lost with it. The store knows which leases are out, and a resumed crawl goes on from there.

use crate::message::ActorDied;
use crate::outbox::Outbox;

/// A field of an actor. Dropped by a panic, it tells the supervisor whose actor it was.
pub(crate) struct DeathWatch {
    name: &'static str,
    tell: Outbox<ActorDied>,
}

impl DeathWatch {
    pub(crate) fn new(name: &'static str, tell: Outbox<ActorDied>) -> Self {
        Self { name, tell }
    }
}

impl Drop for DeathWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell.send(ActorDied { name: self.name });
        }
    }
}
