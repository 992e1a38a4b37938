//! Transcripts of terminal sessions: `tests/cmd/*.trycmd`. Accept new output with `TRYCMD=overwrite
//! cargo test --test integration transcripts`, and review the difference.

#[cfg(unix)]
#[test]
fn transcripts_match() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let cases = trycmd::TestCases::new();
    cases
        .env("HOME", home.to_str().unwrap())
        .insert_var("[HOME]", home.to_str().unwrap().to_owned())
        .unwrap()
        .env("XDG_CONFIG_HOME", "")
        .env("XDG_CACHE_HOME", "")
        .env("XDG_DATA_HOME", "")
        .env("TCPCTL_CONFIG", "")
        .env("TCPCTL_TARGET", "")
        .env("TCPCTL_PORT", "")
        .env("NO_COLOR", "1")
        .env("COLUMNS", "80")
        .case("tests/cmd/*.trycmd")
        .run();
}
