use std::fs;
use std::process::{Command, Stdio};

use crate::common::{Ended, finish, run, tcpctl};
use crate::processes::{Need, skipped};

/// A cache directory for one test, removed on drop.
struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tcpctl")).unwrap();
        Self(folder)
    }

    fn write(&self, text: &str) {
        fs::write(self.0.path().join("tcpctl/boards.json"), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command: Command = tcpctl(arguments.iter().copied());
        command.env("XDG_CACHE_HOME", self.0.path());
        finish(command.stdout(Stdio::piped()).spawn().unwrap())
    }
}

/// The name of the loopback interface.
fn loopback() -> String {
    let interfaces = tcpctl::net::interfaces::list().unwrap();
    let loopback = interfaces.into_iter().find(|it| it.is_loopback);
    loopback.expect("an interface").name
}

fn now() -> u64 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn cached(boards: &[(&str, &str, u16, u64)]) -> String {
    let boards: Vec<_> = boards
        .iter()
        .map(|(name, address, port, seen)| {
            serde_json::json!({
                "name": name, "host": format!("{name}.local"), "addresses": [address],
                "port": port, "mac": null, "seen": seen,
            })
        })
        .collect();
    serde_json::json!({"version": 1, "boards": boards}).to_string()
}

#[test]
fn invalid_options_are_usage_errors() {
    for (arguments, named) in [
        (&["--probe", "10.0.0.0/8"][..], "16,777,214 addresses"),
        (&["--probe", "10.0.0.0/19"], "--force"),
        (&["--probe", "0.0.0.0/0"], "4,294,967,294 addresses"),
        (&["--probe", "::/0"], "far more than the 4,096"),
        (&["--probe", "10.0.0.0/"], "0 to 32"),
        (&["--probe", "2001:db8::/129"], "0 to 128"),
        (&["--probe", "fe80::/120"], "--interface NAME"),
        (&["--timeout", "0s"], "greater than 0"),
        (&["--probe", "board/24"], "192.168.1.0/24"),
        (&["--probe", "10.0.0.0/40"], "0 to 32"),
        (&["--type", "http"], "--type"),
        (&["--type", "_http._udp"], "_http._udp"),
        (&["--interface", "nosuch0"], "'nosuch0'"),
        (&["--type", "_a._tcp\u{1b}[2J"], r"\x1b[2J"),
        (&["--expect-count", "0"], "1 to 65535"),
        (&["--expect-count", "70000"], "1 to 65535"),
        (&["--expect-count", "x"], "1 to 65535"),
        (&["--first", "--expect-count", "2"], "--first"),
        (&["--watch", "--timeout", "1s"], "--watch"),
        (&["--timeout", "5"], "5s or 5ms"),
        (&["--force"], "--probe"),
        (&["--names", "--watch"], "--names"),
    ] {
        let ended = run(["discover"].iter().chain(arguments).copied());
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(named),
            "{arguments:?}: {}",
            ended.stderr
        );
        assert!(ended.stderr.lines().count() <= 2, "{}", ended.stderr);
    }
}

