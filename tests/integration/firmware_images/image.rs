//! The formats that ROM and bootloader read (ESP-IDF, "App Image Format" and "Partition Tables").

/// The first byte of an image.
pub(crate) const MAGIC: u8 = 0xE9;
const HEADER: usize = 24;
const APP_DESCRIPTOR_MAGIC: u32 = 0xABCD_5432;
const PARTITION_MAGIC: [u8; 2] = [0xAA, 0x50];
const PARTITION: usize = 32;

/// A piece of an application, for one address.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) address: u32,
    pub(crate) length: u32,
    /// Offset of the data in the image.
    pub(crate) offset: u32,
}

impl Piece {
    pub(crate) fn end(&self) -> u32 {
        self.address + self.length
    }

    pub(crate) fn holds(&self, address: u32) -> bool {
        (self.address..self.end()).contains(&address)
    }
}

/// An application image.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) chip_id: u16,
    /// Minimum chip revision: 100 times the major number plus the minor one.
    pub(crate) min_revision: u16,
    pub(crate) entry: u32,
    pub(crate) has_digest: bool,
    pub(crate) segments: Vec<Piece>,
    pub(crate) checksum: u8,
    pub(crate) stated_checksum: u8,
    pub(crate) project: String,
    pub(crate) version: String,
}

impl Application {
    /// Reads an image to its last byte.
    pub(crate) fn parse(image: &[u8]) -> Self {
        assert_eq!(image[0], MAGIC);
        let has_digest = image[23] == 1;
        let mut at = HEADER;
        let mut segments = Vec::new();
        let mut checksum = 0xEF;
        for _ in 0..image[1] {
            let (address, length) = (word(image, at), word(image, at + 4));
            at += 8;
            let data = &image[at..at + length as usize];
            checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
            segments.push(Piece {
                address,
                length,
                offset: u32::try_from(at).unwrap(),
            });
            at += length as usize;
        }
        // The checksum is one byte, the last of a row of sixteen. The digest follows.
        let end = (at / 16 + 1) * 16;
        let digest = if has_digest { 32 } else { 0 };
        assert!(
            (end + digest..end + digest + 4).contains(&image.len()),
            "{} bytes of image, {end} of segments",
            image.len()
        );
        let descriptor = &image[segments[0].offset as usize..];
        assert_eq!(word(descriptor, 0), APP_DESCRIPTOR_MAGIC);
        Self {
            chip_id: chip_id(image),
            min_revision: u16::from_le_bytes([image[15], image[16]]),
            entry: word(image, 4),
            has_digest,
            checksum,
            stated_checksum: image[end - 1],
            version: text(&descriptor[16..48]),
            project: text(&descriptor[48..80]),
            segments,
        }
    }
}

/// The chip that an image is for.
pub(crate) fn chip_id(image: &[u8]) -> u16 {
    u16::from_le_bytes([image[12], image[13]])
}

/// A row of the partition table.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) label: String,
    /// Type and subtype.
    pub(crate) kind: (u8, u8),
    pub(crate) offset: u32,
    pub(crate) size: u32,
}

/// The rows up to the one with the checksum.
pub(crate) fn partitions(table: &[u8]) -> Vec<Partition> {
    table
        .chunks(PARTITION)
        .take_while(|row| row.starts_with(&PARTITION_MAGIC))
        .map(|row| Partition {
            label: text(&row[12..28]),
            kind: (row[2], row[3]),
            offset: word(row, 4),
            size: word(row, 8),
        })
        .collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0);
    String::from_utf8(field[..end.unwrap_or(field.len())].to_vec()).unwrap()
}
