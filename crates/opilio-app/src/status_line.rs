//! The last line of the terminal, which shows the progress of a crawl, while other lines are printed above it.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use terminal_size::{Width, terminal_size_of};

/// A line on stderr that is replaced again and again. Clones share the line. Nothing is shown before the first text.
#[derive(Clone, Debug, Default)]
pub struct StatusLine {
    /// The text on the terminal; empty if there is none.
    shown: Arc<Mutex<String>>,
    /// The text before each log line; usually empty.
    log_prefix: Arc<Mutex<String>>,
}

impl StatusLine {
    /// Replaces the line by this text, which is cut to the width of the terminal.
    pub(crate) fn show(&self, text: &str) {
        let width = terminal_size_of(std::io::stderr()).map_or(WIDTH, |(Width(width), _)| width);
        // A character in the last column would move the cursor to the next line.
        let text: String = text.chars().take(usize::from(width).saturating_sub(1)).collect();
        let mut shown = self.lock();
        put(&replacing(&shown, &text));
        *shown = text;
    }

    /// Removes the line from the terminal.
    pub(crate) fn clear(&self) {
        let mut shown = self.lock();
        put(&erasing(&shown));
        shown.clear();
    }

    /// Calls a function that writes to the terminal, and hides the line meanwhile.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        let shown = self.lock();
        put(&erasing(&shown));
        let result = write();
        put(&shown);
        result
    }

    /// Sets the text that begins each log line from now on.
    pub(crate) fn begin_logs_with(&self, prefix: impl Into<String>) {
        *self.log_prefix.lock().unwrap_or_else(PoisonError::into_inner) = prefix.into();
    }

    pub(crate) fn log_prefix(&self) -> String {
        self.log_prefix.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what has to be written to replace a text by another one. Spaces overwrite the rest of a longer text: not all
/// terminals know an escape sequence for that.
fn replacing(shown: &str, text: &str) -> String {
    let rest = shown.chars().count().saturating_sub(text.chars().count());
    // The cursor returns to the end of the text.
    format!("\r{text}{}{}", " ".repeat(rest), "\u{8}".repeat(rest))
}

/// Returns what has to be written to remove a text.
fn erasing(shown: &str) -> String {
    match shown.chars().count() {
        0 => String::new(),
        count => format!("\r{}\r", " ".repeat(count)),
    }
}

fn put(text: &str) {
    // If the terminal is gone, nobody sees the progress, and the crawl goes on.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The width of a terminal that does not tell its width.
const WIDTH: u16 = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_text_is_overwritten_to_its_end() {
        assert_eq!(replacing("", "1 page"), "\r1 page");
        assert_eq!(replacing("10 pages", "9 left"), "\r9 left  \u{8}\u{8}");
        assert_eq!((erasing("9 ━"), erasing("")), ("\r   \r".to_owned(), String::new()));
    }
}
