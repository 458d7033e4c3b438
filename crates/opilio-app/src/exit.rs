//! Exit codes, and the error line on stderr.

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::signal::Signal;

/// The exit status of a command that did its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// The command did its work, and the result contains no errors.
    Done,
    /// The command did its work, but the result contains errors.
    Errors,
    /// The command stopped in order because of this signal.
    Stopped(Signal),
}

impl Exit {
    /// Returns the exit code of the process.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Errors => ERRORS,
            Self::Stopped(signal) => signal.exit_code(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The reason why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// A usage error: the user has to correct a flag, a setting or a file.
    Usage(anyhow::Error),
    /// A failure that is not a usage error.
    Run(anyhow::Error),
    /// The arguments are wrong, or they ask for help or for the version.
    Arguments(clap::Error),
}

impl Failure {
    /// Makes a usage error from any error.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    /// Makes a failure that is not a usage error from any error.
    pub fn run(error: impl Into<anyhow::Error>) -> Self {
        Self::Run(error.into())
    }

    /// Prints the error in one line, and returns the exit code.
    #[must_use]
    pub fn tell(&self) -> u8 {
        let (error, code) = match self {
            Self::Usage(error) => (error, USAGE),
            Self::Run(error) => (error, ERRORS),
            Self::Arguments(error) => return of_clap(error),
        };
        say(&format!("error: {}", one_line(&format!("{error:#}"))));
        code
    }

    /// Prints the error in one line, and returns the process's exit code, for the end of `main`.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        self.tell().into()
    }
}

/// Prints the help or the version as clap does, and a usage error on one line. Returns the exit code.
pub fn of_clap(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Printing fails when the reader has closed the pipe. Then nobody reads the help, and the error can be
            // ignored.
            let _ = error.print();
            0
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            USAGE
        }
        _ => {
            let text = error.to_string();
            let end =
                ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
            say(&one_line(&text[..end.unwrap_or(text.len())]));
            USAGE
        }
    }
}

/// Prints a line on stderr. Ignores write errors, since stderr may be closed.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Joins the lines of a text into one line, with `;` between paragraphs, and makes it [`printable`].
pub(crate) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    let joined = paragraphs.map(|lines| lines.join(" ")).collect::<Vec<_>>().join("; ");
    printable(&joined)
}

/// Returns a line as it may be printed: shortened, and with control characters escaped. The line may quote a page or a
/// file, and a terminal would execute control characters in it.
pub(crate) fn printable(line: &str) -> String {
    let mut out = String::new();
    for (nth, c) in line.chars().enumerate() {
        if nth == LINE_CHARS_MAX {
            out.push('…');
            break;
        }
        // The named characters change the direction of writing.
        if c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The most characters of a line. Twenty fields that cannot be read are described in fewer.
const LINE_CHARS_MAX: usize = 8_000;
const ERRORS: u8 = 1;
const USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_fits_on_one_line() {
        assert_eq!(one_line("error: a\n  b\n\n  tip: c\n"), "error: a b; tip: c");
        assert_eq!(one_line("seed \u{1b}[2J\u{202e}"), "seed \\u{1b}[2J\\u{202e}");
        assert_eq!(printable("  a\nb"), "  a\\nb");
        assert_eq!(one_line(&"x".repeat(10_000)).chars().count(), LINE_CHARS_MAX + 1);
    }
}
