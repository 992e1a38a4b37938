//! `tcpctl --version`: what this program was made of.

use std::process::Command;

fn tcpctl(argument: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tcpctl"))
        .arg(argument)
        .output();
    let output = output.expect("tcpctl starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_short_form_is_the_version() {
    let expected = format!("tcpctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(tcpctl("-V"), expected);
}

#[test]
fn the_long_form_names_the_commit_and_the_firmware() {
    let told = tcpctl("--version");
    let [first, firmware] = told.lines().collect::<Vec<_>>()[..] else {
        panic!("{told}")
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
    // Whoever has the sources without git has them from a package, or from nobody who says so.
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
