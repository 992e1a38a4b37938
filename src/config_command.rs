//! `tcpctl config`: the settings in force and their sources.

mod text;

use std::env;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::Global;
use crate::config::{Key, Place, Source};
use crate::discover::cache::Cache;
use crate::exit::Exit;
use crate::keys;
use crate::output::{ColorWhen, Output};

/// The JSON schema of [`ConfigReport`].
pub const JSON_SCHEMA: &str = include_str!("../schemas/tcpctl.config.json");

/// `tcpctl.config/1`: the settings in force.
#[derive(Debug, Serialize)]
pub struct ConfigReport {
    schema: &'static str,
    /// The config file.
    pub file: FileReport,
    /// The board cache of `discover`.
    pub cache: Option<PathBuf>,
    /// The directory of the management keys.
    pub keys: Option<PathBuf>,
    /// The settings.
    pub settings: SettingsReport,
}

/// The config file.
#[derive(Debug, Serialize)]
pub struct FileReport {
    /// The path; null without a home directory.
    pub path: Option<PathBuf>,
    /// Whether the file exists.
    pub exists: bool,
}

/// The settings, by name.
#[derive(Debug, Serialize)]
pub struct SettingsReport {
    /// The TARGET of send and bench.
    pub target: SettingReport,
    /// The --port of flash and monitor.
    pub port: SettingReport,
    /// When output has color.
    pub color: SettingReport,
}

/// A setting.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct SettingReport {
    /// The value, if set.
    pub value: Option<String>,
    /// Kind of source.
    pub source: SourceKind,
    /// The option, the variable, or the file and line.
    pub from: Option<String>,
}

/// Kinds of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// An option.
    Flag,
    /// An environment variable.
    Environment,
    /// The config file.
    File,
    /// Built in.
    Default,
}

impl SettingReport {
    fn new(value: Option<String>, source: &Source) -> Self {
        let (source, from) = match source {
            Source::Flag(flag) => (SourceKind::Flag, Some((*flag).to_owned())),
            Source::Environment(name) => (SourceKind::Environment, Some((*name).to_owned())),
            Source::File(path, line) => (
                SourceKind::File,
                Some(format!("{}:{line}", path.to_string_lossy())),
            ),
            Source::Default => (SourceKind::Default, None),
        };
        Self {
            value,
            source,
            from,
        }
    }
}

/// Prints the settings in force.
///
/// # Errors
/// The config file cannot be read, or a value is invalid.
pub fn run(global: &Global, output: &Output) -> anyhow::Result<Exit> {
    let place = Place::of_user();
    let text = match &place {
        Some(place) => place.read()?,
        None => None,
    };
    let setting = |key: Key| -> anyhow::Result<SettingReport> {
        Ok(match crate::config::find(key)? {
            Some(found) => SettingReport::new(Some(found.value), &found.source),
            None => SettingReport::new(None, &Source::Default),
        })
    };
    if let (Some(place), Some(text)) = (&place, &text) {
        // Checks the whole file, including values that the environment overrides.
        for key in Key::ALL {
            place.find(text, key)?;
        }
    }
    let report = ConfigReport {
        schema: "tcpctl.config/1",
        file: FileReport {
            exists: text.is_some(),
            path: place.map(|place| place.path),
        },
        cache: Cache::for_user().path().map(PathBuf::from),
        keys: keys::directory(),
        settings: SettingsReport {
            target: setting(Key::Target)?,
            port: setting(Key::Port)?,
            color: color(global.color, |name| env::var_os(name)),
        },
    };
    output.print(&report)?;
    Ok(Exit::Done)
}

/// When output has color, by the rule of [`crate::output::Color::decide`].
fn color(given: ColorWhen, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> SettingReport {
    let is_set = |name| variable(name).filter(|value| !value.is_empty());
    let (when, source) = match given {
        ColorWhen::Auto if is_set("NO_COLOR").is_some() => {
            (ColorWhen::Never, Source::Environment("NO_COLOR"))
        }
        ColorWhen::Auto if is_set("CLICOLOR_FORCE").is_some_and(|it| it != "0") => {
            (ColorWhen::Always, Source::Environment("CLICOLOR_FORCE"))
        }
        ColorWhen::Auto => (ColorWhen::Auto, Source::Default),
        given => (given, Source::Flag("--color")),
    };
    let name = when.to_possible_value().map(|it| it.get_name().to_owned());
    SettingReport::new(name, &source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_report_matches_the_decision() {
        let of = |given, set: &'static [&str]| {
            let report = color(given, |name| set.contains(&name).then(|| "1".into()));
            (report.value.unwrap(), report.from)
        };
        let from = |name: &str| Some(name.to_owned());
        assert_eq!(of(ColorWhen::Auto, &[]), ("auto".into(), None));
        assert_eq!(
            of(ColorWhen::Auto, &["NO_COLOR", "CLICOLOR_FORCE"]),
            ("never".into(), from("NO_COLOR"))
        );
        assert_eq!(
            of(ColorWhen::Auto, &["CLICOLOR_FORCE"]),
            ("always".into(), from("CLICOLOR_FORCE"))
        );
        assert_eq!(
            of(ColorWhen::Always, &["NO_COLOR"]),
            ("always".into(), from("--color"))
        );
    }
}
