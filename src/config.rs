//! Where a setting comes from: flag, environment, config file, in this order.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;
use crate::sanitize;

/// What the config file may say.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The TARGET where none is given.
    target: Option<String>,
}

/// The TARGET of a command: what was given, else `TCPCTL_TARGET`, else the config file's `target`.
///
/// The config file is read only where it decides.
pub fn target(given: Option<String>) -> Result<String, Failure> {
    if let Some(target) = given {
        return Ok(target);
    }
    if let Some(target) = env::var_os("TCPCTL_TARGET").filter(|target| !target.is_empty()) {
        return target
            .into_string()
            .map_err(|_| Failure::usage("TCPCTL_TARGET is not UTF-8"));
    }
    let config = match path() {
        Some((path, required)) => read(&path, required)?,
        None => Config::default(),
    };
    config.target.ok_or_else(|| {
        Failure::usage("no TARGET was given").hint(
            "write e.g. tcpctl send 192.168.1.1:3000, or set TCPCTL_TARGET, or `target = \"...\"` \
             in the config file",
        )
    })
}

/// The config file's path, and whether it must exist because the user named it.
fn path() -> Option<(PathBuf, bool)> {
    let directory = |name| env::var_os(name).map(PathBuf::from);
    if let Some(path) = directory("TCPCTL_CONFIG").filter(|path| !path.as_os_str().is_empty()) {
        return Some((path, true));
    }
    // The XDG base directory specification: a relative path is to be ignored.
    let base = directory("XDG_CONFIG_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| directory("HOME").map(|home| home.join(".config")))
        .or_else(|| directory("APPDATA"))?;
    Some((base.join("tcpctl").join("config.toml"), false))
}

fn read(path: &Path, required: bool) -> Result<Config, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {
            return Ok(Config::default());
        }
        Err(error) => {
            return Err(Failure::usage(format!(
                "config file {}: {error}",
                path.display()
            )));
        }
    };
    parse(&text).map_err(|(line, message)| {
        Failure::usage(format!("config file {}:{line}: {message}", path.display()))
    })
}

/// Parses the file's text; an error is its line, counted from 1, and what is wrong there.
fn parse(text: &str) -> Result<Config, (usize, String)> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| &text[..span.start]);
        let line = before.matches('\n').count() + 1;
        (line, sanitize::one_line(error.message()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_read() {
        let config = parse("# the desk\ntarget = \"board:3000\"\n").unwrap();
        assert_eq!(config.target.as_deref(), Some("board:3000"));
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_error_has_its_line() {
        for (text, line) in [
            ("target = \n", 1),
            ("\n\ntarget = 5\n", 3),
            ("target = \"a\"\ntagret = \"b\"\n", 2),
        ] {
            assert_eq!(parse(text).unwrap_err().0, line, "{text:?}");
        }
    }
}
