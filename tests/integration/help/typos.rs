//! Typos get a suggestion, and `tcpctl help` prints the help.

use crate::common::{assert_one_error, run};

#[test]
fn typo_suggests_the_nearest_word() {
    for (line, wrong, meant) in [
        ("sned x", "'sned'", "'send'"),
        ("discovr", "'discovr'", "'discover'"),
        ("send x --idel 1s", "'--idel'", "'--idle'"),
        ("bench x --fail-iff y", "'--fail-iff'", "'--fail-if'"),
        ("bench x --only latncy", "'latncy'", "'latency'"),
        ("--color nevr send x", "'nevr'", "'never'"),
        ("sim tutoral", "'tutoral'", "'tutorial'"),
        ("completions bsh", "'bsh'", "'bash'"),
        ("schema bnech", "'bnech'", "'bench'"),
        ("man monitr", "'monitr'", "'monitor'"),
        ("bench sim --fail-if p95>5ms", "'p95'", "'p99"),
        ("bench sim --fail-if eror>0", "'eror'", "'errors'"),
        ("send sim:lossi", "'lossi'", "lossy"),
        ("send sim:esp32,worker=2", "'worker'", "workers"),
        ("sim --mode app", "--mode", "ap, sta"),
        ("wifi x", "wifi", "tcpctl configure"),
        ("configure x --password y", "--password", "--password-stdin"),
        ("configure x --port 3001", "--port", "HOST:PORT"),
    ] {
        let ended = run(line.split(' '));
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{line}");
        assert_one_error(&ended.stderr);
        assert!(ended.stderr.contains(wrong), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(meant), "{line}: {}", ended.stderr);
    }
}

#[test]
fn help_command_prints_the_long_help() {
    for (line, same) in [("help", "--help"), ("help send", "send --help")] {
        let ended = run(line.split(' '));
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert_eq!(ended.stdout, run(same.split(' ')).stdout);
    }
}
