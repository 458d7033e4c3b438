//! Shows the progress of the crawl: as a bar on a terminal, otherwise as a line every few seconds.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use opilio_engine::Progress;

use crate::exit::say;
use crate::logs::PageErrors;
use crate::status_line::StatusLine;
use crate::summary::plural;
use crate::unit::{show_bytes, show_duration};

/// The display of a running crawl, on stderr.
#[derive(Debug)]
pub struct Display {
    bar: StatusLine,
    how: ProgressForm,
    began: Instant,
    /// The time at which the last line was printed, counted from the start of the crawl.
    last_line: Mutex<Duration>,
    pace: Mutex<PageRate>,
    /// Where the errors of pages are told.
    pub(crate) page_errors: PageErrors,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ProgressForm {
    Bar,
    Lines,
    /// No progress is shown, since the pages themselves go to the terminal. The summary is printed.
    EndOnly,
    Quiet,
}

impl Display {
    /// Makes a display. `data_on_terminal` says that pages go to the terminal, where a bar would disturb them.
    pub fn new(quiet: bool, data_on_terminal: bool) -> Self {
        let how = match (quiet, data_on_terminal, std::io::stderr().is_terminal()) {
            (true, _, _) => ProgressForm::Quiet,
            (_, true, _) => ProgressForm::EndOnly,
            (_, _, true) => ProgressForm::Bar,
            (_, _, false) => ProgressForm::Lines,
        };
        let (bar, began) = (StatusLine::default(), Instant::now());
        Self {
            bar,
            how,
            began,
            last_line: Mutex::new(Duration::ZERO),
            pace: Mutex::default(),
            page_errors: PageErrors::InSummary,
        }
    }

    /// Returns the bar, for other code that writes to stderr and has to hide it meanwhile.
    pub fn bar(&self) -> StatusLine {
        self.bar.clone()
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        if self.how != ProgressForm::Quiet {
            self.bar.suspend(|| say(line));
        }
    }

    /// Shows the progress. The call is cheap enough to be made several times a second.
    pub fn show(&self, progress: &Progress) {
        let pace = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.look(progress);
            pace.words(progress)
        };
        match self.how {
            ProgressForm::Bar => {
                let (ended, goal) = (ended(progress), goal(progress));
                let (clock, bar) = (clock(self.began.elapsed()), bar(ended, goal));
                self.bar.show(&format!("{clock} {bar} {ended}/{goal} URLs, {pace}{}", message(progress)));
            }
            ProgressForm::Lines => {
                let mut last = self.last_line.lock().unwrap_or_else(PoisonError::into_inner);
                if progress.elapsed >= *last + LINE_EVERY {
                    *last = progress.elapsed;
                    say(&format!("{}: {pace}{}", show_duration(progress.elapsed), line(progress)));
                }
            }
            ProgressForm::EndOnly | ProgressForm::Quiet => {}
        }
    }

    /// Removes the bar from the terminal.
    pub fn end(&self) {
        self.bar.clear();
    }
}

fn ended(progress: &Progress) -> u64 {
    progress.pages + progress.sitemaps + progress.aliases + progress.failures
}

/// Returns how many URLs will have ended when the crawl is over, as far as that is known now. The number may still
/// grow with new links, and `--max-pages` may end the crawl earlier.
fn goal(progress: &Progress) -> u64 {
    let most = progress.pages_max.map(|max| max.saturating_add(ended(progress) - progress.pages));
    most.map_or(progress.admitted, |most| progress.admitted.min(most))
}

/// The rate of pages over the last half minute.
#[derive(Debug, Default)]
struct PageRate {
    /// Observations at recent moments: the time, the number of pages, and the number of all URLs that had ended.
    looks: VecDeque<(Duration, u64, u64)>,
}

impl PageRate {
    fn look(&mut self, progress: &Progress) {
        let now = progress.elapsed;
        if self.looks.back().is_none_or(|(last, ..)| now >= *last + LOOK_EVERY) {
            self.looks.push_back((now, progress.pages, ended(progress)));
        }
        while self.looks.len() > 2 && self.looks[1].0 + LATELY <= now {
            self.looks.pop_front();
        }
    }

