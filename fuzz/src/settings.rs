//! The settings of a board, as read from two sectors of flash.

use tcpctl_settings::sectors::{self, SectorContent};
use tcpctl_settings::{MAX_LEN, Record};

/// Length of the header, and the position of its CRC.
const HEADER: usize = 12;
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// A decoded block encodes to an equal one. Any two sectors select settings or an error.
pub fn holds(data: &[u8]) {
    read(data);
    let (a, b) = data.split_at(data.len() / 2);
    let selected = sectors::select(SectorContent::read(a), SectorContent::read(b));
    assert!(super::is_harmless(&format!("{selected:?}")));
    // Random bytes rarely have a correct CRC, so compute one.
    let mut block = data.to_vec();
    if block.len() >= HEADER {
        block[..4].copy_from_slice(b"TCPS");
        let length = u16::from_le_bytes([block[6], block[7]]);
        let length = usize::from(length).min(block.len() - HEADER);
        block[6..8].copy_from_slice(&u16::try_from(length).unwrap_or_default().to_le_bytes());
        let sum = crc32(block[4..8].iter().chain(&block[HEADER..HEADER + length]));
        block[CHECKSUM].copy_from_slice(&sum.to_le_bytes());
        read(&block);
    }
}

fn read(data: &[u8]) {
    match Record::decode(data) {
        Ok(record) => {
            let mut buffer = [0; MAX_LEN];
            let block = record.encode(&mut buffer).expect("it fits");
            assert_eq!(Record::decode(block).as_ref(), Ok(&record));
            assert!(super::is_harmless(&format!("{record:?}")));
        }
        Err(error) => assert!(super::is_harmless(&error.to_string())),
    }
}

/// CRC-32 of ISO-HDLC, bit by bit.
fn crc32<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    !bytes.fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
