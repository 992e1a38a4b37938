//! Each script in its shell: text typed up to TAB, and the words that the shell then runs.

use super::setup::{Setup, Shell};
use crate::processes::{Need, skipped};

/// Typed text, and the arguments that `tcpctl` then gets.
const TYPED: [(&str, &str); 8] = [
    ("tcpctl disc\t", "<discover>"),
    ("tcpctl send --half\t", "<send> <--half-close>"),
    ("tcpctl bench --only thr\t", "<bench> <--only> <throughput>"),
    ("tcpctl send greeter-1\t", "<send> <greeter-1a2b3c>"),
    ("tcpctl send sim:lo\t", "<send> <sim:lossy>"),
    (
        "tcpctl bench sim:ideal,wor\t2",
        "<bench> <sim:ideal,workers=2>",
    ),
    (
        "tcpctl send kitchen --file ph\t",
        "<send> <kitchen> <--file> <photo of a board.jpg>",
    ),
    ("tcpctl send lab\t", "<send> <lab board>"),
];

/// Cases for shells that split words at `=` and `:`.
const PARTED: [(&str, &str); 4] = [
    (
        "tcpctl bench sim --fail-if 'serv\t<4'",
        "<bench> <sim> <--fail-if> <served<4>",
    ),
    ("tcpctl --color=al\t", "<--color=always>"),
    (
        "tcpctl send '[::1]:3000' --half\t",
        "<send> <[::1]:3000> <--half-close>",
    ),
    (
        "tcpctl bench 127.0.0.1:3000 --only=lat\t",
        "<bench> <127.0.0.1:3000> <--only=latency>",
    ),
];

fn completes<'a>(
    shell: &mut Shell,
    setup: &Setup,
    typed: impl IntoIterator<Item = &'a (&'a str, &'a str)>,
) {
    for (line, words) in typed {
        shell.type_text(line);
        shell.type_text("\r");
        shell.wait_for(&format!("ran: {words}."));
    }
    // Press TAB twice for a list. None of the names is executed.
    shell.type_text("tcpctl send evil\t\t\r");
    shell.wait_for("ran: <send> <evil>.");
    assert!(!setup.was_tricked(), "a board's name was run");
}

#[test]
fn bash_completes() {
    if skipped(&[Need::Program("bash"), Need::Program("setsid")]) {
        return;
    }
    let setup = Setup::new();
    let mut shell = Shell::start(&setup, &["bash", "--noprofile", "--norc", "-i"]);
    shell.type_text(&format!(
        "PS1='$ '; source {}; echo loaded $?.\r",
        Setup::script("tcpctl.bash")
    ));
    shell.wait_for("loaded 0.");
    completes(&mut shell, &setup, TYPED.iter().chain(&PARTED));
    // The completion settings of users whose words include `:` and `=`.
    shell.type_text("COMP_WORDBREAKS=' '; echo changed $?.\r");
    shell.wait_for("changed 0.");
    completes(&mut shell, &setup, TYPED.iter().chain(&PARTED));
}

#[test]
fn zsh_completes() {
    if skipped(&[Need::Program("zsh"), Need::Program("setsid")]) {
        return;
    }
    let setup = Setup::new();
    let mut shell = Shell::start(&setup, &["zsh", "-f", "-i"]);
    shell.type_text(&format!(
        "PS1='$ '; autoload -Uz compinit; compinit -u -D; source {}; echo loaded $?.\r",
        Setup::script("_tcpctl")
    ));
    shell.wait_for("loaded 0.");
    completes(&mut shell, &setup, TYPED.iter().chain(&PARTED));
}

#[test]
fn zsh_loads_the_script_from_fpath() {
    if skipped(&[Need::Program("zsh"), Need::Program("setsid")]) {
        return;
    }
    let setup = Setup::new();
    let folder = Setup::script("");
    let mut shell = Shell::start(&setup, &["zsh", "-f", "-i"]);
    shell.type_text(&format!(
        "PS1='$ '; fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D; echo loaded $?.\r"
    ));
    shell.wait_for("loaded 0.");
    completes(&mut shell, &setup, &TYPED[..1]);
}

#[test]
fn fish_completes() {
    if skipped(&[Need::Program("fish")]) {
        return;
    }
    let setup = Setup::new();
    // fish prints what it would complete for a line.
    let proposed = |line: &str| {
        let script = format!(
            "source {}; complete --do-complete \"{line}\"",
            Setup::script("tcpctl.fish")
        );
        let output = setup
            .command("fish")
            .args(["--no-config", "--command", &script])
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let values = lines
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned());
        values.collect::<Vec<_>>()
    };
    for (line, values) in [
        ("tcpctl disc", vec!["discover"]),
        ("tcpctl send --half", vec!["--half-close"]),
        (
            "tcpctl bench --only ",
            vec!["limits", "latency", "ramp", "throughput"],
        ),
        ("tcpctl send greeter-1", vec!["greeter-1a2b3c"]),
        ("tcpctl send sim:lo", vec!["sim:lossy"]),
        ("tcpctl bench sim:ideal,wor", vec!["sim:ideal,workers="]),
        (
            "tcpctl send kitchen --file ph",
            vec!["photo of a board.jpg"],
        ),
        ("tcpctl --color=al", vec!["--color=always"]),
        ("tcpctl send evil", vec![]),
    ] {
        assert_eq!(proposed(line), values, "{line}");
    }
}

#[test]
fn elvish_completes() {
    // elvish is rare, so its absence is not a failure, even with TCPCTL_REQUIRE_PEERS.
    if !Need::Program("elvish").is_there() || skipped(&[Need::Program("setsid")]) {
        eprintln!("skipped: needs elvish");
        return;
    }
    let setup = Setup::new();
    let rc = Setup::script("tcpctl.elv");
    let mut shell = Shell::start(&setup, &["elvish", "-rc", &rc]);
    // If quoting is needed, elvish shows the only candidate and waits for confirmation.
    completes(&mut shell, &setup, &TYPED[..5]);
}

/// PowerShell is not in Debian: the script is checked as text, and its call of `tcpctl` is run.
#[test]
fn powershell_script_registers_and_completes() {
    let script = std::fs::read_to_string(Setup::script("tcpctl.ps1")).unwrap();
    assert!(script.contains("Register-ArgumentCompleter -Native -CommandName tcpctl "));
    let mut open = Vec::new();
    for character in script
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::chars)
    {
        match character {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => assert_eq!(open.pop(), Some(character), "{script}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{script}");

    let setup = Setup::new();
    let answers = |words: &[&str]| {
        let output = setup
            .command("tcpctl")
            .env("TCPCTL_COMPLETE", "powershell")
            .arg("--")
            .args(words)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let commands = answers(&["tcpctl", ""]);
    for line in commands.lines() {
        let (value, help) = line.split_once('\t').unwrap();
        assert!(
            !value.is_empty() && !help.is_empty() && !help.contains('\t'),
            "{line:?}"
        );
    }
    let targets = answers(&["tcpctl", "send", "lab"]);
    assert!(targets.starts_with("'lab board'\t"), "{targets}");
    assert_eq!(answers(&["tcpctl", "send", "evil"]), "");
    for command in ["flash", "sim"] {
        for option in ["--services", "--status"] {
            let switches = answers(&["tcpctl", command, option, "o"]);
            let mut values: Vec<_> = switches
                .lines()
                .map(|line| line.split('\t').next().unwrap_or_default())
                .collect();
            values.sort_unstable();
            assert_eq!(values, ["off", "on"], "{command} {option}");
        }
    }
}
