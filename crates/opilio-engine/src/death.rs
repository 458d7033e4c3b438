//! Tells the supervisor when an actor panics, so that the supervisor ends the crawl. Actix itself drops such an actor
//! silently.
//!
//! No URL is lost: the store knows which URLs are leased, and a resumed crawl requests them again.

use crate::message::ActorDied;
use crate::outbox::Outbox;

/// A field of an actor, which notices a panic of that actor: when the panic drops the actor and this field
/// with it, the actor's name is sent to the supervisor.
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
