use std::env;
use std::process::Command;

/// Runs a test that needs a program in a process that finds none; says whether it passed, and
/// what was said.
fn run_without_programs(require: &str) -> (bool, String) {
    let mut tests = Command::new(env::current_exe().expect("a test runs from a file"));
    tests.args([
        "--exact",
        "peers::servers::server_that_answers_on_fin_needs_half_close",
    ]);
    tests.env("PATH", "").env("TCPCTL_REQUIRE_PEERS", require);
    let output = tests.output().expect("the tests can run once more");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("running 1 test"), "{said}");
    (output.status.success(), said)
}

#[test]
fn skip_is_printed_by_a_passing_test() {
    let (passed, said) = run_without_programs("");
    assert!(passed, "{said}");
    assert!(
        said.contains("skipped: needs socat (peers::servers::"),
        "{said}"
    );
}

#[test]
fn skip_fails_when_peers_are_required() {
    let (passed, said) = run_without_programs("1");
    assert!(!passed, "{said}");
    assert!(said.contains("needs socat"), "{said}");
}
