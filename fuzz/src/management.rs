//! The management channel: bytes of peers without the key, and messages of an authenticated peer.

use tcpctl_management::{BoardEvent, BoardSession, ClientEvent, ClientSession, Request, Response};
use tcpctl_settings::ManagementKey;

/// A decoded message encodes to an equal one. Bytes without the key have no effect on either side.
pub fn holds(data: &[u8]) {
    if let Ok(request) = Request::decode(data) {
        let bytes = request.encode().expect("it fits");
        assert_eq!(Request::decode(&bytes), Ok(request));
    }
    if let Some(response) = Response::decode(data) {
        // Texts of any length may make it too long for a message.
        if let Some(bytes) = response.encode() {
            assert_eq!(Response::decode(&bytes), Some(response));
        }
    }
    let key = ManagementKey::new([7; 32]);
    attack_board(data, &key);
    attack_client(data, &key);
}

/// A peer without the key gets at most the second handshake message.
fn attack_board(data: &[u8], key: &ManagementKey) {
    let (mut board, _) = BoardSession::start([2; 6], key, [1; 32]).expect("a session");
    let mut input = data;
    let mut sent = 0;
    loop {
        match board.receive(&mut input) {
            Ok(BoardEvent::Send(bytes)) => sent += bytes.len(),
            Ok(BoardEvent::Request(request)) => panic!("without the key: {request:?}"),
            Ok(BoardEvent::NeedMore) | Err(_) => break,
        }
    }
    assert!(sent <= 50);
    assert!(!board.is_authenticated());
}

/// A server without the key gets only the first handshake message.
fn attack_client(data: &[u8], key: &ManagementKey) {
    let mut client = ClientSession::new();
    let mut input = data;
    loop {
        match client.receive(&mut input) {
            Ok(ClientEvent::Hello(_)) => {
                client.authenticate(key, [2; 32]).expect("in order");
            }
            Ok(event @ (ClientEvent::Established | ClientEvent::Response(_))) => {
                panic!("without the key: {event:?}")
            }
            Ok(ClientEvent::NeedMore) | Err(_) => break,
        }
    }
}
