//! What is written is what is read, and what was damaged is not read at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tcpctl_settings::{
    BLOCK_SIZE, Backlog, BufferTooSmall, Channel, DecodeError, Field, Greeting, HostName, MAX_LEN,
    MaxStations, Network, Passphrase, Reason, RequestTimeout, Security, ServerParts,
    ServerSettings, Services, Settings, Ssid, Status, TcpPort, VERSION, Workers,
};

use crate::any;

fn block(settings: &Settings) -> Vec<u8> {
    settings.encode(&mut [0; MAX_LEN]).unwrap().to_vec()
}

/// A sector as it is after a write: the block, and erased flash behind it.
fn sector(block: &[u8]) -> Vec<u8> {
    let mut sector = vec![0xFF; BLOCK_SIZE];
    sector[..block.len()].copy_from_slice(block);
    sector
}

/// A block with a right check sum around any body.
fn sealed(version: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_le_bytes();
    let covered = [&version.to_le_bytes()[..], &length, body].concat();
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&covered);
    let (header, body) = covered.split_at(4);
    [b"TCPS", header, &crc.to_le_bytes(), body].concat()
}

fn access_point() -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Wpa2(Passphrase::new("correct horse").unwrap()),
    })
}

/// Every text as long as it may be, every number as large.
fn largest() -> Settings {
    Settings {
        network: Network::AccessPoint {
            ssid: Some(Ssid::new([0xFF; 32]).unwrap()),
            security: Security::Wpa2(Passphrase::new(&"f".repeat(64)).unwrap()),
        },
        channel: Channel::MAX,
        max_stations: MaxStations::MAX,
        host_name: Some(HostName::new(&"x".repeat(32)).unwrap()),
        server: ServerSettings::new(ServerParts {
            port: TcpPort::MAX,
            greeting: Greeting::new([0xFF; 256]).unwrap(),
            workers: Workers::MAX,
            backlog: Backlog::MAX,
            request_timeout: RequestTimeout::MAX,
            services: Services::On,
            status: Status::On,
        })
        .unwrap(),
    }
}

proptest! {
    // Each case tries every place of a block: fewer cases are many.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_block_cut_anywhere_is_not_read(settings in any::settings()) {
        let block = block(&settings);
        prop_assert_eq!(Settings::decode(&[]), Err(DecodeError::Blank));
        for end in 1..block.len() {
            prop_assert_eq!(Settings::decode(&block[..end]), Err(DecodeError::Torn), "{}", end);
        }
    }

    /// The power went while the block was being written: its end is still erased.
    #[test]
    fn a_write_that_stopped_anywhere_is_not_read(settings in any::settings()) {
        let block = block(&settings);
        for end in 12..block.len() {
            prop_assert_eq!(
                Settings::decode(&sector(&block[..end])),
                Err(DecodeError::Torn),
                "{}", end
            );
        }
        for end in 0..12 {
            prop_assert!(Settings::decode(&sector(&block[..end])).is_err(), "{}", end);
        }
    }

    #[test]
    fn any_single_flipped_bit_is_detected(settings in any::settings()) {
        let block = block(&settings);
        for bit in 0..block.len() * 8 {
            let mut damaged = sector(&block);
            damaged[bit / 8] ^= 1 << (bit % 8);
            let refused = Settings::decode(&damaged).unwrap_err();
            match bit / 8 {
                0..4 => prop_assert_eq!(refused, DecodeError::NotSettings),
                // A longer length can reach into erased flash or beyond the sector.
                6..8 => prop_assert!(
                    matches!(refused, DecodeError::Corrupted | DecodeError::Torn),
                    "{:?}", refused
                ),
                // The last byte of the body is 0 or 1: a bit away from neither is 0xFF.
                _ => prop_assert_eq!(refused, DecodeError::Corrupted),
            }
        }
    }
}

proptest! {
    #[test]
    fn any_settings_come_back_as_they_were_written(settings in any::settings()) {
        let block = block(&settings);
        prop_assert!(block.len() <= MAX_LEN);
        prop_assert_eq!(Settings::decode(&block), Ok(settings.clone()));
        prop_assert_eq!(Settings::decode(&sector(&block)), Ok(settings));
    }

    #[test]
    fn damage_in_several_places_is_detected(
        settings in any::settings(),
        damage in vec((any::<Index>(), 1..=255u8), 1..8),
    ) {
        let whole = block(&settings);
        let mut damaged = whole.clone();
        for (place, mask) in damage {
            let place = place.index(damaged.len());
            damaged[place] ^= mask;
        }
        prop_assume!(damaged != whole);
        prop_assert!(Settings::decode(&damaged).is_err());
    }

    #[test]
    fn any_bytes_are_refused_or_read_without_a_panic(
        bytes in vec(any::<u8>(), 0..600),
    ) {
        prop_assert!(Settings::decode(&bytes).is_err());
    }

    /// Past magic and check sum: only the body is nonsense. What is read even so is valid, or
    /// else it could not be written and read again.
    #[test]
    fn any_body_is_refused_or_read_without_a_panic(
        version in 0..=4u16,
        body in vec(prop_oneof![0..4u8, any::<u8>()], 0..80),
    ) {
        if let Ok(settings) = Settings::decode(&sealed(version, &body)) {
            prop_assert_eq!(Settings::decode(&block(&settings)), Ok(settings));
        }
    }

    /// A real body with a changed byte gets further into the checks than a random one.
    #[test]
    fn a_faulty_writer_is_refused_or_read_without_a_panic(
        settings in any::settings(),
        place in any::<Index>(),
        value in any::<u8>(),
    ) {
        let mut body = block(&settings).split_off(12);
        let place = place.index(body.len());
        body[place] = value;
        if let Ok(settings) = Settings::decode(&sealed(VERSION, &body)) {
            prop_assert_eq!(Settings::decode(&block(&settings)), Ok(settings));
        }
    }
}

