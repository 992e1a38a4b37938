//! Blocks round-trip, and damaged blocks are refused.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tcpctl_settings::{
    BLOCK_SIZE, Backlog, BufferTooSmall, Channel, Commands, DecodeError, Field, Greeting, HostName,
    MAX_LEN, Management, ManagementKey, MaxStations, Network, Passphrase, Reason, Record,
    RecordKind, RequestTimeout, Security, ServerParts, ServerSettings, Services, Settings, Ssid,
    Status, TcpPort, VERSION, Workers,
};

use crate::any;

fn block(settings: &Settings) -> Vec<u8> {
    settings.encode(&mut [0; MAX_LEN]).unwrap().to_vec()
}

/// A sector after a write: the block, followed by erased flash.
fn sector(block: &[u8]) -> Vec<u8> {
    let mut sector = vec![0xFF; BLOCK_SIZE];
    sector[..block.len()].copy_from_slice(block);
    sector
}

/// A block with a correct CRC around any body.
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

/// Every text at its longest, every number at its largest.
fn largest() -> Record {
    let settings = Settings {
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
            commands: Commands::On,
            management: Management::On,
        })
        .unwrap(),
        management_key: Some(ManagementKey::new([0xFF; 32])),
    };
    Record {
        settings,
        sequence: u32::MAX,
        kind: RecordKind::Trial,
    }
}

proptest! {
    // Each case tries every position of a block.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn truncated_block_is_torn(settings in any::settings()) {
        let block = block(&settings);
        prop_assert_eq!(Settings::decode(&[]), Err(DecodeError::Blank));
        for end in 1..block.len() {
            prop_assert_eq!(Settings::decode(&block[..end]), Err(DecodeError::Torn), "{}", end);
        }
    }

    #[test]
    fn interrupted_write_is_torn(settings in any::settings()) {
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
    fn any_flipped_bit_is_detected(settings in any::settings()) {
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
                // The last byte of the body is 0 or 1, and no single bit makes it 0xFF.
                _ => prop_assert_eq!(refused, DecodeError::Corrupted),
            }
        }
    }
}

proptest! {
    #[test]
    fn any_record_decodes_as_it_was_encoded(record in any::record()) {
        let mut buffer = [0; MAX_LEN];
        let block = record.encode(&mut buffer).unwrap();
        prop_assert_eq!(Record::decode(block), Ok(record.clone()));
        prop_assert_eq!(Record::decode(&sector(block)), Ok(record));
    }

    #[test]
    fn any_damage_is_detected(
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
    fn random_bytes_are_refused(
        bytes in vec(any::<u8>(), 0..600),
    ) {
        prop_assert!(Settings::decode(&bytes).is_err());
    }

    /// Magic and CRC are correct, the body is random. A decoded body is valid, so it round-trips.
    #[test]
    fn random_body_is_refused_or_valid(
        version in 0..=5u16,
        body in vec(prop_oneof![0..4u8, any::<u8>()], 0..80),
    ) {
        if let Ok(settings) = Settings::decode(&sealed(version, &body)) {
            prop_assert_eq!(Settings::decode(&block(&settings)), Ok(settings));
        }
    }

    #[test]
    fn changed_body_is_refused_or_valid(
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
fn erased_or_zeroed_flash_is_blank() {
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
fn length_beyond_the_sector_is_torn() {
    let long = sealed(VERSION, &[0; BLOCK_SIZE]);
    assert_eq!(Settings::decode(&long), Err(DecodeError::Torn));
}

#[test]
fn newer_version_is_recognized() {
    let refused = Settings::decode(&sealed(5, b"unknown")).unwrap_err();
    assert_eq!(refused, DecodeError::Newer { version: 5 });
    assert_eq!(
        refused.to_string(),
        "the stored settings have format 5, newer than the supported 4"
    );
}

#[test]
fn version_0_is_malformed() {
    assert_eq!(
        Settings::decode(&sealed(0, b"")),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn trailing_byte_is_malformed() {
    let mut body = block(&access_point()).split_off(12);
    assert!(Settings::decode(&sealed(VERSION, &body)).is_ok());
    body.push(0);
    assert_eq!(
        Settings::decode(&sealed(VERSION, &body)),
        Err(DecodeError::Malformed)
    );
}

#[test]
fn stored_values_are_checked() {
    // Bytes 0 to 2 are an open access point without an SSID, byte 3 is its channel.
    let mut body = block(&Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Open,
    }))
    .split_off(12);
    body[3] = 14;
    let Err(DecodeError::Invalid(invalid)) = Settings::decode(&sealed(VERSION, &body)) else {
        panic!("channel 14 was accepted");
    };
    assert_eq!(invalid.field, Field::Channel);
    assert_eq!(invalid.reason, Reason::Channel14);
}

#[test]
fn stored_port_of_a_service_is_refused() {
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
        // Status, sequence, trial, key, commands and management follow, one byte each.
        let services = body.len() - 7;
        body[services] = 1;
        let refused = Settings::decode(&sealed(VERSION, &body)).unwrap_err();
        let DecodeError::Invalid(invalid) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(invalid.reason, Reason::PortTaken { port, service });
    }
}

#[test]
fn longest_block_has_max_len() {
    let largest = largest();
    let mut buffer = [0; MAX_LEN];
    let block = largest.encode(&mut buffer).unwrap();
    assert_eq!(block.len(), MAX_LEN);
    assert_eq!(Record::decode(block), Ok(largest));
}

#[test]
fn short_buffer_is_refused() {
    let settings = access_point();
    let needed = block(&settings).len();
    for length in 0..needed {
        assert_eq!(settings.encode(&mut vec![0; length]), Err(BufferTooSmall));
    }
    assert!(settings.encode(&mut vec![0; needed]).is_ok());
    // Longer than the length field of a body can express.
    assert!(settings.encode(&mut vec![0; 100_000]).is_ok());
}
