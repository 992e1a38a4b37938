use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::bench::compare::compare;
use crate::bench::example;
use tcpctl_engine::times::Times;

/// The report that a page carries.
fn embedded(page: &str) -> Value {
    let (_, json) = page.split_once("id=\"report\">").unwrap();
    let (json, _) = json.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn the_page_has_the_answer_the_plots_and_the_whole_report() {
    let mut report = example::full();
    report.comparison = Some(compare(&example::report(), &report));
    let page = render(&report);
    for part in [
        "<p class=\"answer\">serves 4 at once",
        "<p class=\"caveat\">virtual board",
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
fn the_page_loads_and_runs_nothing() {
    let page = render(&example::full());
    for forbidden in [
        "http://", "https://", "src=", "@import", "url(", "onload", "<script>",
    ] {
        assert!(!page.contains(forbidden), "{forbidden} is in the page");
    }
    assert_eq!(page.matches("<script").count(), 1);
}

#[test]
fn a_run_without_anything_is_a_page_too() {
    let environment = example::environment(false);
    let nothing = Report::new("board", example::start(), environment.clone(), None).conclude();
    assert!(render(&nothing).contains("nothing was measured"));
    let mut failed = example::measurement();
    failed.completed = 0;
    failed.complete = Times::new();
    failed.connect = Times::new();
    failed.first_byte = Times::new();
    failed.seconds.truncate(1);
    failed.errors = [(tcpctl_engine::measurement::ErrorClass::Refused, 3)].into();
    let failed = Report::new("board", example::start(), environment, Some(&failed));
    let page = render(&failed.conclude());
    assert!(page.contains("<p class=\"answer bad\">all 3 requests failed"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn nothing_that_others_wrote_is_markup(
        inside in "(</script>|<!--|<script>|]]>|\\{\\{json\\}\\}|&lt;|[<>&\"'\u{2028}\u{202e}a]){1,8}",
    ) {
        let mut report = example::full();
        let plain = render(&report);
        report.target.clone_from(&inside);
        report.environment.os.clone_from(&inside);
        report.environment.kernel = Some(inside.clone());
        report.verdict = inside.clone();
        report.caveats[0].text.clone_from(&inside);
        let limits = report.limits.as_mut().unwrap();
        let held = limits.evidence.get_mut("held").unwrap();
        held.detail.clone_from(&inside);
        let page = render(&report);
        // As many scripts, comments and ends of scripts as without it, and the same report.
        for markup in ["<script", "</script", "<!--"] {
            prop_assert_eq!(page.matches(markup).count(), plain.matches(markup).count());
        }
        prop_assert_eq!(embedded(&page), serde_json::to_value(&report).unwrap());
        // Nor does it turn the direction of text.
        let (visible, _) = page.split_once("id=\"report\"").unwrap();
        let turned = visible.contains('\u{202e}');
        prop_assert!(!turned);
    }
}
