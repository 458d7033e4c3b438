//! The flags of a command's settings, for parsers that clap derives.

use std::fmt;
use std::marker::PhantomData;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::{CrawlDraft, SettingsTable};

/// A command that has settings.
pub trait HasSettings {
    /// Returns the settings of the command, with the command's own flags inserted among them.
    fn settings() -> SettingsTable;
}

/// The flags of a command's settings, as a part of the arguments that clap derives for the command.
pub struct Flags<C> {
    matches: ArgMatches,
    of: PhantomData<fn() -> C>,
}

impl<C: HasSettings> Flags<C> {
    /// Reads all settings of the command.
    ///
    /// # Errors
    /// As [`SettingsTable::read`].
    pub fn read(&self) -> anyhow::Result<CrawlDraft> {
        C::settings().read(&self.matches)
    }

    /// Returns the parsed arguments, which include those of the command's own flags.
    #[must_use]
    pub fn matches(&self) -> &ArgMatches {
        &self.matches
    }
}

impl<C> fmt::Debug for Flags<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values are not shown: they may be secrets.
        f.debug_struct("Flags").finish_non_exhaustive()
    }
}

impl<C> FromArgMatches for Flags<C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { matches: matches.clone(), of: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.matches = matches.clone();
        Ok(())
    }
}

impl<C: HasSettings> Args for Flags<C> {
    fn augment_args(command: Command) -> Command {
        C::settings().flags(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
