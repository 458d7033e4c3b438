//! `--name value` arguments of the benchmark's processes.

use std::str::FromStr;

use anyhow::{Context, Result, anyhow};

/// Arguments, read from the front.
pub(crate) struct Args<'a> {
    rest: std::slice::Iter<'a, String>,
    name: &'a str,
}

impl<'a> Args<'a> {
    /// Reads these.
    pub(crate) fn new(args: &'a [String]) -> Self {
        Self { rest: args.iter(), name: "" }
    }

    /// The next argument's name.
    pub(crate) fn name(&mut self) -> Option<&'a str> {
        self.name = self.rest.next()?;
        Some(self.name)
    }

    /// The value of the argument that was named last.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let value = self.rest.next().with_context(|| format!("{} needs a value", self.name))?;
        Ok(value)
    }

    /// The value of the argument that was named last, as a number or the like.
    ///
    /// # Errors
    /// When there is none, or it is none.
    pub(crate) fn value<T: FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T> {
        let name = self.name;
        let text = self.text()?;
        text.parse().map_err(|error| anyhow!("{name} {text}: {error}"))
    }
}
