//! Several exchanges: `--count`, `--retry`, `--targets`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::{Server, closed_port, finish, read_some, run, run_with_input, tcpctl};

#[test]
fn count_prints_objects_and_a_summary() {
    let connections = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        // Every third connection gets no reply.
        if connections.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
            let _ = connection.write_all(b"pong");
        }
    });
    let target = server.target();
    let ended = run([
        "send",
        &target,
        "ping",
        "--count",
        "6",
        "--interval",
        "1ms",
        "--json",
    ]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let objects = ended.objects();
    assert_eq!(objects.len(), 8, "{ended:?}");
    for (index, object) in objects[..6].iter().enumerate() {
        assert_eq!(object["seq"], index + 1);
        assert_eq!(object["schema"], "tcpctl.send/1");
        assert_eq!(object["exit_code"], i32::from(index % 3 == 2));
    }
    let summary = &objects[6];
    assert_eq!(summary["schema"], "tcpctl.send.summary/1");
    assert_eq!(
        (&summary["sent"], &summary["received"], &summary["lost"]),
        (&6.into(), &4.into(), &2.into())
    );
    let times = &summary["first_byte_us"];
    let time = |name: &str| times[name].as_u64().unwrap();
    assert!(
        time("min") <= time("p50") && time("p50") <= time("p99"),
        "{times}"
    );
    assert!(
        time("p99") <= time("max") && time("mean") <= time("max"),
        "{times}"
    );
    assert_eq!(objects[7]["schema"], "tcpctl.error/1");
    assert_eq!(objects[7]["kind"], "negative");
}

#[test]
fn count_prints_statistics() {
    let server = Server::greeter(b"pong\n");
    let target = server.target();
    let ended = run_with_input(
        ["send", &target, "--count", "3", "--interval", "0"],
        b"ping",
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stdout, b"pong\npong\npong\n");
    assert!(
        ended.stderr.contains("3 sent, 3 received, 0 lost (0%)"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("p99"), "{ended:?}");
}

#[test]
fn refused_connections_are_lost_tries() {
    let (_bound, address) = closed_port();
    let target = address.to_string();
    let ended = run([
        "send",
        &target,
        "x",
        "--count",
        "2",
        "--interval",
        "0",
        "--json",
    ]);
    assert_eq!(ended.code, 7, "{ended:?}");
    let objects = ended.objects();
    let seqs: Vec<_> = objects
        .iter()
        .map(|object| object["seq"].as_u64())
        .collect();
    assert_eq!(seqs, [Some(1), Some(2), None, None], "{ended:?}");
    assert_eq!(objects[2]["lost"], 2);
    assert_eq!(objects[2]["first_byte_us"], serde_json::Value::Null);
    assert_eq!(objects[3]["kind"], "connect");
}

#[test]
fn retry_reaches_a_server_that_starts_later() {
    let (socket, address) = closed_port();
    let target = address.to_string();
    let mut child = tcpctl([
        "send",
        &target,
        "hi",
        "--retry",
        "50",
        "--retry-delay",
        "1ms",
    ])
    .spawn()
    .unwrap();
    // The server listens only after the first retry is announced.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("retry 1 of 50"), "{line}");
    socket.listen(8).unwrap();
    let _server = Server::on(TcpListener::from(socket), |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"up");
    });
    let ended = finish(child);
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"up"[..]));
}

#[test]
fn retries_are_bounded() {
    let (_bound, address) = closed_port();
    let target = address.to_string();
    let ended = run([
        "send",
        &target,
        "hi",
        "--retry",
        "2",
        "--retry-delay",
        "1ms",
    ]);
    assert_eq!(ended.code, 7, "{ended:?}");
    assert_eq!(ended.stderr.matches("(retry ").count(), 2, "{ended:?}");
}

