//! A board's settings, as they are read from flash.

use tcpctl_settings::{MAX_LEN, Settings};

/// The header's length, where its check sum is, and what that is of.
const HEADER: usize = 12;
const CHECKSUM: std::ops::Range<usize> = 8..12;

/// Settings that are read are written and read again as the same; anything else is an error.
pub fn holds(data: &[u8]) {
    read(data);
    // Few bytes have the right check sum by chance: give it to them.
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
    match Settings::decode(data) {
        Ok(settings) => {
            let mut buffer = [0; MAX_LEN];
            let block = settings.encode(&mut buffer).expect("it fits");
            assert_eq!(Settings::decode(block).as_ref(), Ok(&settings));
            assert!(super::is_harmless(&format!("{settings:?}")));
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
