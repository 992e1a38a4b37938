//! When to use color.

use std::env;
use std::ffi::OsString;

use clap::ValueEnum;

/// The values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal with color, unless the environment disables it
    #[default]
    Auto,
    /// Also in a pipe
    Always,
    /// Never
    Never,
}

/// Whether a stream gets color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// With color.
    On,
    /// Without color.
    Off,
}

impl Color {
    /// Decides for one stream: `--color`, then a non-empty `NO_COLOR`, then `CLICOLOR_FORCE`, then
    /// whether it is a terminal and `TERM` is not `dumb`.
    pub fn decide(when: ColorWhen, is_terminal: bool) -> Self {
        decide(when, is_terminal, |name| env::var_os(name))
    }

    /// `text` in bold red.
    pub fn alarm(self, text: &str) -> String {
        self.in_sequence("1;31", text)
    }

    /// `text` in bold.
    pub fn strong(self, text: &str) -> String {
        self.in_sequence("1", text)
    }

    /// `text` in green.
    pub fn good(self, text: &str) -> String {
        self.in_sequence("32", text)
    }

    /// `text` in yellow.
    pub fn warning(self, text: &str) -> String {
        self.in_sequence("33", text)
    }

    /// `text` in a faint color.
    pub fn faint(self, text: &str) -> String {
        self.in_sequence("2", text)
    }

    fn in_sequence(self, code: &str, text: &str) -> String {
        match self {
            Self::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

fn decide(
    when: ColorWhen,
    is_terminal: bool,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Color {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let on = match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if set("NO_COLOR").is_some() => false,
        ColorWhen::Auto if set("CLICOLOR_FORCE").is_some_and(|value| value != "0") => true,
        ColorWhen::Auto => is_terminal && set("TERM").is_none_or(|term| term != "dumb"),
    };
    if on { Color::On } else { Color::Off }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case<'a> = (ColorWhen, bool, &'a [(&'a str, &'a str)], Color);

    #[test]
    fn flag_wins_over_environment_and_terminal() {
        use ColorWhen::{Always, Auto, Never};
        let no = ("NO_COLOR", "1");
        let force = ("CLICOLOR_FORCE", "1");
        let dumb = ("TERM", "dumb");
        let cases: [Case<'_>; 11] = [
            (Always, false, &[no], Color::On),
            (Never, true, &[force], Color::Off),
            (Auto, true, &[], Color::On),
            (Auto, false, &[], Color::Off),
            (Auto, true, &[no], Color::Off),
            (Auto, true, &[("NO_COLOR", "")], Color::On),
            (Auto, true, &[no, force], Color::Off),
            (Auto, false, &[force], Color::On),
            (Auto, false, &[("CLICOLOR_FORCE", "0")], Color::Off),
            (Auto, true, &[dumb], Color::Off),
            (Auto, false, &[dumb, force], Color::On),
        ];
        for (when, is_terminal, environment, color) in cases {
            let variable = |name: &str| {
                let found = environment.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            let decided = decide(when, is_terminal, variable);
            assert_eq!(decided, color, "{when:?} {is_terminal} {environment:?}");
        }
    }
}