#[test]
fn erased_and_zeroed_flash_is_blank() {
    for value in [0xFF, 0x00] {
        for length in [1, 12, 256, BLOCK_SIZE, 2 * BLOCK_SIZE] {
            assert_eq!(
                Settings::decode(&vec![value; length]),
                Err(DecodeError::Blank)
            );
        }
    }
}

#[test]
fn other_data_is_not_settings() {
    // The first byte of an ESP32 application image is 0xE9.
    assert_eq!(
        Settings::decode(&sector(&[0xE9])),
        Err(DecodeError::NotSettings)
    );
}

#[test]
fn a_length_beyond_the_sector_is_torn_and_not_read_from_the_next_one() {
    let long = sealed(VERSION, &[0; BLOCK_SIZE]);
    assert_eq!(Settings::decode(&long), Err(DecodeError::Torn));
}

#[test]
fn a_newer_block_says_what_to_update() {
    let refused = Settings::decode(&sealed(4, b"who knows")).unwrap_err();
    assert_eq!(refused, DecodeError::Newer { version: 4 });
    assert_eq!(
        refused.to_string(),
        "the stored settings are of version 4, newer than the 3 that is understood here; update \
         the firmware or tcpctl, whichever says this"
    );
}

#[test]
fn a_version_that_never_was_is_malformed() {
    assert_eq!(
        Settings::decode(&sealed(0, b"")),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn a_body_with_a_byte_too_many_is_malformed() {
    let mut body = block(&access_point()).split_off(12);
    assert!(Settings::decode(&sealed(VERSION, &body)).is_ok());
    body.push(0);
    assert_eq!(
        Settings::decode(&sealed(VERSION, &body)),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn a_stored_setting_is_checked_like_a_given_one() {
    // An access point without a name, open; then its channel.
    let mut body = block(&Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Open,
    }))
    .split_off(12);
    body[3] = 14;
    let Err(DecodeError::Invalid(invalid)) = Settings::decode(&sealed(VERSION, &body)) else {
        panic!("channel 14 was read");
    };
    assert_eq!(invalid.field, Field::Channel);
    assert_eq!(invalid.reason, Reason::Channel14);
}

#[test]
fn a_stored_port_that_is_a_bench_service_s_is_not_followed() {
    for (service, port) in Services::PORTS {
        let server = ServerSettings::new(ServerParts {
            port: TcpPort::new(port.into()).unwrap(),
            ..ServerParts::default()
        });
        let settings = Settings {
            server: server.unwrap(),
            ..access_point()
        };
        let mut body = block(&settings).split_off(12);
        assert!(Settings::decode(&sealed(VERSION, &body)).is_ok());
        // The last byte but one turns the services on.
        let services = body.len() - 2;
        body[services] = 1;
        let refused = Settings::decode(&sealed(VERSION, &body)).unwrap_err();
        let told = refused.to_string();
        let reason = format!("tcp-port: {port} is the {service} service's while services are on");
        assert!(told.contains(&reason), "{told}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let invalid = Ssid::new("").unwrap_err();
    for refused in [
        DecodeError::Blank,
        DecodeError::NotSettings,
        DecodeError::Torn,
        DecodeError::Corrupted,
        DecodeError::Malformed,
        DecodeError::Invalid(invalid),
    ] {
        let message = refused.to_string();
        assert!(message.contains("`tcpctl flash"), "{message}");
    }
}

#[test]
fn the_largest_settings_fill_the_longest_block_to_the_byte() {
    let largest = largest();
    let block = block(&largest);
    assert_eq!(block.len(), MAX_LEN);
    assert_eq!(Settings::decode(&block), Ok(largest));
}

#[test]
fn a_buffer_that_is_too_small_is_refused() {
    let settings = access_point();
    let needed = block(&settings).len();
    for length in 0..needed {
        assert_eq!(settings.encode(&mut vec![0; length]), Err(BufferTooSmall));
    }
    assert!(settings.encode(&mut vec![0; needed]).is_ok());
    // More than a body's length can say is no trouble either.
    assert!(settings.encode(&mut vec![0; 100_000]).is_ok());
}
