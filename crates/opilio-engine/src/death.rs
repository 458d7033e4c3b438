//! Tells the supervisor when an actor panics, so that it ends the crawl. Actix itself drops such an actor without a word.
//!
//! No URL is lost. The store knows which leases are out, and a resumed crawl continues with them.

use crate::message::ActorDied;
use crate::outbox::Outbox;

/// A field of an actor. When a panic drops the actor, the supervisor gets the actor's name.
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
