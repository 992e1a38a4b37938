//! The objects of `--json`.

use serde_json::{Value, json};

use crate::common::{Server, closed_port, read_some, run};

fn one(arguments: &[&str]) -> (i32, Value) {
    let ended = run(arguments.iter().copied());
    let objects = ended.objects();
    assert_eq!(objects.len(), 1, "{ended:?}");
    // Standard error has the failure as well.
    assert_eq!(ended.has_one_error(), ended.code != 0, "{ended:?}");
    (ended.code, objects[0].clone())
}

#[test]
fn exchange_is_one_object() {
    let server = Server::greeter(b"Hello World");
    let target = server.target();
    let (code, object) = one(&["send", &target, "hi", "--json"]);
    assert_eq!(code, 0);
    for (field, value) in [
        ("schema", json!("tcpctl.send/1")),
        ("target", json!(target)),
        ("address", json!(target)),
        ("sent_bytes", json!(2)),
        ("received_bytes", json!(11)),
        ("reply", json!("Hello World")),
        ("truncated", json!(false)),
        ("ended_by", json!("closed")),
    ] {
        assert_eq!(object[field], value, "{field} of {object}");
    }
    let time = |field: &str| object[field].as_u64().unwrap();
    assert!(time("total_us") >= time("connect_us"), "{object}");
    assert!(time("total_us") >= time("first_byte_us"), "{object}");
}

#[test]
fn binary_replies_are_base64() {
    let server = Server::greeter(b"\xff\x00\x01");
    let (_, object) = one(&["send", &server.target(), "hi", "--json"]);
    assert_eq!(object["reply_base64"], "/wAB", "{object}");
    assert_eq!(object.get("reply"), None, "{object}");
}

#[test]
fn long_replies_are_truncated_at_64_kib() {
    static LONG: [u8; 100_000] = [b'x'; 100_000];
    let server = Server::greeter(&LONG);
    let (_, object) = one(&["send", &server.target(), "hi", "--json"]);
    assert_eq!(object["reply"].as_str().unwrap().len(), 65_536);
    assert_eq!(object["received_bytes"], 100_000);
    assert_eq!(object["truncated"], true);
}

#[test]
fn ended_by_names_the_rule() {
    let closes = Server::greeter(b"ready\n");
    let stays = Server::staying(b"ready\n");
    for (server, arguments, by) in [
        (&closes, &["--until-close"][..], "closed"),
        (&stays, &["--expect", "ready"], "matched"),
        (&stays, &["--lines", "1"], "lines"),
        (&stays, &["--idle", "50ms"], "idle"),
        (&stays, &["--no-reply"], "acknowledged"),
    ] {
        let target = server.target();
        let mut all = vec!["send", &target, "hi", "--json"];
        all.extend(arguments);
        let (code, object) = one(&all);
        assert_eq!((code, &object["ended_by"]), (0, &json!(by)), "{object}");
    }
}

#[test]
fn failed_exchange_is_followed_by_an_error() {
    let silent = Server::staying(b"");
    let resets = Server::start(|mut connection| {
        read_some(&mut connection);
        crate::common::reset(connection);
    });
    let closes = Server::greeter(b"");
    for (server, by, kind, exit) in [
        (&silent, "timeout", "timeout", 28),
        (&resets, "reset", "broken", 56),
        (&closes, "closed", "negative", 1),
    ] {
        let target = server.target();
        let ended = run(["send", &target, "hi", "--json", "--reply-timeout", "100ms"]);
        let objects = ended.objects();
        assert_eq!(ended.code, exit, "{ended:?}");
        assert_eq!(objects.len(), 2, "{ended:?}");
        assert_eq!(objects[0]["ended_by"], by, "{ended:?}");
        assert_eq!(objects[0]["first_byte_us"], Value::Null, "{ended:?}");
        assert_eq!(objects[1]["schema"], "tcpctl.error/1", "{ended:?}");
        assert_eq!(objects[1]["kind"], kind, "{ended:?}");
        assert_eq!(objects[1]["target"], json!(target), "{ended:?}");
        assert_eq!(objects[1]["exit_code"], exit, "{ended:?}");
    }
}

#[test]
fn failed_connection_is_one_error() {
    let (_bound, address) = closed_port();
    let (code, error) = one(&["send", &address.to_string(), "hi", "--json"]);
    assert_eq!((code, &error["kind"]), (7, &json!("connect")), "{error}");
    let (code, error) = one(&["send", "nonexistent.invalid", "hi", "--json"]);
    assert_eq!((code, &error["kind"]), (6, &json!("resolve")), "{error}");
    assert_eq!(error["target"], "nonexistent.invalid");
}
