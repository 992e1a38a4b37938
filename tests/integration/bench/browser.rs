//! The HTML report of `tcpctl bench` in Chromium.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tcpctl::bench::{html, saved};

use super::Folder;
use crate::common::{Server, run};
use crate::processes::{Need, skipped};

#[test]
fn html_report_opens_without_errors_and_draws() {
    if skipped(&[Need::Program("chromium"), Need::Program("timeout")]) {
        return;
    }
    let folder = Folder::new();
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
    let output = chromium(&folder, &["--dump-dom"], &page);
    assert!(output.status.success(), "{}", output.status);
    let console = String::from_utf8_lossy(&output.stderr);
    assert!(!console.contains("CONSOLE"), "{console}");
    let document = String::from_utf8_lossy(&output.stdout);
    for part in ["Latency by percentile", "class=\"line a\" d=\"M"] {
        assert!(document.contains(part), "{part} is not in {document}");
    }
}

/// Runs headless Chromium without network on a page.
fn chromium(folder: &Folder, options: &[&str], page: &str) -> Output {
    Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox"])
        .args(["--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking"])
        .args(["--disable-component-update", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--log-level=0"])
        .arg(format!("--user-data-dir={}", folder.file("profile")))
        .args(options)
        .arg(format!("file://{page}"))
        .env("HOME", folder.file(""))
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The page of a run that measured everything.
fn full_page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/bench/report.json");
    html::render(&saved::load("fixture", &file).expect("a saved run"))
}

/// In both color schemes: no overflow, no cut or overlapping labels in plots, no text below 11 px
/// on a screen and 8 pt on paper, and a contrast of at least 4.5 (WCAG 2.2, 1.4.3).
#[test]
fn html_report_fits_phones_wide_screens_and_paper() {
    /// Frame widths in CSS pixels: screens, and the widths of A4 and Letter without the page's
    /// margins.
    const FRAMES: [(&str, u64); 5] = [
        ("page.html", 390),
        ("page.html", 800),
        ("page.html", 1440),
        ("paper.html#print", 718),
        ("paper.html#print", 740),
    ];
    if skipped(&[Need::Program("chromium"), Need::Program("timeout")]) {
        return;
    }
    let folder = Folder::new();
    let page = full_page();
    let (before, rest) = page.split_once("<meta http-equiv").expect("a policy");
    let (_, after) = rest.split_once('>').expect("its end");
    // The page's security policy allows no scripts, so remove it.
    let probed = format!("{before}{after}{}", include_str!("probe.html"));
    let paper = probed.replace("@media print {", "@media all {");
    assert_ne!(paper, probed, "a style for print");
    // Paper uses the light scheme.
    let paper = paper.replace("@media (prefers-color-scheme: dark) {", "@media not all {");
    fs::write(folder.file("page.html"), probed).unwrap();
    fs::write(folder.file("paper.html"), paper).unwrap();
    let frame = |(page, width)| {
        format!("<iframe src={page} width={width} height=3000 frameborder=0></iframe>")
    };
    let frames = FRAMES.map(frame).concat();
    let collect = "<pre id=found></pre><script>addEventListener('message', event => {
        document.getElementById('found').textContent += JSON.stringify(event.data).replace(/[<>&]/g, '?') + '\\n';
    });</script>";
    let all = folder.file("frames.html");
    fs::write(&all, format!("{collect}{frames}")).unwrap();
    // Numbers of the color schemes in Blink.
    for (dark, scheme) in [(true, "0"), (false, "1")] {
        let scheme = format!("--blink-settings=preferredColorScheme={scheme}");
        let budget = "--virtual-time-budget=10000";
        let output = chromium(&folder, &["--dump-dom", budget, &scheme], &all);
        let console = String::from_utf8_lossy(&output.stderr);
        assert!(!console.contains("CONSOLE"), "{console}");
        let document = String::from_utf8_lossy(&output.stdout);
        let (_, found) = document.split_once("id=\"found\">").expect("results");
        let (found, _) = found.split_once("</pre>").expect("their end");
        let mut widths = Vec::new();
        for line in found.lines() {
            let found: Value = serde_json::from_str(line).expect("an object");
            let width = found["width"].as_u64().expect("a width");
            assert_eq!(found["dark"], dark, "{width}");
            assert_eq!(
                found["problems"],
                serde_json::json!([]),
                "{width}, dark: {dark}"
            );
            assert!(found["scroll"].as_u64() <= Some(width), "{found}");
            widths.push(width);
        }
        widths.sort_unstable();
        let mut expected = FRAMES.map(|(_, width)| width);
        expected.sort_unstable();
        assert_eq!(widths, expected, "{document}");
    }
}

#[test]
fn html_report_prints_on_two_pages() {
    if skipped(&[Need::Program("chromium"), Need::Program("timeout")]) {
        return;
    }
    for size in ["A4", "letter"] {
        print(size);
    }
}

/// Prints the page of the fixture on paper of a size, and checks its pages.
fn print(size: &str) {
    let folder = Folder::new();
    let (page, pdf) = (folder.file("page.html"), folder.file("page.pdf"));
    let sized = full_page().replace("@page {", &format!("@page {{ size: {size};"));
    fs::write(&page, sized).unwrap();
    let to = format!("--print-to-pdf={pdf}");
    let output = chromium(&folder, &[&to, "--no-pdf-header-footer"], &page);
    assert!(output.status.success(), "{output:?}");
    let pdf = fs::read(&pdf).expect("it was printed");
    let pdf = String::from_utf8_lossy(&pdf);
    // Page objects and the lengths of their content, as Chromium writes them.
    let pages: Vec<&str> = pdf.split("/Type /Page\n").skip(1).collect();
    assert_eq!(pages.len(), 2, "pages of {size}");
    for page in pages {
        let (_, content) = page.split_once("/Contents ").expect("content");
        let number = content.split(' ').next().expect("a reference");
        let (_, stream) = pdf
            .split_once(&format!("\n{number} 0 obj\n"))
            .expect("an object");
        let (_, length) = stream.split_once("/Length ").expect("its length");
        let digits = length.split(|c: char| !c.is_ascii_digit()).next();
        let length: usize = digits.and_then(|it| it.parse().ok()).expect("a number");
        assert!(length > 2_000, "a page of {length} bytes is blank");
    }
}

/// Writes the page of the fixture, to look at it by hand: `TCPCTL_PAGE=FILE`.
#[test]
#[ignore = "writes a file for a person"]
fn write_page() {
    let file = std::env::var("TCPCTL_PAGE").expect("TCPCTL_PAGE");
    fs::write(file, full_page()).unwrap();
}
