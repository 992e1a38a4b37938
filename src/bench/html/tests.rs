use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::bench::compare::compare;
use crate::bench::verdict::conclude;
use crate::bench::{example, summarize};
use tcpctl_engine::times::Times;

/// The report that a page contains.
fn embedded(page: &str) -> Value {
    let (_, json) = page.split_once("id=\"report\">").unwrap();
    let (json, _) = json.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn page_has_verdict_plots_and_the_report() {
    let mut report = example::full();
    report.comparison = Some(compare(&example::report(), &report));
    let page = render(&report);
    for part in [
        "<p class=\"first good\">serves 4 clients at once",
        "<p class=\"warning\">virtual board",
        "<b>4</b><span>served at once</span>",
        "Latency by percentile",
        "99.9%",
        "Rate over time",
        "Errors over time",
        "Latency over time",
        "Throughput over time",
        "knee: 4 connections",
        "nothing listens on port 7",
        "Compared with",
        "6.1.0",
    ] {
        assert!(page.contains(part), "{part} is not in the page");
    }
    assert!(!page.contains("{{"));
    assert_eq!(embedded(&page), serde_json::to_value(&report).unwrap());
}

#[test]
fn run_without_errors_has_a_sentence_instead_of_an_empty_plot() {
    let mut report = example::full();
    let plot = "Failures and retransmits by connections";
    assert!(render(&report).contains(plot));
    for step in &mut report.ramp {
        (step.failed, step.refused, step.retransmissions) = (0, 0, Some(0));
    }
    for second in &mut report.latency.as_mut().unwrap().seconds {
        second.failed = 0;
    }
    let page = render(&report);
    assert!(!page.contains(plot) && !page.contains("Errors over time"));
    assert!(page.contains("No errors and no retransmits.") && page.contains("No errors.<"));
}

#[test]
fn command_computer_and_tiles_are_at_the_top() {
    let page = render(&example::full());
    let (top, _) = page.split_once("<p class=\"first").unwrap();
    for part in [
        "$ tcpctl bench sim:esp32,workers=4<",
        "linux 6.1.0, 2 CPUs, tcpctl 0.1.0<",
        "<b>4</b><span>served at once</span>",
        "<b>4</b><span>queued</span>",
        "<span>req/s</span>",
        "<span>p99</span>",
        "<b>100/2,600</b><span>failed</span>",
    ] {
        assert!(top.contains(part), "{part} is not in {top}");
    }
}

#[test]
fn page_loads_and_runs_nothing() {
    let page = render(&example::full());
    for forbidden in [
        "http://", "https://", "src=", "@import", "url(", "onload", "<script>",
    ] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn empty_and_failed_runs_are_pages() {
    let environment = example::environment(false);
    let start = example::start();
    let empty = summarize::report("board", start, environment.clone(), None);
    assert!(render(&conclude(empty)).contains("nothing was measured"));
    let mut failed = example::measurement();
    failed.completed = 0;
    failed.complete = Times::new();
    failed.connect = Times::new();
    failed.first_byte = Times::new();
    failed.seconds.truncate(1);
    failed.errors = [(tcpctl_engine::measurement::ErrorClass::Refused, 3)].into();
    let failed = summarize::report("board", start, environment, Some(&failed));
    let page = render(&conclude(failed));
    assert!(page.contains("<p class=\"first bad\">all 3 requests failed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn untrusted_text_is_never_markup(
        inside in "(</script>|<!--|<script>|]]>|\\{\\{json\\}\\}|&lt;|[<>&\"'\u{2028}\u{202e}a]){1,8}",
    ) {
        static PLAIN: LazyLock<String> = LazyLock::new(|| render(&example::full()));
        let mut report = example::full();
        report.target.clone_from(&inside);
        report.environment.os.clone_from(&inside);
        report.environment.kernel = Some(inside.clone());
        report.verdict[0].text.clone_from(&inside);
        report.warnings[0].text.clone_from(&inside);
        report.label = Some(inside.clone());
        report.command = Some(inside.clone());
        let limits = report.limits.as_mut().unwrap();
        let held = limits.evidence.get_mut("held").unwrap();
        held.detail.clone_from(&inside);
        let page = render(&report);
        // The markup and the report are the same as without it.
        for markup in ["<script", "</script", "<!--"] {
            prop_assert_eq!(page.matches(markup).count(), PLAIN.matches(markup).count());
        }
        prop_assert_eq!(embedded(&page), serde_json::to_value(&report).unwrap());
        // It does not change the direction of text.
        let (visible, _) = page.split_once("id=\"report\"").unwrap();
        let turned = visible.contains('\u{202e}');
        prop_assert!(!turned);
    }
}
