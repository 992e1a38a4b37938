//! Typos: one line, with a suggestion.

use crate::common::run;

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
        ("sim --mode app", "--mode", "ap or sta"),
    ] {
        let ended = run(line.split(' '));
        assert_eq!(ended.code, 2, "{line}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{line}");
        assert_eq!(ended.stderr.lines().count(), 1, "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(wrong), "{line}: {}", ended.stderr);
        assert!(ended.stderr.contains(meant), "{line}: {}", ended.stderr);
    }
}

#[test]
fn help_as_a_command_points_to_the_option() {
    for (line, way) in [
        ("help", "write tcpctl --help"),
        ("help send", "write tcpctl send --help"),
    ] {
        let ended = run(line.split(' '));
        assert_eq!(ended.code, 2);
        assert!(ended.stderr.trim_end().ends_with(way), "{}", ended.stderr);
    }
}
