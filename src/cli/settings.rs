//! Options for the settings of a board, derived from the table in `tcpctl_settings`.

use std::fmt::Write as _;
use std::marker::PhantomData;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgGroup, ArgMatches, Args, Command, FromArgMatches, ValueHint};
use tcpctl_settings::{Changes, Field, Value, Values};

use crate::units;

/// Which settings are options of a command, and how its help shows them.
pub trait OptionSet {
    /// Heading of the options in the help.
    const HEADING: &str;
    /// The settings that are options.
    const FIELDS: &[Field];
    /// The settings in the short help.
    const COMMON: &[Field];
    /// Settings whose default differs from that of the table.
    const OTHER_DEFAULT: &[Field] = &[];
}

/// The passphrase of a network, or an open network.
#[derive(Debug, Clone, Copy, Args)]
pub struct SecurityOptions {
    /// Read the passphrase from standard input, one line
    #[arg(long, conflicts_with = "open", help_heading = "Settings")]
    pub password_stdin: bool,
    /// Use a network without a passphrase
    ///
    /// Anyone nearby can read its traffic.
    #[arg(long, help_heading = "Settings")]
    pub open: bool,
}

/// The settings options of one command.
#[derive(Debug, Clone, Default)]
pub struct SettingsOptions<S> {
    /// The requested settings.
    pub changes: Changes,
    set: PhantomData<S>,
}

impl<S: OptionSet> Args for SettingsOptions<S> {
    fn augment_args(command: Command) -> Command {
        let names = S::FIELDS.iter().map(|field| field.name());
        command
            .args(S::FIELDS.iter().map(|field| option::<S>(*field)))
            .group(ArgGroup::new("settings").args(names).multiple(true))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: OptionSet> FromArgMatches for SettingsOptions<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut options = Self {
            changes: Changes::default(),
            set: PhantomData,
        };
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for field in S::FIELDS {
            if let Some(value) = matches.get_one::<Value>(field.name()) {
                self.changes.set(value.clone());
            }
        }
        Ok(())
    }
}

/// The option of a setting. Its values, bounds, default and help come from the table.
fn option<S: OptionSet>(field: Field) -> Arg {
    let option = Arg::new(field.name())
        .long(field.name())
        .help_heading(S::HEADING)
        .value_hint(ValueHint::Other)
        .hide_short_help(!S::COMMON.contains(&field));
    let parse = move |text: &str| units::setting(field, text);
    let mut help = field.help().to_owned();
    let option = match field.values() {
        Values::Words(words) => option
            // The help or the value name already lists the values.
            .hide_possible_values(true)
            .value_name(if field == Field::Mode {
                "MODE"
            } else {
                "on|off"
            })
            .value_parser(PossibleValuesParser::new(words).try_map(move |word| field.parse(&word))),
        Values::Number { min, max } => {
            let _ = write!(help, ", {min} to {max}");
            option.value_name("N").value_parser(parse)
        }
        Values::Text { .. } => option
            .value_name("TEXT")
            .allow_hyphen_values(field == Field::Greeting)
            .value_parser(parse),
        Values::Duration { .. } => option.value_name("DURATION").value_parser(parse),
    };
    let default = field.default_value();
    if let Some(default) = default.filter(|_| !S::OTHER_DEFAULT.contains(&field)) {
        let _ = write!(help, " [default: {default}]");
    }
    match field.details() {
        "" => option.help(help),
        details => option.long_help(format!("{help}\n\n{details}")).help(help),
    }
}
