//! Where the crawl stands: a bar on a terminal, a line every few seconds elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use opilio::Progress;

use crate::exit::say;
use crate::unit::{show_bytes, show_duration};

/// What people see of a running crawl, on stderr.
#[derive(Debug)]
pub(crate) struct Display {
    bar: ProgressBar,
    how: How,
    /// When the last line was printed, since the crawl began.
    last_line: Mutex<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Bar,
    Lines,
    /// The pages themselves go to the terminal, so that they are the progress; the end is told.
    EndOnly,
    Quiet,
}

impl Display {
    /// `data_on_terminal` says that pages are printed where a bar would be.
    pub(crate) fn new(quiet: bool, data_on_terminal: bool) -> Self {
        let how = match (quiet, data_on_terminal, std::io::stderr().is_terminal()) {
            (true, _, _) => How::Quiet,
            (_, true, _) => How::EndOnly,
            (_, _, true) => How::Bar,
            (_, _, false) => How::Lines,
        };
        let bar = if how == How::Bar { bar() } else { ProgressBar::hidden() };
        Self { bar, how, last_line: Mutex::new(Duration::ZERO) }
    }

    /// The bar, for whoever else writes to stderr.
    pub(crate) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// A line for people, above the bar.
    pub(crate) fn say(&self, line: &str) {
        if self.how != How::Quiet {
            self.bar.suspend(|| say(line));
        }
    }

    /// Shows where the crawl stands; cheap enough to be called several times a second.
    pub(crate) fn show(&self, progress: &Progress) {
        match self.how {
            How::Bar => {
                // A bar of nothing would be drawn full.
                self.bar.set_length(progress.admitted.max(1));
                self.bar.set_position(progress.pages + progress.aliases + progress.failures);
                self.bar.set_message(message(progress));
            }
            How::Lines => {
                let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
                if progress.elapsed >= *last + LINE_EVERY {
                    *last = progress.elapsed;
                    say(&format!("{}: {}", show_duration(progress.elapsed), line(progress)));
                }
            }
            How::EndOnly | How::Quiet => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    // The template is checked by a test: an unreadable one would leave the default style.
    if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
        bar.set_style(style.progress_chars("━╸ "));
    }
    bar
}

fn message(progress: &Progress) -> String {
    let mut text = format!("{} in flight{}", progress.in_flight, slowed(progress));
    if progress.failures > 0 {
        text += &format!(", {} failed", progress.failures);
    }
    if progress.held > 0 {
        text += &format!(", {} of {} hosts held", progress.held, progress.hosts);
    }
    text
}

fn slowed(progress: &Progress) -> &'static str {
    if progress.slowed { " (slowed by --memory-limit)" } else { "" }
}

fn line(progress: &Progress) -> String {
    format!(
        "{} pages, {} failures, {} left, {} in flight{}, {} {} ({} held), {}",
        progress.pages,
        progress.failures,
        progress.left,
        progress.in_flight,
        slowed(progress),
        progress.hosts,
        if progress.hosts == 1 { "host" } else { "hosts" },
        progress.held,
        show_bytes(progress.bytes)
    )
}

const TEMPLATE: &str = "{elapsed_precise} {bar:30} {pos}/{len} URLs, {wide_msg}";
const LINE_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_has_a_style() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
