//! Saved runs, which are untrusted.

use tcpctl::bench::chart::Charset;
use tcpctl::bench::merge::{self, Unrelated};
use tcpctl::bench::report::Report;
use tcpctl::bench::saved;
use tcpctl::bench::text::{self, Detail, Style};
use tcpctl::bench::{compare, html};
use tcpctl::output::Color;

/// A file that is accepted can be shown, compared, merged and written again. Any other file is an
/// error on one harmless line.
pub fn holds(data: &[u8]) {
    match saved::parse(data) {
        Ok(run) => self::run(&run),
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
        let style = Style {
            color: Color::Off,
            charset,
            width,
            fold,
        };
        let text = text::render(run, Detail::Full, style);
        assert!(super::is_harmless(&text), "{text:?}");
    }
    page(run);
    compare::compare(run, run).has_difference();
    let mut other = run.clone();
    other.target.push('2');
    if let Err(failure) = merge::merge(vec![run.clone(), other], Unrelated::Warn) {
        assert!(super::is_harmless(&failure.to_string()));
    }
    assert!(saved::parse(&saved::bytes(run)).is_ok());
}

/// The text of a page contains no markup.
fn page(run: &Report) {
    let mut run = run.clone();
    "<intruder a=\"1\">&intruder;".clone_into(&mut run.target);
    let page = html::render(&run);
    assert!(!page.contains("<intruder") && !page.contains("&intruder"));
}
