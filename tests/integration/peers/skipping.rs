use std::env;
use std::process::Command;

/// Runs a test that needs a program, with an empty PATH. Returns whether it passed, and its output.
fn run_without_programs(require: &str) -> (bool, String) {
    let mut tests = Command::new(env::current_exe().expect("a test runs from a file"));
    tests.args([
        "--exact",
        "peers::servers::server_that_answers_on_fin_needs_half_close",
    ]);
    tests.env("PATH", "").env("TCPCTL_REQUIRE_PEERS", require);
    let output = tests.output().expect("the tests can run once more");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(text.contains("running 1 test"), "{text}");
    (output.status.success(), text)
}

#[test]
fn skip_is_printed_by_a_passing_test() {
    let (passed, output) = run_without_programs("");
    assert!(passed, "{output}");
    assert!(
        output.contains("skipped: needs socat (peers::servers::"),
        "{output}"
    );
}

#[test]
fn skip_fails_when_peers_are_required() {
    let (passed, output) = run_without_programs("1");
    assert!(!passed, "{output}");
    assert!(output.contains("needs socat"), "{output}");
}
