//! `tcpctl config`, and the effect of the config file and the environment on other commands.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::common::{Ended, Server, finish, tcpctl};

/// A home folder, removed when dropped.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: Option<&str>) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let folder = home.0.path().join(".config/tcpctl");
        fs::create_dir_all(&folder).unwrap();
        if let Some(text) = config {
            fs::write(folder.join("config.toml"), text).unwrap();
        }
        home
    }

    fn file(&self) -> String {
        let file = self.0.path().join(".config/tcpctl/config.toml");
        // Use the separators of the system.
        let file: PathBuf = file.components().collect();
        file.to_str().unwrap().to_owned()
    }

    fn run(&self, line: &str, environment: &[(&str, &str)]) -> Ended {
        let mut command = tcpctl(line.split(' '));
        command
            .env_remove("TCPCTL_CONFIG")
            .env("HOME", self.0.path())
            .envs(environment.iter().copied());
        finish(command.spawn().unwrap())
    }
}

/// The report, checked against its schema.
fn checked_report(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let report = ended.objects().remove(0);
    let schema = crate::common::run(["schema", "config"]).stdout;
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    jsonschema::validate(&schema, &report).unwrap();
    report
}

#[test]
fn every_setting_is_printed_with_its_source() {
    let home = Home::new(Some("target = \"sim\"\n\nport = \"/dev/ttyUSB7\"\n"));
    let report = checked_report(&home.run("config --json", &[]));
    let file = home.file();
    assert_eq!(report["file"], json!({"path": file, "exists": true}));
    assert_eq!(
        report["settings"],
        json!({
            "target": {"value": "sim", "source": "file", "from": format!("{file}:1")},
            "port": {"value": "/dev/ttyUSB7", "source": "file", "from": format!("{file}:3")},
            "color": {"value": "auto", "source": "default", "from": null},
        })
    );

    let environment = [("TCPCTL_TARGET", "sim:lossy"), ("NO_COLOR", "1")];
    let report = checked_report(&home.run("config --json", &environment));
    assert_eq!(
        report["settings"]["target"],
        json!({"value": "sim:lossy", "source": "environment", "from": "TCPCTL_TARGET"})
    );
    assert_eq!(
        report["settings"]["color"],
        json!({"value": "never", "source": "environment", "from": "NO_COLOR"})
    );
    let report = checked_report(&home.run("config --json --color always", &environment));
    assert_eq!(
        report["settings"]["color"],
        json!({"value": "always", "source": "flag", "from": "--color"})
    );

    let ended = home.run("config", &environment);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(
        text.contains("target  sim:lossy     from TCPCTL_TARGET\n"),
        "{text}"
    );
    assert!(
        text.contains(&format!("port    /dev/ttyUSB7  from {file}:3\n")),
        "{text}"
    );
}

#[test]
fn missing_config_file_fails_only_when_named() {
    let home = Home::new(None);
    let report = checked_report(&home.run("config --json", &[]));
    assert_eq!(report["file"]["exists"], false);
    assert_eq!(report["settings"]["target"]["value"], Value::Null);
    let ended = home.run("config", &[("TCPCTL_CONFIG", "/nowhere/config.toml")]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("/nowhere/config.toml"),
        "{}",
        ended.stderr
    );
}

#[test]
fn relative_home_is_ignored() {
    let home = Home::new(None);
    for relative in ["", "home"] {
        let report = checked_report(&home.run("config --json", &[("HOME", relative)]));
        assert_eq!(report["file"]["path"], Value::Null, "{relative:?}");
        assert_eq!(report["cache"], Value::Null, "{relative:?}");
    }
}

#[test]
fn invalid_setting_names_file_and_line() {
    for (text, line, part) in [
        (
            "# mine\ntagret = \"sim\"\n",
            2,
            "unknown field `tagret`, expected `target` or `port`",
        ),
        ("target = 3000\n", 1, "invalid type"),
        ("target = \"sim\nport = \"x\"\n", 1, ""),
        ("\n\ntarget = \"board:99999\"\n", 3, "'board:99999'"),
        ("port = \"\"\n", 1, "port is empty"),
    ] {
        let home = Home::new(Some(text));
        let ended = home.run("config", &[]);
        assert_eq!(ended.code, 2, "{text}");
        crate::common::assert_one_error(&ended.stderr);
        let start = format!("error: config file {}:{line}: ", home.file());
        assert!(ended.stderr.starts_with(&start), "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains(part), "{text}: {}", ended.stderr);
    }
}

#[test]
fn option_wins_over_environment_over_file() {
    let greeter = |greeting| Server::greeter(greeting);
    let (flag, variable, file) = (greeter(b"flag"), greeter(b"variable"), greeter(b"file"));
    let home = Home::new(Some(&format!("target = \"{}\"\n", file.target())));
    let target = variable.target();
    let environment = [("TCPCTL_TARGET", target.as_str())];
    let reply = |ended: Ended| String::from_utf8(ended.stdout).unwrap();
    assert_eq!(reply(home.run("send -m hi", &[])), "file");
    assert_eq!(reply(home.run("send -m hi", &environment)), "variable");
    assert_eq!(
        reply(home.run(&format!("send {} hi", flag.target()), &environment)),
        "flag"
    );
}

#[test]
fn later_failure_names_the_source_of_the_value() {
    let home = Home::new(Some("\nport = \"/dev/no-such-board\"\n"));
    let ended = home.run("monitor", &[]);
    assert_ne!(ended.code, 0);
    assert!(
        ended
            .stderr
            .contains(&format!("config file {}:2: ", home.file())),
        "{}",
        ended.stderr
    );
    let ended = home.run("monitor", &[("TCPCTL_PORT", "/dev/no-such-board")]);
    assert!(
        ended.stderr.contains("error: TCPCTL_PORT: "),
        "{}",
        ended.stderr
    );
    let ended = home.run("monitor --port /dev/other-board", &[]);
    assert!(!ended.stderr.contains("config file"), "{}", ended.stderr);
    let ended = home.run("send -m hi", &[("TCPCTL_TARGET", "a:b:c")]);
    assert_eq!(ended.code, 2);
    assert!(
        ended
            .stderr
            .starts_with("error: TCPCTL_TARGET: target 'a:b:c'"),
        "{}",
        ended.stderr
    );
}
