//! Defers the definition of a command's arguments until clap uses the command.

use std::ops::Deref;

use clap::builder::Resettable;
use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches, Id};

/// Boxed arguments that clap defines only when their command is used.
///
/// Without it clap defines the options of every command at each start, which takes `send` from 1.5 to
/// 1.8 times the time of `nc` (`cargo bench --bench send`).
#[derive(Debug, Clone)]
pub struct Deferred<T>(Box<T>);

impl<T> Deref for Deferred<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: FromArgMatches> FromArgMatches for Deferred<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(|args| Self(Box::new(args)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Deferred<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(|command| keep(command, T::augment_args))
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(|command| keep(command, T::augment_args_for_update))
    }

    fn group_id() -> Option<Id> {
        T::group_id()
    }
}

/// Adds the arguments of a command, and keeps its description and the order of the global options.
fn keep(command: Command, augment: fn(Command) -> Command) -> Command {
    let about = Resettable::from(command.get_about().cloned());
    let long_about = Resettable::from(command.get_long_about().cloned());
    let global: Vec<Id> = command
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    let command = augment(command).about(about).long_about(long_about);
    global
        .into_iter()
        // Removes the argument, then adds it at the end.
        .fold(command, |command, id| command.mut_arg(id, |arg| arg))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::Cli;

    #[test]
    fn deferred_commands_keep_their_help() {
        let mut cli = Cli::command();
        let early: Vec<_> = cli
            .get_subcommands()
            .map(|command| command.get_about().map(ToString::to_string))
            .collect();
        assert!(
            cli.get_subcommands()
                .all(|c| c.get_arguments().count() == 0),
            "a command was defined early"
        );
        cli.build();
        let late: Vec<_> = cli
            .get_subcommands()
            .map(|command| command.get_about().map(ToString::to_string))
            .collect();
        assert_eq!(early, late);
        for command in cli.get_subcommands_mut() {
            let help = command.render_help().to_string();
            assert!(help.trim_end().contains("Global options:"), "{help}");
            let own = help.find("Options:").or_else(|| help.find("Arguments:"));
            assert!(own < help.find("Global options:"), "{help}");
        }
        cli.debug_assert();
    }
}
