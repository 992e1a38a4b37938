//! `tcpctl --version`: version, commit and bundled firmware.

use std::process::Command;

#[path = "../../build/firmware.rs"]
#[allow(dead_code, reason = "the build script's")]
pub(crate) mod firmware;
#[path = "../../build/version.rs"]
#[allow(dead_code, reason = "the build script's")]
mod stamp;

fn tcpctl(argument: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpctl"))
        .arg(argument)
        .output();
    let output = output.expect("tcpctl starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn short_version_is_the_package_version() {
    let expected = format!("tcpctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(tcpctl("-V"), expected);
}

#[test]
fn long_version_names_commit_and_firmware() {
    let output = tcpctl("--version");
    let [first, firmware] = output.lines().collect::<Vec<_>>()[..] else {
        panic!("{output}")
    };
    let git = Command::new("git")
        .args([
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "rev-parse",
            "--short=12",
            "HEAD",
        ])
        .output();
    // Sources without git come from a package, which may contain the commit.
    let commit = git.ok().filter(|output| output.status.success());
    let origin = match &commit {
        Some(output) => format!("commit {}", String::from_utf8_lossy(&output.stdout).trim()),
        None => "not built in a checkout".to_owned(),
    };
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(first, format!("tcpctl {version} ({origin})"));
    match option_env!("TCPCTL_FIRMWARE_DIR") {
        None | Some("") => assert_eq!(firmware, "firmware: none built in"),
        Some(_) => assert!(
            firmware.starts_with("firmware: ") && firmware.contains(" for esp32"),
            "{firmware}"
        ),
    }
}

#[test]
fn chips_are_grouped_by_firmware_version() {
    let bundled = [
        ("esp32c2", Some("0.1.0")),
        ("esp32c3", Some("0.2.0")),
        ("esp32c5", None),
        ("esp32c6", Some("0.1.0")),
    ];
    let bundled = bundled.map(|(chip, version)| firmware::Bundled {
        chip: chip.to_owned(),
        version: version.map(str::to_owned),
        entry: String::new(),
    });
    assert_eq!(
        stamp::firmware_summary(&bundled),
        "firmware: unversioned for esp32c5; 0.1.0 for esp32c2, esp32c6; 0.2.0 for esp32c3"
    );
    assert_eq!(stamp::firmware_summary(&[]), "firmware: none built in");
}
