//! Console output for people and for programs.

use std::io::{self, BufRead, BufReader, Read};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::board::{exchange, listening};
use crate::processes::{Board, GREETING, Process};

#[test]
fn json_prints_one_event_per_line() {
    let mut sim = Board::tcpctl();
    sim.args(["sim", "tutorial", "--listen", "127.0.0.1:0", "--json"]);
    sim.args(["--seed", "7"]);
    let board = Board::start(sim);
    let address = board.address;
    let (text_from, _) = exchange(address, b"hi\r\n");
    let (bytes_from, _) = exchange(address, b"\xff\x00");
    board.wait_for("request_base64");
    let ended = board.interrupt();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{ended:?}");
    let mut events: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .inspect(crate::common::schema::check)
        .map(without_time)
        .collect();
    let management = events[0]
        .as_object_mut()
        .and_then(|ready| ready.remove("mgmt"));
    assert!(management.is_some_and(|port| port.is_u64()));
    let schema = "tcpctl.sim/1";
    let expected = [
        json!({
            "schema": schema, "event": "ready", "addr": address, "mode": "ap",
            "workers": 1, "backlog": 2, "profile": "tutorial", "seed": 7, "firmware": null,
        }),
        json!({
            "schema": schema, "event": "request", "peer": text_from, "len": 4,
            "request": "hi\r\n", "reply_bytes": 11,
        }),
        json!({
            "schema": schema, "event": "request", "peer": bytes_from, "len": 2,
            "request_base64": "/wA=", "reply_bytes": 11,
        }),
        json!({
            "schema": schema, "event": "summary", "accepted": 2, "served": 2, "refused": 0,
            "timed_out": 0, "reset": 0, "bytes_in": 6, "bytes_out": 22, "events_dropped": 0,
        }),
    ];
    assert_eq!(events, expected);
}

/// An event without its time, which is checked separately.
fn without_time(mut event: Value) -> Value {
    let time = event.as_object_mut().and_then(|event| event.remove("time"));
    let time = time.as_ref().and_then(Value::as_str).unwrap_or_default();
    assert!(
        humantime::parse_rfc3339(time).is_ok(),
        "{event}: time {time}"
    );
    if let Some(event) = event.as_object_mut() {
        event.remove("elapsed_us");
    }
    event
}

/// More requests than the pipe and the event queue can hold, without a reader.
#[test]
fn unread_console_does_not_block_the_board() {
    const CLIENTS: usize = 4;
    const REQUESTS_EACH: usize = 1500;
    let (reader, writer) = io::pipe().expect("a pipe can be had");
    let mut sim = Board::tcpctl();
    sim.args(["sim", "ideal", "--listen", "127.0.0.1:0", "--backlog", "8"]);
    let process = Process::start_into(sim, writer);
    let mut console = BufReader::new(reader);
    let mut ready = String::new();
    console.read_line(&mut ready).expect("the board starts");
    let address = Board::address_in(ready.trim()).expect("the first line has the address");

    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            std::thread::spawn(move || {
                for _ in 0..REQUESTS_EACH {
                    assert_eq!(exchange(address, b"hi").1, GREETING.as_bytes());
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("every request is answered");
    }

    process.signal(Signal::INT);
    let mut output = String::new();
    console.read_to_string(&mut output).expect("it is text");
    assert_eq!(process.finish().code, Some(0));
    // Omitted events are counted.
    let requests = output
        .lines()
        .filter(|line| line.starts_with("request "))
        .count();
    let summary = output.lines().last().expect("a summary");
    let dropped = summary
        .rsplit_once(" events_dropped=")
        .unwrap_or_else(|| panic!("{summary}"))
        .1;
    let dropped: usize = dropped.parse().expect("a number");
    assert_eq!(requests + dropped, CLIENTS * REQUESTS_EACH, "{summary}");
}

#[test]
fn stderr_is_silent_without_a_terminal() {
    let board = listening("ideal");
    exchange(board.address, b"hi");
    assert_eq!(board.interrupt().stderr, "");
}
