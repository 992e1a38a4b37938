//! Saved runs and logs, which may come from anyone.

use tcpctl::bench::chart::Charset;
use tcpctl::bench::hdr_log::Log;
use tcpctl::bench::report::Report;
use tcpctl::bench::saved::{self, Saved};
use tcpctl::bench::{compare, html, merge, text};
use tcpctl::output::Color;

/// A file that is read can be shown, compared, merged and written again; any other is one safe line
/// of error.
pub fn holds(data: &[u8]) {
    match saved::parse(data) {
        Ok(Saved::Run(run)) => self::run(&run),
        Ok(Saved::Log(log)) => self::log(&log),
        Err(problem) => {
            assert!(
                super::is_harmless(&problem) && !problem.contains('\n'),
                "{problem:?}"
            );
        }
    }
}

fn run(run: &Report) {
    for (charset, width, fold) in [(Charset::Unicode, 80, None), (Charset::Ascii, 20, Some(20))] {
        let text = text::render(run, Color::Off, charset, width, fold);
        assert!(super::is_harmless(&text), "{text:?}");
    }
    page(run);
    compare::compare(run, run).finds_something();
    if let Err(failure) = merge::merge(vec![run.clone(), run.clone()]) {
        assert!(super::is_harmless(&failure.to_string()));
    }
    let bytes = saved::bytes(run);
    assert!(matches!(saved::parse(&bytes), Ok(Saved::Run(_))));
}

/// Text in the HTML report stays text.
fn page(run: &Report) {
    let mut run = run.clone();
    "<intruder a=\"1\">&intruder;".clone_into(&mut run.target);
    let page = html::render(&run);
    assert!(!page.contains("<intruder") && !page.contains("&intruder"));
}

fn log(log: &Log) {
    let Ok(both) = log.clone().merge(log) else {
        return;
    };
    if let Ok(text) = both.text() {
        assert!(matches!(saved::parse(&text), Ok(Saved::Log(_))));
    }
}
