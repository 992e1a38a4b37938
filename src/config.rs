//! Settings of the command line: flag, then environment, then config file.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use crate::dirs;
use crate::failure::{Failure, reason};
use crate::sanitize;
use crate::target::Target;
use crate::toml_text;

/// A setting that the config file or a `TCPCTL_...` variable can contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The TARGET of send and bench.
    Target,
    /// The --port of flash and monitor.
    Port,
}

impl Key {
    /// All keys.
    pub const ALL: [Self; 2] = [Self::Target, Self::Port];

    /// The key in the config file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Port => "port",
        }
    }

    /// The name of the environment variable.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Target => "TCPCTL_TARGET",
            Self::Port => "TCPCTL_PORT",
        }
    }

    fn check(self, value: &str) -> Result<(), Failure> {
        match self {
            Self::Target => Target::parse(value).map(drop),
            Self::Port if value.is_empty() => Err(Failure::usage("port is empty")
                .hint("write a path, a USB serial number or a MAC address")),
            Self::Port => Ok(()),
        }
    }
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An option, by its name.
    Flag(&'static str),
    /// An environment variable, by its name.
    Environment(&'static str),
    /// The config file and a line in it, counted from 1.
    File(PathBuf, usize),
    /// The default, or no value.
    Default,
}

/// A valid value and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The value.
    pub value: String,
    /// The source of the value.
    pub source: Source,
}

impl Found {
    /// Prefixes the failure with the variable or file that holds the value.
    #[must_use]
    pub fn with_source(&self, failure: Failure) -> Failure {
        match &self.source {
            Source::Environment(name) => within(name, failure),
            Source::File(path, line) => {
                within(&format!("config file {}:{line}", shown(path)), failure)
            }
            Source::Flag(_) | Source::Default => failure,
        }
    }
}

/// The content of the config file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    target: Option<Spanned<String>>,
    port: Option<Spanned<String>>,
}

/// The TARGET of a command: the argument, else `TCPCTL_TARGET`, else the config file's `target`.
/// The config file is read only if it is needed.
///
/// # Errors
/// A usage error: no target, or an invalid one with its source.
pub fn target(given: Option<String>, command: &str) -> Result<String, Failure> {
    if let Some(target) = given {
        return Ok(target);
    }
    find(Key::Target)?.map(|found| found.value).ok_or_else(|| {
        // Only a virtual board with a chip accepts firmware.
        let board = if command == "update" {
            "sim:chip=esp32c3"
        } else {
            "sim"
        };
        Failure::usage("no TARGET given").hint(format!(
            "try the virtual board: tcpctl {command} {board}, or find boards: tcpctl discover"
        ))
    })
}

/// The value of `key` in the environment, else in the config file.
///
/// # Errors
/// A usage error that names the variable, or the file and its line.
pub fn find(key: Key) -> Result<Option<Found>, Failure> {
    let variable = key.variable();
    if let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) {
        let value = value
            .into_string()
            .map_err(|_| Failure::usage(format!("{variable} is not UTF-8")))?;
        key.check(&value).map_err(|error| within(variable, error))?;
        let source = Source::Environment(variable);
        return Ok(Some(Found { value, source }));
    }
    let Some(place) = Place::of_user() else {
        return Ok(None);
    };
    let Some(text) = place.read()? else {
        return Ok(None);
    };
    place.find(&text, key)
}

/// A config file that may not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path.
    pub path: PathBuf,
    /// Whether the file must exist, because `TCPCTL_CONFIG` names it.
    required: bool,
}

impl Place {
    /// The user's config file; `None` without a home directory.
    pub fn of_user() -> Option<Self> {
        let given = env::var_os("TCPCTL_CONFIG").map(PathBuf::from);
        if let Some(path) = given.filter(|it| !it.as_os_str().is_empty()) {
            return Some(Self {
                path,
                required: true,
            });
        }
        let base = dirs::user_directory("XDG_CONFIG_HOME", ".config", "APPDATA")?;
        Some(Self {
            path: base.join("tcpctl").join("config.toml"),
            required: false,
        })
    }

    /// The text of the file; `None` if it does not exist.
    ///
    /// # Errors
    /// The file cannot be read, or `TCPCTL_CONFIG` names a file that does not exist.
    pub fn read(&self) -> Result<Option<String>, Failure> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.required => Ok(None),
            Err(error) => Err(Failure::usage(format!(
                "{}: {}",
                self.name(),
                reason(&error)
            ))),
        }
    }

    /// The value of `key` in the file's `text`.
    ///
    /// # Errors
    /// The text is not valid TOML for this file, or the value is invalid.
    pub fn find(&self, text: &str, key: Key) -> Result<Option<Found>, Failure> {
        let content: Content = toml_text::parse(text).map_err(|(line, message)| {
            Failure::usage(format!("{}:{line}: {message}", self.name()))
                .hint(format!("see tcpctl config --help; e.g. {EXAMPLE}"))
        })?;
        let value = match key {
            Key::Target => content.target,
            Key::Port => content.port,
        };
        let Some(value) = value else {
            return Ok(None);
        };
        let line = toml_text::line_of(text, value.span().start);
        let value = value.into_inner();
        key.check(&value)
            .map_err(|error| within(&format!("{}:{line}", self.name()), error))?;
        let source = Source::File(self.path.clone(), line);
        Ok(Some(Found { value, source }))
    }

    fn name(&self) -> String {
        format!("config file {}", shown(&self.path))
    }
}

const EXAMPLE: &str = "target = \"192.168.1.1:3000\"";

/// A path, sanitized for a terminal.
pub fn shown(path: &Path) -> String {
    sanitize::one_line(&path.to_string_lossy())
}

/// Prefixes a failure with the source of the value.
fn within(place: &str, mut failure: Failure) -> Failure {
    failure.message = format!("{place}: {}", failure.message);
    failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str, key: Key) -> Result<Option<Found>, String> {
        let place = Place {
            path: "here.toml".into(),
            required: false,
        };
        place.find(text, key).map_err(|error| error.to_string())
    }

    #[test]
    fn values_have_their_line() {
        let text = "# the desk\ntarget = \"board:3000\"\n\nport = \"/dev/ttyACM0\"\n";
        let found = find(text, Key::Target).unwrap().unwrap();
        assert_eq!(found.value, "board:3000");
        assert_eq!(found.source, Source::File("here.toml".into(), 2));
        let found = find(text, Key::Port).unwrap().unwrap();
        assert_eq!(found.source, Source::File("here.toml".into(), 4));
        assert_eq!(find("", Key::Port), Ok(None));
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, start, part) in [
            ("target = \n", "config file here.toml:1: ", ""),
            ("\n\ntarget = 5\n", "config file here.toml:3: ", "string"),
            (
                "target = \"a\"\ntagret = \"b\"\n",
                "config file here.toml:2: ",
                "`tagret`, expected `target` or `port`",
            ),
            (
                "\ntarget = \"a:99999\"\n",
                "config file here.toml:2: ",
                "'a:99999'",
            ),
            (
                "target = \"\"\"\n\na b\"\"\"",
                "config file here.toml:1: ",
                "",
            ),
        ] {
            let error = find(text, Key::Target).unwrap_err();
            assert!(error.starts_with(start), "{text:?}: {error}");
            assert!(error.contains(part), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{text:?}: {error}");
        }
        let error = find("port = \"\"\n", Key::Port).unwrap_err();
        assert!(error.starts_with("config file here.toml:1: port is empty"));
    }
}
