//! Sessions between a client and a board, over bytes in memory.

use tcpctl_management::{
    BoardEvent, BoardSession, ClientError, ClientEvent, ClientSession, Request, Response,
};
use tcpctl_settings::ManagementKey;

pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

pub(crate) fn key() -> ManagementKey {
    ManagementKey::new([7; 32])
}

/// A board and a client before the first handshake message. `seed` is their source of randomness.
pub(crate) fn greeted(seed: u8) -> (BoardSession, ClientSession) {
    let (board, hello) = BoardSession::start(MAC, &key(), [seed; 32]).unwrap();
    let mut client = ClientSession::new();
    match client.receive(&mut &hello[..]).unwrap() {
        ClientEvent::Hello(hello) => assert_eq!((hello.version, hello.mac), (1, MAC)),
        other => panic!("{other:?}"),
    }
    (board, client)
}

/// The bytes that the board sends in reply.
pub(crate) fn reply(board: &mut BoardSession, bytes: &[u8]) -> Vec<u8> {
    match board.receive(&mut &bytes[..]).unwrap() {
        BoardEvent::Send(bytes) => bytes,
        other => panic!("{other:?}"),
    }
}

/// A board and a client after the handshake.
pub(crate) fn established(seed: u8) -> (BoardSession, ClientSession) {
    let (mut board, mut client) = greeted(seed);
    let first = client.authenticate(&key(), [seed + 1; 32]).unwrap();
    let second = reply(&mut board, &first);
    let event = client.receive(&mut &second[..]).unwrap();
    assert!(matches!(event, ClientEvent::Established), "{event:?}");
    (board, client)
}

/// The request that the board receives.
pub(crate) fn send(
    board: &mut BoardSession,
    client: &mut ClientSession,
    request: &Request,
) -> Request {
    let bytes = client.request(request).unwrap();
    match board.receive(&mut &bytes[..]).unwrap() {
        BoardEvent::Request(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_and_responses_alternate() {
    let (mut board, mut client) = established(1);
    for sequence in 0..3 {
        let request = Request::Confirm { sequence };
        assert_eq!(send(&mut board, &mut client, &request), request);
        let response = Response::Restarting { sequence };
        let bytes = board.respond(&response).unwrap();
        match client.receive(&mut &bytes[..]).unwrap() {
            ClientEvent::Response(received) => assert_eq!(received, response),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn bytes_may_arrive_in_any_pieces() {
    let (mut board, mut client) = greeted(1);
    let first = client.authenticate(&key(), [9; 32]).unwrap();
    let (last, head) = first.split_last().unwrap();
    for byte in head {
        let event = board.receive(&mut &[*byte][..]).unwrap();
        assert!(matches!(event, BoardEvent::NeedMore), "{event:?}");
    }
    let second = reply(&mut board, &[*last]);
    client.receive(&mut &second[..]).unwrap();
    // Two requests in one piece.
    let requests = [Request::Show, Request::Abort { sequence: 8 }];
    let bytes: Vec<u8> = requests
        .iter()
        .flat_map(|request| client.request(request).unwrap())
        .collect();
    let mut input = &bytes[..];
    for request in requests {
        match board.receive(&mut input).unwrap() {
            BoardEvent::Request(received) => assert_eq!(received, request),
            other => panic!("{other:?}"),
        }
    }
    assert!(input.is_empty());
}

#[test]
fn nothing_is_authenticated_before_the_first_transport_message() {
    let (mut board, mut client) = greeted(1);
    assert_eq!(client.request(&Request::Show), Err(ClientError::OutOfOrder));
    assert!(board.respond(&Response::Done).is_err());
    let first = client.authenticate(&key(), [9; 32]).unwrap();
    let second = reply(&mut board, &first);
    client.receive(&mut &second[..]).unwrap();
    assert!(!board.is_authenticated());
    assert!(board.respond(&Response::Done).is_err());
    send(&mut board, &mut client, &Request::Show);
    assert!(board.is_authenticated());
    assert!(board.respond(&Response::Done).is_ok());
}

#[test]
fn client_asks_for_the_key_after_the_hello() {
    let mut client = ClientSession::new();
    assert_eq!(
        client.authenticate(&key(), [9; 32]),
        Err(ClientError::OutOfOrder)
    );
}

#[test]
fn other_servers_and_versions_are_recognized() {
    let hello = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        let bytes = [&length[..], content].concat();
        ClientSession::new().receive(&mut &bytes[..])
    };
    let version_2 = hello(b"TCPM\x02\x02\x00\x00\x00\x00\x01 and more").unwrap_err();
    assert_eq!(version_2, ClientError::UnsupportedVersion { board: 2 });
    assert!(version_2.to_string().contains("version 2"), "{version_2}");
    for other in [
        &b"TCPX\x01\x02\x00\x00\x00\x00\x01"[..],
        b"TCPM\x01",
        &[0; 65],
    ] {
        assert_eq!(hello(other).unwrap_err(), ClientError::NotManagement);
    }
    let greeting = ClientSession::new().receive(&mut &b"Hello World"[..]);
    assert_eq!(greeting.unwrap_err(), ClientError::NotManagement);
}

#[test]
fn debug_output_has_no_key() {
    let (board, client) = established(1);
    let text = format!("{board:?} {client:?}");
    assert_eq!(
        text,
        "BoardSession { is_authenticated: false, .. } ClientSession { state: \"Transport\", .. }"
    );
}
