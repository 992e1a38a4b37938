//! Attacks without the key and with recorded traffic.

use proptest::prelude::*;
use tcpctl_management::{
    BoardEvent, BoardSession, ClientError, ClientEvent, ClientSession, Closed, MAX_FRAME, Request,
    Response,
};
use tcpctl_settings::ManagementKey;

use crate::raw::{self, frame};
use crate::sessions::{MAC, established, greeted, key, reply, send};

fn is_closed(board: &mut BoardSession, bytes: &[u8]) -> bool {
    let closed = matches!(board.receive(&mut &bytes[..]), Err(Closed));
    // A session that has ended cannot be used again.
    closed && board.receive(&mut &[][..]).is_err() && !board.is_authenticated()
}

#[test]
fn wrong_key_is_closed_without_a_reply() {
    let (mut board, mut client) = greeted(1);
    let mut almost = [7; 32];
    almost[31] ^= 1;
    let first = client
        .authenticate(&ManagementKey::new(almost), [9; 32])
        .unwrap();
    assert!(is_closed(&mut board, &first));
}

#[test]
fn board_without_the_key_is_recognized() {
    let (mut imposter, hello) =
        BoardSession::start(MAC, &ManagementKey::new([8; 32]), [1; 32]).unwrap();
    let mut client = ClientSession::new();
    client.receive(&mut &hello[..]).unwrap();
    let first = client.authenticate(&key(), [9; 32]).unwrap();
    assert!(is_closed(&mut imposter, &first));
    // The forged reply is not valid.
    let forged = client.receive(&mut &frame(&[5; 48])[..]);
    assert_eq!(forged.unwrap_err(), ClientError::Handshake);
}

#[test]
fn replayed_session_fails_at_its_first_request() {
    let (mut board, mut client) = greeted(1);
    let first = client.authenticate(&key(), [9; 32]).unwrap();
    let second = reply(&mut board, &first);
    client.receive(&mut &second[..]).unwrap();
    let request = client.request(&Request::Confirm { sequence: 3 }).unwrap();

    // The board answers a replayed first message, because it cannot recognize it, but its ephemeral
    // key is a new one.
    let (mut board, _) = BoardSession::start(MAC, &key(), [2; 32]).unwrap();
    let replayed = reply(&mut board, &first);
    assert_ne!(replayed, second);
    assert!(!board.is_authenticated());
    assert!(is_closed(&mut board, &request));
}

#[test]
fn replayed_request_is_refused() {
    let (mut board, mut client) = established(1);
    let request = client.request(&Request::Show).unwrap();
    board.receive(&mut &request[..]).unwrap();
    assert!(is_closed(&mut board, &request));
}

#[test]
fn replayed_response_is_refused() {
    let (mut board, mut client) = established(1);
    send(&mut board, &mut client, &Request::Show);
    let response = board.respond(&Response::Done).unwrap();
    client.receive(&mut &response[..]).unwrap();
    let again = client.receive(&mut &response[..]);
    assert_eq!(again.unwrap_err(), ClientError::Protocol);
}

#[test]
fn reordered_and_omitted_requests_are_refused() {
    let (mut board, mut client) = established(1);
    let _first = client.request(&Request::Show).unwrap();
    let second = client.request(&Request::Show).unwrap();
    assert!(is_closed(&mut board, &second));
}

#[test]
fn request_of_another_session_is_refused() {
    let (mut board, _) = established(1);
    let (_, mut client) = established(3);
    let request = client.request(&Request::Show).unwrap();
    assert!(is_closed(&mut board, &request));
}

#[test]
fn request_is_not_accepted_as_a_response() {
    let (_, mut client) = established(1);
    let request = client.request(&Request::Show).unwrap();
    let reflected = client.receive(&mut &request[..]);
    assert_eq!(reflected.unwrap_err(), ClientError::Protocol);
}

#[test]
fn truncated_frames_do_nothing() {
    let (mut board, mut client) = established(1);
    let request = client.request(&Request::Show).unwrap();
    let event = board.receive(&mut &request[..request.len() - 1]).unwrap();
    assert!(matches!(event, BoardEvent::NeedMore), "{event:?}");
    assert!(!board.is_authenticated());
    // With its length adapted the frame is complete, but damaged.
    let (mut board, mut client) = established(1);
    let request = client.request(&Request::Show).unwrap();
    assert!(is_closed(
        &mut board,
        &frame(&request[2..request.len() - 1])
    ));
}

