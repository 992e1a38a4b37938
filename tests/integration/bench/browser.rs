//! The HTML report of `tcpctl bench` in Chromium.

use std::process::{Command, Stdio};

use super::Folder;
use crate::common::{Server, run};
use crate::processes::{Need, skipped};

#[test]
fn html_report_opens_without_errors_and_draws() {
    if skipped(&[Need::Program("chromium"), Need::Program("timeout")]) {
        return;
    }
    let folder = Folder::new("browser");
    let page = folder.file("report.html");
    let server = Server::greeter(b"Hello World");
    let ended = run([
        "bench",
        &server.target(),
        "--only",
        "latency",
        "-n",
        "200",
        "--html",
        &page,
    ]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let output = Command::new("timeout")
        .args([
            "120",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
        ])
        .args(["--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--log-level=0", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.file("profile")))
        .arg(format!("file://{page}"))
        .env("HOME", folder.file(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", output.status);
    let console = String::from_utf8_lossy(&output.stderr);
    assert!(!console.contains("CONSOLE"), "{console}");
    let document = String::from_utf8_lossy(&output.stdout);
    for part in ["Latency by percentile", "class=\"line a\" d=\"M"] {
        assert!(document.contains(part), "{part} is not in {document}");
    }
}
