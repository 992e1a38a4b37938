//! The Noise handshake, reduced to the algorithms in use.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::constants::X25519_BASEPOINT;
use snow::params::{
    BaseChoice, CipherChoice, DHChoice, HandshakeChoice, HandshakeModifier, HandshakeModifierList,
    HandshakePattern, HashChoice, NoiseParams,
};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, Error, HandshakeState, TransportState};
use tcpctl_settings::ManagementKey;

use crate::frame::{self, TAG_LEN};

/// Length of the random bytes that each side needs for a session: its ephemeral private key.
pub const RANDOM_LEN: usize = 32;

/// Length of a handshake message: a public key, and the tag of an empty payload.
pub(crate) const HANDSHAKE_LEN: usize = 32 + TAG_LEN;

/// The side of the handshake.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    Client,
    Board,
}

/// Starts the handshake with this hello as the prologue.
// Inlined, its 4 kB of stack would be part of the server's frame during the whole session.
#[inline(never)]
pub(crate) fn handshake(
    role: Role,
    hello: &[u8],
    key: &ManagementKey,
    random: [u8; RANDOM_LEN],
) -> Result<HandshakeState, Error> {
    // Built from parts: the parser of names would add to the chip's image.
    let params = NoiseParams::new(
        "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s".to_owned(),
        BaseChoice::Noise,
        HandshakeChoice {
            pattern: HandshakePattern::NN,
            modifiers: HandshakeModifierList {
                list: vec![HandshakeModifier::Psk(0)],
            },
        },
        DHChoice::Curve25519,
        CipherChoice::ChaChaPoly,
        HashChoice::Blake2s,
    );
    let builder = Builder::with_resolver(params, Box::new(Resolver(random)))
        .psk(0, key.reveal())?
        .prologue(hello)?;
    match role {
        Role::Client => builder.build_initiator(),
        Role::Board => builder.build_responder(),
    }
}

/// The frame of the next handshake message, which has no payload.
pub(crate) fn write_handshake(noise: &mut HandshakeState) -> Result<Vec<u8>, Error> {
    let mut message = [0; HANDSHAKE_LEN];
    let length = noise.write_message(&[], &mut message)?;
    Ok(frame::with_prefix(
        message.get(..length).ok_or(Error::Input)?,
    ))
}

/// Checks the peer's handshake message, which must have no payload.
pub(crate) fn read_handshake(noise: &mut HandshakeState, message: &[u8]) -> Result<(), Error> {
    if message.len() != HANDSHAKE_LEN {
        return Err(Error::Input);
    }
    noise.read_message(message, &mut []).map(|_| ())
}

/// The frame of an encrypted message.
pub(crate) fn seal(noise: &mut TransportState, plain: &[u8]) -> Result<Vec<u8>, Error> {
    let mut message = vec![0; plain.len() + TAG_LEN];
    noise.write_message(plain, &mut message)?;
    Ok(frame::with_prefix(&message))
}

/// Decrypts a message. Each is accepted once and in order.
pub(crate) fn open(noise: &mut TransportState, message: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = vec![0; message.len().saturating_sub(TAG_LEN)];
    let length = noise.read_message(message, &mut plain)?;
    plain.truncate(length);
    Ok(plain)
}

/// Offers one algorithm of each kind. `DefaultResolver` chooses at run time, which would link
/// `BLAKE2b` as well.
struct Resolver([u8; RANDOM_LEN]);

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(Some(self.0))))
    }

    fn resolve_dh(&self, _: &DHChoice) -> Option<Box<dyn Dh>> {
        Some(Box::<X25519>::default())
    }

    fn resolve_hash(&self, _: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(&HashChoice::Blake2s)
    }

    fn resolve_cipher(&self, _: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(&CipherChoice::ChaChaPoly)
    }
}

/// X25519 (RFC 7748). The implementation in snow computes public keys on the Edwards curve, which
/// takes 3 kB more code.
#[derive(Default)]
struct X25519 {
    private: [u8; 32],
    public: [u8; 32],
}

impl Dh for X25519 {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        self.public.len()
    }

    fn priv_len(&self) -> usize {
        self.private.len()
    }

    fn set(&mut self, private: &[u8]) {
        self.private.copy_from_slice(private);
        self.public = X25519_BASEPOINT.mul_clamped(self.private).to_bytes();
    }

    fn generate(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let mut private = [0; 32];
        random.try_fill_bytes(&mut private)?;
        self.set(&private);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        &self.private
    }

    fn dh(&self, public: &[u8], out: &mut [u8]) -> Result<(), Error> {
        // Both buffers have the length of the largest curve's keys.
        let public = public.first_chunk().ok_or(Error::Dh)?;
        let shared = MontgomeryPoint(*public).mul_clamped(self.private);
        *out.first_chunk_mut().ok_or(Error::Dh)? = shared.to_bytes();
        Ok(())
    }
}

/// Random bytes for the only ephemeral key of a session.
struct Once(Option<[u8; RANDOM_LEN]>);

impl Random for Once {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Error> {
        let bytes = self.0.take().ok_or(Error::Rng)?;
        if dest.len() != bytes.len() {
            return Err(Error::Rng);
        }
        dest.copy_from_slice(&bytes);
        Ok(())
    }
}