#[test]
fn dead_target_does_not_hide_the_others() {
    let first = Server::greeter(b"one\nmore");
    let second = Server::greeter(b"two");
    let (_bound, dead) = closed_port();
    let list = format!(
        "# the desk\n{}\n\n{dead}\n{}\n",
        first.address, second.address
    );
    let ended = run_with_input(["send", "--targets", "-", "-m", "hi"], list.as_bytes());
    assert_eq!(ended.code, 7, "{ended:?}");
    let mut lines: Vec<_> = std::str::from_utf8(&ended.stdout)
        .unwrap()
        .lines()
        .collect();
    lines.sort_unstable();
    let mut expected = [
        format!("{}: one", first.address),
        format!("{}: more", first.address),
        format!("{}: two", second.address),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert!(ended.stderr.contains(&dead.to_string()), "{ended:?}");
}

#[test]
fn targets_have_an_object_each_and_the_worst_last() {
    let good = Server::greeter(b"one");
    let silent = Server::greeter(b"");
    let (_bound, dead) = closed_port();
    let list = format!("{}\n{}\n{dead}\n", good.address, silent.address);
    for parallel in ["1", "3"] {
        let arguments = ["send", "--targets", "-", "--json", "--parallel", parallel];
        let ended = run_with_input(arguments, list.as_bytes());
        assert_eq!(ended.code, 7, "{ended:?}");
        let objects = ended.objects();
        assert_eq!(objects.len(), 4, "{ended:?}");
        let mut codes: Vec<_> = objects[..3]
            .iter()
            .map(|object| object["exit_code"].as_i64().unwrap())
            .collect();
        codes.sort_unstable();
        assert_eq!(codes, [0, 1, 7]);
        assert_eq!(objects[3]["schema"], "tcpctl.error/1");
        assert_eq!(objects[3]["exit_code"], 7);
    }
}

#[test]
fn discover_output_is_a_list_of_targets() {
    let server = Server::greeter(b"found");
    let list = format!(
        r#"{{"schema":"tcpctl.discover/1","event":"found","name":"greeter-1a2b3c","addresses":["{}"],"port":{},"status":"online"}}"#,
        server.address.ip(),
        server.address.port()
    );
    let ended = run_with_input(["send", "--targets", "-"], list.as_bytes());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stdout, b"greeter-1a2b3c: found\n");
}

#[test]
fn with_a_list_the_only_argument_is_the_message() {
    let server = Server::start(|mut connection| {
        let message = read_some(&mut connection);
        let _ = connection.write_all(&message);
    });
    let list = format!("{}\n", server.target());
    let list = list.as_bytes();
    let send =
        |more: &[&str]| run_with_input([&["send", "--targets", "-"][..], more].concat(), list);
    let ended = send(&["hello"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.ends_with(b": hello\n"), "{ended:?}");
    for (arguments, named) in [
        (&["sim", "hello"][..], "exclude each other"),
        (&["one", "-m", "two"], "second message"),
        (&["-"], "standard input cannot be both"),
    ] {
        let ended = send(arguments);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.stderr.contains(named), "{ended:?}");
    }
}

#[test]
fn empty_list_is_a_negative_answer() {
    let ended = run_with_input(["send", "--targets", "-"], b"# empty\n");
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("no targets"), "{ended:?}");
}

#[test]
fn list_that_is_too_large_is_refused() {
    let large = vec![b'#'; 16 * 1024 * 1024 + 1];
    let ended = run_with_input(["send", "--targets", "-"], &large);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.stderr.contains("too large"), "{ended:?}");
}

#[test]
fn discover_errors_do_not_hide_its_boards() {
    let server = Server::greeter(b"found");
    let list = format!(
        "{}\n{}\n",
        format_args!(
            r#"{{"schema":"tcpctl.discover/1","event":"found","name":"a","addresses":["{}"],"port":{}}}"#,
            server.address.ip(),
            server.address.port()
        ),
        r#"{"schema":"tcpctl.error/1","command":"discover","kind":"device","target":null,"message":"no serial ports","hint":null,"exit_code":70}"#
    );
    let ended = run_with_input(["send", "--targets", "-"], list.as_bytes());
    assert_eq!(ended.code, 70, "{ended:?}");
    assert_eq!(ended.stdout, b"a: found\n");
    assert!(ended.stderr.contains("no serial ports"), "{ended:?}");
}

#[test]
fn count_0_repeats_until_interrupted() {
    let (sender, asked) = std::sync::mpsc::channel();
    let server = Server::start(move |mut connection| {
        read_some(&mut connection);
        let _ = connection.write_all(b"pong");
        let _ = sender.send(());
    });
    let target = server.target();
    let arguments = ["send", &target, "x", "--count", "0", "--interval", "1ms"];
    let child = tcpctl(arguments).spawn().unwrap();
    for _ in 0..20 {
        asked.recv().unwrap();
    }
    crate::common::signal(&child, rustix::process::Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{ended:?}");
    assert!(ended.stderr.contains("0 lost"), "{ended:?}");
}
