//! Other programs as clients.

use std::process::{Command, Stdio};

use super::Listen;
use crate::common::run;
use crate::processes::{Need, skipped};

/// Runs a client with `input` on its standard input; returns its output.
fn client(program: &str, arguments: &[&str], input: &str) -> Option<String> {
    if skipped(&[Need::Program(match program {
        "node" => "node",
        "ncat" => "ncat",
        _ => "socat",
    })]) {
        return None;
    }
    let script = format!("printf '{input}' | \"$0\" \"$@\"");
    let output = Command::new("timeout")
        .args(["30", "sh", "-c", &script, program])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{program}: {output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tcpctl_send_gets_the_reply() {
    let listen = Listen::start(&["--once", "--reply", "Hello World"]);
    let ended = run(["send", &listen.address.to_string(), "hi"]);
    assert_eq!((ended.code, &ended.stdout[..]), (0, &b"Hello World"[..]));
    assert_eq!(listen.finish().stdout, b"hi");
}

#[test]
fn node_gets_the_reply() {
    let listen = Listen::start(&["--once", "--reply", "Hello World"]);
    let script = "
        const socket = require('net').connect(+process.argv[1], '127.0.0.1',
            () => socket.write('Hello TCP world!\\r\\n'));
        socket.on('data', data => process.stdout.write(data));
    ";
    let port = listen.address.port().to_string();
    let Some(reply) = client("node", &["-e", script, &port], "") else {
        return;
    };
    assert_eq!(reply, "Hello World");
    assert_eq!(listen.finish().stdout, b"Hello TCP world!\r\n");
}

#[test]
fn ncat_and_socat_are_echoed() {
    let listen = Listen::start(&["--count", "2", "--echo"]);
    let port = listen.address.port().to_string();
    let target = format!("TCP:{}", listen.address);
    let ncat = client("ncat", &["127.0.0.1", &port], "from ncat");
    let socat = client("socat", &["-", &target], "from socat");
    let (Some(ncat), Some(socat)) = (ncat, socat) else {
        assert_eq!(listen.interrupt().code, 0);
        return;
    };
    assert_eq!((&*ncat, &*socat), ("from ncat", "from socat"));
    assert_eq!(listen.finish().stdout, b"from ncatfrom socat");
}

#[test]
fn ncat_and_socat_get_the_output_of_a_command() {
    let listen = Listen::start(&["--count", "2", "--exec", "tr a-z A-Z"]);
    let port = listen.address.port().to_string();
    let target = format!("TCP:{}", listen.address);
    let ncat = client("ncat", &["127.0.0.1", &port], "status");
    let socat = client("socat", &["-", &target], "status");
    let (Some(ncat), Some(socat)) = (ncat, socat) else {
        assert_eq!(listen.interrupt().code, 0);
        return;
    };
    assert_eq!((&*ncat, &*socat), ("STATUS", "STATUS"));
    assert_eq!(listen.finish().code, 0);
}
