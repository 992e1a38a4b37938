//! Invalid arguments: exit code 2, one error that names the argument, and nothing is sent.

use crate::common::{Server, finish, run, tcpctl};

#[test]
fn errors_name_the_invalid_argument() {
    let cases: [(&[&str], &str); 37] = [
        (&["board:0"], "port 0"),
        (&["board:70000"], "'70000'"),
        (&["board:"], "'board:'"),
        (&[":3000"], "host is missing"),
        (&[""], "empty"),
        (&[" ab"], "write 'ab'"),
        (&["a\u{1b}[2Jb"], r"a\x1b[2Jb"),
        (&["fe80::1:3000"], "[fe80::1]:3000"),
        (&["[::1"], "'[::1'"),
        (&["fe80::1"], "zone"),
        (&["[fe80::1%nosuch0]:80"], "'nosuch0'"),
        (&["http://board/"], "URL"),
        (&["sim:nonsense"], "nonsense"),
        (&["x", "--expect", "a(b"], "unclosed group"),
        (&["x", "--hex", "4g"], "'g'"),
        (&["x", "--hex", "486"], "odd"),
        (&["x", "--count", "many"], "'many'"),
        (&["x", "--lines", "0"], "--lines"),
        (&["x", "--parallel", "2"], "--targets"),
        (&["x", "--interval", "1s"], "--count"),
        (&["x", "--idle", "5"], "5s"),
        (&["x", "--idle", "0"], "--idle"),
        (&["x", "--reply-timeout", "0s"], "--reply-timeout"),
        (&["x", "--connect-timeout", "soon"], "'soon'"),
        (&["x", "--retry", "-1"], "--retry"),
        (&["x", "--file", "/nonexistent/file"], "/nonexistent/file"),
        (&["x", "--file", "/"], "directory"),
        (&["x", "--source", "here"], "'here'"),
        (&["x", "-4", "--source", "::1"], "::1"),
        (&["[::1]:80", "-4"], "[::1]:80"),
        (&["x", "--interface", "nosuch0"], "'nosuch0'"),
        (&["x", "--targets", "y"], "--targets"),
        (&["--targets", "/nonexistent/list"], "/nonexistent/list"),
        (&["--targets", "-", "-m", "-"], "both"),
        (&["x", "--output", "xml"], "'xml'"),
        (&["x", "--color", "red"], "'red'"),
        (&[], "TARGET"),
    ];
    for (arguments, named) in cases {
        let all = ["send"].into_iter().chain(arguments.iter().copied());
        let ended = run(all.clone());
        assert_eq!(ended.code, 2, "{arguments:?} {ended:?}");
        assert!(ended.has_one_error(), "{arguments:?} {ended:?}");
        assert!(ended.stderr.contains(named), "{arguments:?} {ended:?}");
        assert!(ended.stdout.is_empty(), "{arguments:?} {ended:?}");

        let ended = run(all.chain(["--json"]));
        assert_eq!(ended.code, 2, "{arguments:?} {ended:?}");
        let objects = ended.objects();
        let [error] = objects.as_slice() else {
            panic!("{arguments:?} {ended:?}");
        };
        assert_eq!(error["schema"], "tcpctl.error/1", "{error}");
        assert_eq!(error["command"], "send", "{error}");
        assert_eq!(error["kind"], "usage", "{error}");
        assert_eq!(error["exit_code"], 2, "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        assert!(
            error["hint"].is_null() || error["hint"].is_string(),
            "{error}"
        );
    }
}

#[test]
fn conflicting_options_are_rejected() {
    for arguments in [
        &["message", "-m", "other"][..],
        &["message", "--hex", "00"],
        &["message", "--file", "/dev/null"],
        &["--crlf", "--lf"],
        &["-4", "-6"],
        &["--until-close", "--idle", "1s"],
        &["--lines", "1", "--expect", "x"],
        &["--no-reply", "--until-close"],
        &["--json", "--output", "hex"],
    ] {
        let all = ["send", "127.0.0.1"].into_iter();
        let ended = run(all.chain(arguments.iter().copied()));
        assert_eq!(ended.code, 2, "{arguments:?} {ended:?}");
        if !arguments.contains(&"--json") {
            assert!(ended.has_one_error(), "{arguments:?} {ended:?}");
            assert!(ended.stderr.contains("cannot be used"), "{ended:?}");
        }
    }
}

#[test]
fn invalid_config_file_is_named_with_its_line() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "# the desk\ntarget = \n").unwrap();
    let child = tcpctl(["send"])
        .env("TCPCTL_CONFIG", file.path())
        .spawn()
        .unwrap();
    let ended = finish(child);
    let place = format!("{}:2: ", file.path().display());
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains(&place), "{ended:?}");
    assert!(ended.has_one_error(), "{ended:?}");

    let child = tcpctl(["send"])
        .env("TCPCTL_CONFIG", "/nonexistent.toml")
        .spawn()
        .unwrap();
    let ended = finish(child);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("/nonexistent.toml"), "{ended:?}");
}

#[test]
fn unknown_and_missing_commands_are_usage_errors() {
    let ended = run(["sned"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.has_one_error(), "{ended:?}");
    assert!(ended.stderr.contains("'send'"), "{ended:?}");
    let ended = run([]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("Get started"), "{ended:?}");
    assert!(ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn help_of_help_is_the_help() {
    let help = run(["help"]);
    assert_eq!(help.code, 0, "{help:?}");
    assert_eq!(run(["help", "help"]).stdout, help.stdout);
}

#[test]
fn help_goes_to_stdout_with_examples() {
    let ended = run(["send", "--help"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let help = String::from_utf8(ended.stdout).unwrap();
    assert!(help.matches("$ tcpctl send").count() >= 3, "{help}");
    assert!(!help.contains('\u{1b}'));
    let colored = run(["send", "--help", "--color", "always"]);
    assert!(colored.stdout.contains(&0x1b));
}

#[test]
fn nothing_is_sent_if_an_argument_is_invalid() {
    let (server, received) = Server::recorder();
    let ended = run(["send", &server.target(), "hi", "--expect", "("]);
    assert_eq!(ended.code, 2);
    assert!(received.try_recv().is_err());
}
