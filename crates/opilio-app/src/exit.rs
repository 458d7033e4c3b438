//! How the command ends, and what it says on stderr: one line for what went wrong.

use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::signal::Signal;

/// How a command ended that could do its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// All is well.
    Done,
    /// Finished, with errors that the command is about.
    Errors,
    /// Stopped gently by a signal.
    Stopped(Signal),
}

impl Exit {
    /// The exit code of the process.
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

/// Why a command could not do its work.
#[derive(Debug)]
pub enum Failure {
    /// A usage error: the user has to change something.
    Usage(anyhow::Error),
    /// Something failed on the way.
    Run(anyhow::Error),
    /// The arguments mean nothing, or ask for help.
    Arguments(clap::Error),
}

impl Failure {
    /// A usage failure from any error.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    /// Any other failure from any error.
    pub fn run(error: impl Into<anyhow::Error>) -> Self {
        Self::Run(error.into())
    }

    /// Says what went wrong, in one line, and tells the exit code.
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

    /// The same, for the end of `main`.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        self.tell().into()
    }
}

/// Prints help and version as clap means them; puts a usage error on one line.
pub fn of_clap(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone needs no help.
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

/// A line for people. That nobody may be listening is no reason to fail.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// One line of what may be several: paragraphs are parted by `;`. Control characters are escaped,
/// since what is quoted may come from a file, and a terminal may obey them.
fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    let joined = paragraphs.map(|lines| lines.join(" ")).collect::<Vec<_>>().join("; ");
    joined.chars().fold(String::with_capacity(joined.len()), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

const ERRORS: u8 = 1;
const USAGE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_fits_on_one_line() {
        assert_eq!(one_line("error: a\n  b\n\n  tip: c\n"), "error: a b; tip: c");
        assert_eq!(one_line("seed \u{1b}[2J"), "seed \\u{1b}[2J");
    }
}
