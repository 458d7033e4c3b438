//! Parses arguments of the form `--name value`, for the processes that the benchmark starts.

use std::str::FromStr;

use anyhow::{Context, Result, anyhow};

/// The arguments of a process, and how many of them were read.
pub(crate) struct Args<'a> {
    rest: std::slice::Iter<'a, String>,
    name: &'a str,
}

impl<'a> Args<'a> {
    /// Creates a reader that begins at the first argument.
    pub(crate) fn new(args: &'a [String]) -> Self {
        Self { rest: args.iter(), name: "" }
    }

    /// Reads the name of the next argument.
    pub(crate) fn name(&mut self) -> Option<&'a str> {
        self.name = self.rest.next()?;
        Some(self.name)
    }

    /// Reads the value of the argument whose name was read last.
    ///
    /// # Errors
    /// When there is no further argument.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let value = self.rest.next().with_context(|| format!("{} needs a value", self.name))?;
        Ok(value)
    }

    /// Reads the value of the argument whose name was read last, and parses it as a `T`, for example a number.
    ///
    /// # Errors
    /// When there is no further argument, or when its text cannot be parsed.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T> {
        let name = self.name;
        let text = self.text()?;
        text.parse().map_err(|error| anyhow!("{name} {text}: {error}"))
    }
}
