//! Keeps the log lines of the database, except warnings and errors, out of the user's log while the database is
//! opened.
//!
//! The database logs about twenty lines at `INFO` about its parts, but a user expects only the lines of the crawl.
//! The filter applies only to the thread that opens the database, and changes no global state.

use tracing::span::{Attributes, Id, Record};
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher, subscriber};

/// Runs `work`. Of the lines that `work` logs on this thread, only warnings and errors reach the subscriber.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let outer = dispatcher::get_default(Dispatch::clone);
    subscriber::with_default(Warnings(outer), work)
}

/// A tracing subscriber that passes only warnings and errors on to the subscriber in the field.
struct Warnings(Dispatch);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && self.0.enabled(metadata)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_subscriber_hears_warnings_meanwhile_and_all_afterwards() {
        let log = Log::default();
        let writer = log.clone();
        let user = tracing_subscriber::fmt().with_writer(move || writer.clone()).without_time().finish();
        subscriber::with_default(user, || {
            quietly(|| {
                tracing::info!("a part");
                tracing::warn!("a fault");
            });
            tracing::info!("the crawl");
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(text.contains("a fault") && text.contains("the crawl") && !text.contains("a part"), "{text}");
    }
}
