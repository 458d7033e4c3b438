//! The host actor, which passes messages to and from [`opilio_core::host::HostState`]. The state decides what is to
//! be done, and the actor does it.

mod actor;
mod errands;
mod events;
mod fetching;
mod progress;
mod reports;
mod rules;

pub(crate) use actor::{HostActor, HostParts};
pub(crate) use errands::{HostErrands, admit, answer};
pub(crate) use progress::HostProgress;
#[cfg(test)]
pub(crate) use rules::judged;
pub(crate) use rules::{RulesNews, refuse, take_in};

#[cfg(test)]
pub(crate) use chaos::{die_once_at, has_died};

/// Lets a test make a host actor panic, to check that its host continues.
#[cfg(test)]
mod chaos {
    use std::cell::Cell;
    use std::time::Duration;

    thread_local! {
        static AT: Cell<Option<Duration>> = const { Cell::new(None) };
        static DIED: Cell<bool> = const { Cell::new(false) };
    }

    /// Makes the next host actor that is started on this thread panic once it has run for this long.
    pub(crate) fn die_once_at(age: Duration) {
        AT.set(Some(age));
        DIED.set(false);
    }

    pub(crate) fn has_died() -> bool {
        DIED.get()
    }

    pub(super) fn due() -> Option<Duration> {
        AT.take()
    }

    pub(super) fn die() {
        DIED.set(true);
        panic!("as asked by a test");
    }
}
