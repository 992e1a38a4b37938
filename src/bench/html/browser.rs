use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;
use crate::bench::example;

/// A folder for the page and the browser's profile; gone when the test ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Opens the page and returns its document and what went to the console.
fn open(browser: &str, folder: &Path, page: &Path, more: &[&str]) -> (String, String) {
    // A browser that hangs fails the test, and does not stop the others.
    let mut command = Command::new("timeout");
    command
        .args([&Duration::from_mins(2).as_secs().to_string(), browser])
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-sync",
        ])
        .args(["--disable-component-update", "--disable-dev-shm-usage"])
        .args([
            "--enable-logging=stderr",
            "--log-level=0",
            "--window-size=900,2600",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .env("HOME", folder)
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{browser}: {}", output.status);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

fn installed() -> Option<&'static str> {
    let found = |name: &&str| {
        let mut command = Command::new("which");
        command
            .arg(name)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(found)
}

#[test]
fn the_page_opens_without_complaint_and_shows_its_plots() {
    let Some(browser) = installed() else {
        // A big program that not every machine has: its absence is no failure anywhere.
        eprintln!("skipped: no Chromium here");
        return;
    };
    let name = format!("tcpctl-page-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    std::fs::create_dir(&folder.0).unwrap();
    let page = folder.0.join("report.html");
    let mut report = example::full();
    report.target = "</script><script>console.error('escaped')</script>".to_owned();
    std::fs::write(&page, render(&report)).unwrap();
    let (document, console) = open(browser, &folder.0, &page, &["--dump-dom"]);
    assert!(!console.contains("CONSOLE"), "{console}");
    for part in [
        "Latency by percentile",
        "class=\"line a\" d=\"M",
        "Errors over time",
        "class=\"bar bad\"",
        "Replies a second, by connections",
        "knee: 4 connections",
        "reconnect race",
    ] {
        assert!(document.contains(part), "{part} is not in {document}");
    }
    assert_eq!(document.matches("<script").count(), 1);
    // For the eye: TCPCTL_SCREENSHOTS=FOLDER keeps how it looks, light and dark.
    if let Some(keep) = std::env::var_os("TCPCTL_SCREENSHOTS").map(PathBuf::from) {
        std::fs::write(&page, render(&example::full())).unwrap();
        for (name, more) in [
            ("light", ""),
            ("dark", "--blink-settings=preferredColorScheme=0"),
        ] {
            let shot = format!(
                "--screenshot={}",
                keep.join(name).with_extension("png").display()
            );
            let more: Vec<_> = [shot.as_str(), more]
                .into_iter()
                .filter(|flag| !flag.is_empty())
                .collect();
            open(browser, &folder.0, &page, &more);
        }
    }
}
