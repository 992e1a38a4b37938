#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tcpctl::discover::report::{Event, JSON_SCHEMA, Source, Status};

use super::network::{Board, Network, after, server, until};

#[test]
fn a_board_is_reported_in_full_and_connected_to_once() {
    let network = Network::new();
    let (port, connections) = server();
    let plan = network.plan(after(Duration::from_millis(1800)));
    let (found, events) = network.search(&[Board::new(7, port)], &plan);
    assert_eq!(found.count, 1);
    let [event] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(event.event, Event::Found);
    let board = &event.board;
    assert_eq!(board.name.as_deref(), Some("board-7"));
    assert_eq!(board.host.as_deref(), Some("board-7.local"));
    assert_eq!(board.addresses, ["127.0.0.1"]);
    assert_eq!(board.port, Some(port));
    assert_eq!(board.chip.as_deref(), Some("virtual"));
    assert_eq!(board.mode.as_deref(), Some("ap"));
    assert_eq!(board.firmware.as_deref(), Some("1.2.3"));
    assert_eq!(board.mac.as_deref(), Some("02:00:00:00:00:07"));
    assert_eq!(board.sources, [Source::Mdns]);
    assert_eq!(board.status, Status::Online);
    assert_eq!(board.interface.as_ref(), Some(&network.loopback.name));
    assert!(board.rtt_us.is_some());
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[test]
fn events_match_the_schema() {
    let network = Network::new();
    let (port, _) = server();
    let (_, events) = network.search(&[Board::new(1, port)], &network.plan(until(1)));
    let schema = serde_json::from_str(JSON_SCHEMA).unwrap();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let event = serde_json::to_value(&events[0]).unwrap();
    assert!(validator.is_valid(&event), "{event}");
    let reported: HashSet<_> = event.as_object().unwrap().keys().collect();
    let known: HashSet<_> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(reported, known);
    let mut wrong = event.clone();
    wrong["status"] = "maybe".into();
    assert!(!validator.is_valid(&wrong));
}

#[test]
fn a_search_stops_at_the_first_board() {
    let network = Network::new();
    let (port, _) = server();
    let begin = Instant::now();
    let (found, events) = network.search(&[Board::new(1, port)], &network.plan(until(1)));
    assert_eq!((found.count, events.len()), (1, 1));
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_board_that_refuses_is_unreachable() {
    let network = Network::new();
    let (_bound, closed) = crate::common::closed_port();
    let plan = network.plan(after(Duration::from_millis(800)));
    let (found, events) = network.search(&[Board::new(1, closed.port())], &plan);
    assert_eq!(found.count, 0);
    assert_eq!(found.diagnostics.unreachable, 1);
    assert_eq!(events[0].board.status, Status::Unreachable);
    assert_eq!(events[0].board.rtt_us, None);
}

#[test]
fn five_hundred_boards_are_found_once_each() {
    let network = Network::new();
    let servers: Vec<_> = (0..20).map(|_| server()).collect();
    let boards: Vec<_> = (0..500)
        .map(|number| Board::new(number, servers[usize::from(number) % servers.len()].0))
        .collect();
    let (found, events) = network.search(&boards, &network.plan(until(500)));
    assert_eq!(found.count, 500);
    let names: HashSet<_> = events.iter().map(|it| it.board.name.clone()).collect();
    assert_eq!(names.len(), 500);
    assert_eq!(events.len(), 500, "none is reported twice");
    // Boards at one address share one connection.
    for (_, connections) in servers {
        assert_eq!(connections.load(Ordering::Relaxed), 1);
    }
}

#[test]
fn the_later_of_two_equal_names_changes() {
    let network = Network::new();
    let ((a, _), (b, _)) = (server(), server());
    let mut second = Board::new(2, b);
    second.name = "board-1".into();
    let announcers = [&[Board::new(1, a)][..], &[second]];
    let (found, events) = network.search_among(&announcers, &network.plan(until(2)));
    assert_eq!(found.count, 2);
    let names: HashSet<_> = events
        .iter()
        .filter_map(|it| it.board.name.as_deref())
        .collect();
    assert_eq!(names, HashSet::from(["board-1", "board-1-2"]));
}
