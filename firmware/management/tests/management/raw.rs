//! A client that uses the Noise library directly, and can send what `ClientSession` does not.

use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{HandshakeState, TransportState};
use tcpctl_management::BoardSession;

use crate::sessions::{MAC, key, reply};

pub(crate) fn frame(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], content].concat()
}

/// A session before the first handshake message.
pub(crate) fn greeted() -> (BoardSession, HandshakeState) {
    let (board, hello) = BoardSession::start(MAC, &key(), [1; 32]).unwrap();
    let name = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";
    let noise = snow::Builder::with_resolver(name.parse().unwrap(), Box::new(Fixed))
        .psk(0, key().reveal())
        .unwrap()
        .prologue(&hello[2..])
        .unwrap()
        .build_initiator()
        .unwrap();
    (board, noise)
}

pub(crate) fn established() -> (BoardSession, TransportState) {
    let (mut board, mut noise) = greeted();
    let mut first = [0; 48];
    noise.write_message(&[], &mut first).unwrap();
    let second = reply(&mut board, &frame(&first));
    assert_eq!(noise.read_message(&second[2..], &mut []).unwrap(), 0);
    (board, noise.into_transport_mode().unwrap())
}

/// The frame of a message of any content.
pub(crate) fn seal(noise: &mut TransportState, plain: &[u8]) -> Vec<u8> {
    let mut message = vec![0; plain.len() + 16];
    noise.write_message(plain, &mut message).unwrap();
    frame(&message)
}

/// The content of a frame.
pub(crate) fn open(noise: &mut TransportState, frame: &[u8]) -> Vec<u8> {
    let mut plain = vec![0; frame.len()];
    let length = noise.read_message(&frame[2..], &mut plain).unwrap();
    plain.truncate(length);
    plain
}

struct Fixed;

impl Random for Fixed {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        dest.fill(3);
        Ok(())
    }
}

impl CryptoResolver for Fixed {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Self))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}
