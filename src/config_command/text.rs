//! Text of `config`: one line per setting, with its source.

use std::fmt::Write as _;

use crate::config::shown;
use crate::config_command::{ConfigReport, SettingReport};
use crate::output::{Color, Render, View};
use crate::sanitize;

impl Render for ConfigReport {
    fn render(&self, view: &View) -> Option<String> {
        Some(lines(self, view.color))
    }
}

fn lines(report: &ConfigReport, color: Color) -> String {
    let mut lines = String::new();
    let settings = [
        ("target", &report.settings.target),
        ("port", &report.settings.port),
        ("color", &report.settings.color),
    ];
    let value = |setting: &SettingReport| match &setting.value {
        Some(value) => sanitize::one_line(value),
        None => "none".to_owned(),
    };
    let width = settings.map(|(_, it)| value(it).chars().count());
    let width = width.into_iter().max().unwrap_or_default();
    for (name, setting) in settings {
        let from = match &setting.from {
            Some(from) => format!("from {}", sanitize::one_line(from)),
            None => "default".to_owned(),
        };
        let value = value(setting);
        let _ = writeln!(lines, "{name:<8}{value:<width$}  {}", color.faint(&from));
    }
    lines.push('\n');
    let file = match &report.file.path {
        Some(path) if report.file.exists => shown(path),
        Some(path) => format!("{} (does not exist)", shown(path)),
        None => "none: neither HOME nor XDG_CONFIG_HOME is set".to_owned(),
    };
    let _ = writeln!(lines, "file    {file}");
    let cache = match &report.cache {
        Some(path) => shown(path),
        None => "none".to_owned(),
    };
    let _ = writeln!(lines, "boards  {cache}");
    let keys = match &report.keys {
        Some(path) => shown(path),
        None => "none: neither HOME nor XDG_DATA_HOME is set".to_owned(),
    };
    let _ = writeln!(lines, "keys    {keys}");
    lines
}