    /// Returns a text such as `12.3 pages/s, about 2 min 5 s left, `, or an empty text while the rate is unknown.
    fn words(&self, progress: &Progress) -> String {
        let Some((since, pages, before)) = self.looks.front() else { return String::new() };
        let secs = progress.elapsed.saturating_sub(*since).as_secs_f64();
        if secs < 1.0 {
            return String::new();
        }
        let pages = progress.pages.saturating_sub(*pages) as f64 / secs;
        let ended_per_sec = ended(progress).saturating_sub(*before) as f64 / secs;
        let left = goal(progress).saturating_sub(ended(progress)) as f64;
        let text = format!("{pages:.1} pages/s, ");
        match left / ended_per_sec {
            secs if secs.is_finite() && secs < LEFT_MAX_SECS => {
                format!("{text}about {} left, ", show_duration(Duration::from_secs(secs.round() as u64)))
            }
            _ => text,
        }
    }
}

/// Returns a time as hours, minutes and seconds: `01:02:03`.
fn clock(span: Duration) -> String {
    let secs = span.as_secs();
    format!("{:02}:{:02}:{:02}", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// Draws a bar whose length is the share of `ended` in `goal`.
fn bar(ended: u64, goal: u64) -> String {
    // A bar of length 0 would look full.
    let share = ended as f64 / goal.max(1) as f64;
    let full = ((share * BAR_CHARS as f64) as usize).min(BAR_CHARS);
    let tip = if share > 0.0 && full < BAR_CHARS { "╸" } else { "" };
    format!("{:BAR_CHARS$}", format!("{}{tip}", "━".repeat(full)))
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
    let mut hosts = plural(progress.hosts.into(), "host", "hosts");
    if progress.held > 0 {
        hosts += &format!(" ({} held)", progress.held);
    }
    format!(
        "{}{}, {}, {} left, {} in flight{}, {hosts}, {}",
        if progress.sitemaps > 0 { format!("{} sitemaps, ", progress.sitemaps) } else { String::new() },
        plural(progress.pages, "page", "pages"),
        plural(progress.failures, "failure", "failures"),
        progress.left,
        progress.in_flight,
        slowed(progress),
        show_bytes(progress.bytes)
    )
}

/// The length of the bar, in characters.
const BAR_CHARS: usize = 30;
const LINE_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The length of the time over which the rate of pages is measured.
const LATELY: Duration = Duration::from_secs(30);
/// One year, in seconds. An estimate of the time left that is longer than this is not shown.
const LEFT_MAX_SECS: f64 = 365.0 * 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64, pages: u64, admitted: u64) -> Progress {
        let mut progress = Progress::default();
        (progress.elapsed, progress.pages, progress.admitted) = (Duration::from_secs(secs), pages, admitted);
        progress
    }

    #[test]
    fn a_line_counts_one_thing_as_one() {
        let mut one = at(1, 1, 2);
        (one.failures, one.hosts) = (1, 1);
        assert_eq!(line(&one), "1 page, 1 failure, 0 left, 0 in flight, 1 host, 0 B");
        let mut many = at(1, 5, 9);
        (many.hosts, many.held, many.sitemaps) = (3, 2, 2);
        assert_eq!(
            line(&many),
            "2 sitemaps, 5 pages, 0 failures, 0 left, 0 in flight, 3 hosts (2 held), 0 B"
        );
    }

    #[test]
    fn the_pace_is_that_of_the_last_while_and_an_estimate_follows_from_it() {
        let mut pace = PageRate::default();
        // The crawl is resumed: the pages of its earlier runs must not count for the rate.
        for secs in 100..=200 {
            let pages = 5_000 + (secs - 100) * if secs > 150 { 4 } else { 1 };
            pace.look(&at(secs, pages, 6_000));
        }
        let now = at(200, 5_400, 6_000);
        assert_eq!(pace.words(&now), "4.0 pages/s, about 2 min 30 s left, ");
        let mut limited = now;
        limited.pages_max = Some(5_480);
        assert_eq!(pace.words(&limited), "4.0 pages/s, about 20.0 s left, ");
        assert_eq!((goal(&now), goal(&limited)), (6_000, 5_480));
        assert_eq!(PageRate::default().words(&now), "");
        assert!(pace.looks.len() < 40);
    }

    #[test]
    fn the_bar_grows_from_nothing_to_its_full_length() {
        let bars = [(0, 0), (0, 9), (1, 60), (5, 10), (99, 100), (10, 10), (11, 10)]
            .map(|(ended, goal)| bar(ended, goal));
        assert!(bars.iter().all(|bar| bar.chars().count() == BAR_CHARS), "{bars:?}");
        let trimmed = bars.each_ref().map(|bar| (bar.matches('━').count(), bar.matches('╸').count()));
        assert_eq!(trimmed, [(0, 0), (0, 0), (0, 1), (15, 1), (29, 1), (30, 0), (30, 0)]);
        assert_eq!(clock(Duration::from_secs(90_061)), "25:01:01");
    }
}