#[test]
fn nothing_found_is_a_failure_with_a_hint() {
    let loopback = loopback();
    let arguments = [
        "--no-mdns",
        "--no-serial",
        "--interface",
        &loopback,
        "--timeout",
        "50ms",
    ];
    let ended = run(["discover", "--json"].iter().chain(&arguments).copied());
    assert_eq!(ended.code, 1);
    let [error] = &ended.objects()[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(error["schema"], "tcpctl.error/1");
    assert_eq!(error["kind"], "negative");
    assert_eq!(error["message"], "no board found");
    assert!(error["hint"].as_str().unwrap().contains("lo"), "{error}");
}

/// A watch that finds nothing writes nothing, so a write error cannot end it.
#[cfg(unix)]
#[test]
fn a_watch_ends_when_its_pipe_is_closed() {
    let arguments = [
        "discover",
        "--watch",
        "--no-mdns",
        "--no-serial",
        "--interface",
        "lo",
    ];
    let mut child = tcpctl(arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = finish(child);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

#[test]
fn a_probe_lists_what_answers() {
    let port = tcpctl::target::DEFAULT_PORT;
    let address = std::net::Ipv4Addr::new(127, 0, 0, 77);
    if skipped(&[Need::Address(address.into())]) {
        return;
    }
    let listener = std::net::TcpListener::bind((address, port)).unwrap();
    crate::common::Server::on(listener, |mut connection| {
        use std::io::Write;
        crate::common::read_some(&mut connection);
        let _ = connection.write_all(b"Hello \x1b[2J World\nmore\n");
    });
    let cache = Cache::new();
    let arguments = [
        "discover",
        "--no-mdns",
        "--no-serial",
        "--probe",
        "127.0.0.76/30",
    ];
    // Link-local addresses are probed on the given interface.
    let loopback = loopback();
    let on_link = [
        "--probe",
        "fe80::77",
        "--interface",
        &loopback,
        "--timeout",
        "50ms",
    ];
    let ended = run(["discover", "--no-mdns", "--no-serial"]
        .iter()
        .chain(&on_link)
        .copied());
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let ended = cache.run(&arguments);
    let text = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.code, 0, "{text}{}", ended.stderr);
    assert!(text.starts_with("-  "), "{text}");
    assert!(text.contains("127.0.0.77:3000"), "{text}");
    assert!(text.contains(r#""Hello \x1b[2J World""#), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let ended = cache.run(&[&arguments[..], &["--json"]].concat());
    let event = &ended.objects()[0];
    assert_eq!(event["sources"], serde_json::json!(["probe"]));
    assert_eq!(event["status"], "online");
    assert_eq!(event["greeting"], "Hello \u{1b}[2J World");
}

#[test]
fn names_come_from_the_cache_alone() {
    let cache = Cache::new();
    let names = || {
        let ended = cache.run(&["discover", "--names"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!(names(), "");
    let day = 24 * 60 * 60;
    cache.write(&cached(&[
        ("greeter-b", "10.0.0.2", 3000, now()),
        ("greeter-a", "10.0.0.1", 3000, now() - 3600),
        ("greeter-b", "10.0.0.6", 3000, now()),
        ("old", "10.0.0.3", 3000, now() - 2 * day),
        ("Board in the kitchen", "10.0.0.4", 3000, now()),
        // Unsafe names, and names that would be other targets.
        ("\u{1b}[2J", "10.0.0.5", 3000, now()),
        ("two\nlines", "10.0.0.5", 3000, now()),
        ("\u{202e}evil", "10.0.0.5", 3000, now()),
        ("", "10.0.0.5", 3000, now()),
        ("sim", "10.0.0.5", 3000, now()),
        ("10.0.0.9", "10.0.0.5", 3000, now()),
        ("board:80", "10.0.0.5", 3000, now()),
        (" padded ", "10.0.0.5", 3000, now()),
        (r"a\032b", "10.0.0.5", 3000, now()),
    ]));
    assert_eq!(names(), "Board in the kitchen\ngreeter-a\ngreeter-b\n");
    let ended = cache.run(&["discover", "--names", "--json"]);
    let listed = serde_json::json!(["Board in the kitchen", "greeter-a", "greeter-b"]);
    assert_eq!(ended.objects()[0]["names"], listed);
    for damaged in [
        "",
        "{ not json",
        "[]",
        "\0",
        r#"{"version":1,"boards":[{}]}"#,
    ] {
        cache.write(damaged);
        assert_eq!(names(), "", "{damaged}");
    }
}

#[test]
fn a_cached_name_is_a_target_with_its_port() {
    let server = crate::common::Server::greeter(b"Hello from the cache");
    let cache = Cache::new();
    let port = server.address.port();
    cache.write(&cached(&[("desk-board", "127.0.0.1", port, now())]));
    for target in ["desk-board", "desk-board.local", "DESK-BOARD"] {
        let ended = cache.run(&["send", target, "hi"]);
        assert_eq!(ended.stdout, b"Hello from the cache", "{}", ended.stderr);
    }
    // A name may have spaces, written plainly or escaped as DNS tools do.
    let kitchen = cached(&[("Board in the kitchen", "127.0.0.1", port, now())]);
    cache.write(&kitchen);
    for target in [
        "Board in the kitchen",
        "board in the KITCHEN.local",
        r"Board\032in\032the\032kitchen",
        "Board in the kitchen._tcpctl._tcp.local",
    ] {
        let ended = cache.run(&["send", target, "hi"]);
        assert_eq!(ended.stdout, b"Hello from the cache", "{}", ended.stderr);
    }
    let spelled = format!("Board in the kitchen:{port}");
    let ended = cache.run(&["send", &spelled, "hi"]);
    assert_eq!(ended.stdout, b"Hello from the cache", "{}", ended.stderr);
    // A given port takes precedence.
    cache.write(&cached(&[("desk-board", "127.0.0.1", port, now())]));
    let (_bound, closed) = crate::common::closed_port();
    let ended = cache.run(&["send", &format!("desk-board:{}", closed.port()), "hi"]);
    assert_ne!(ended.code, 0);
}

#[test]
fn an_unknown_name_is_not_resolved() {
    let cache = Cache::new();
    for target in [
        "no-such-board-7f3a.local",
        "no-such-board-7f3a",
        "no such board 7f3a",
    ] {
        let ended = cache.run(&["send", "--connect-timeout", "600ms", target, "hi"]);
        assert_eq!(ended.code, 6, "{}", ended.stderr);
        assert!(ended.stderr.contains(target), "{}", ended.stderr);
    }
}

#[test]
fn a_board_without_an_ipv4_address_is_not_announced() {
    let ended = run(["sim", "--announce", "--listen", "[::1]:0"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("--announce"), "{}", ended.stderr);
}

#[test]
fn the_schema_is_printed() {
    let ended = run(["schema", "discover"]);
    let schema: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(schema["title"], "tcpctl.discover/1");
    let kinds = &schema["oneOf"];
    assert_eq!(
        kinds[0]["properties"]["schema"]["const"],
        "tcpctl.discover/1"
    );
    assert_eq!(
        kinds[1]["properties"]["schema"]["const"],
        "tcpctl.discover.names/1"
    );
}