#[test]
fn handshake_with_a_payload_is_refused() {
    let (mut board, mut noise) = raw::greeted();
    let mut message = [0; 100];
    let length = noise.write_message(b"payload", &mut message).unwrap();
    assert!(is_closed(&mut board, &frame(&message[..length])));
}

/// The name of the protocol, as parsed by the library, interoperates with the built parameters.
#[test]
fn handshake_is_the_named_noise_protocol() {
    let (mut board, mut noise) = raw::established();
    // Variant 0 of the requests.
    let event = board
        .receive(&mut &raw::seal(&mut noise, &[0])[..])
        .unwrap();
    assert!(
        matches!(event, BoardEvent::Request(Request::Show)),
        "{event:?}"
    );
}

#[test]
fn changed_hello_fails_the_handshake() {
    for changed in 6..13 {
        let (mut board, mut hello) = BoardSession::start(MAC, &key(), [1; 32]).unwrap();
        hello[changed] ^= 1;
        let mut client = ClientSession::new();
        match client.receive(&mut &hello[..]) {
            Ok(_) => {
                let first = client.authenticate(&key(), [9; 32]).unwrap();
                assert!(is_closed(&mut board, &first), "{changed}");
            }
            Err(error) => {
                assert_eq!(changed, 6, "the version");
                assert_eq!(error, ClientError::UnsupportedVersion { board: 0 });
            }
        }
    }
}

#[test]
fn frame_lengths_are_bounded_in_each_state() {
    let oversize = |length: usize| u16::try_from(length).unwrap().to_be_bytes();
    for length in [0, 47, 49, MAX_FRAME] {
        let (mut board, _) = greeted(1);
        assert!(is_closed(&mut board, &oversize(length)), "{length}");
        let (_, mut client) = greeted(1);
        client.authenticate(&key(), [9; 32]).unwrap();
        let error = client.receive(&mut &oversize(length)[..]).unwrap_err();
        assert_eq!(error, ClientError::Handshake, "{length}");
    }
    for length in [0, 15, MAX_FRAME + 1, usize::from(u16::MAX)] {
        let (mut board, mut client) = established(1);
        assert!(is_closed(&mut board, &oversize(length)), "{length}");
        let error = client.receive(&mut &oversize(length)[..]).unwrap_err();
        assert_eq!(error, ClientError::Protocol, "{length}");
    }
}

#[test]
fn flipped_bit_closes_the_session() {
    let (_, mut client) = greeted(1);
    let first = client.authenticate(&key(), [9; 32]).unwrap();
    for bit in (16..first.len() * 8).step_by(7) {
        // X25519 ignores the highest bit of a public key (RFC 7748 §5); the transcript does not.
        let mut first = first.clone();
        first[bit / 8] ^= 1 << (bit % 8);
        let (mut board, _) = greeted(1);
        assert!(is_closed(&mut board, &first), "bit {bit}");
    }
    let request = established(1).1.request(&Request::Show).unwrap();
    for bit in (16..request.len() * 8).step_by(7) {
        let (mut board, _) = established(1);
        let mut request = request.clone();
        request[bit / 8] ^= 1 << (bit % 8);
        assert!(is_closed(&mut board, &request), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// With any bytes from a peer without the key, the board neither panics nor acts, and sends at
    /// most the second handshake message.
    #[test]
    fn bytes_without_the_key_do_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (mut board, _) = greeted(1);
        let mut input = &bytes[..];
        while let Ok(event) = board.receive(&mut input) {
            prop_assert!(!matches!(event, BoardEvent::Request(_)));
            if matches!(event, BoardEvent::NeedMore) {
                break;
            }
        }
        prop_assert!(!board.is_authenticated());
    }

    /// A server without the key cannot complete the handshake.
    #[test]
    fn client_accepts_no_server_without_the_key(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, mut client) = greeted(1);
        client.authenticate(&key(), [9; 32]).unwrap();
        let mut input = &bytes[..];
        let event = client.receive(&mut input);
        prop_assert!(matches!(event, Ok(ClientEvent::NeedMore) | Err(ClientError::Handshake)));
    }
}
