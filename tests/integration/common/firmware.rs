//! Programs for chips, made without a toolchain.

use sha2::{Digest, Sha256};

use crate::common::noise;

/// The memory map of a chip: flash for data and for code, RAM, and the machine number in an ELF
/// (technical reference manuals, "System and Memory").
#[derive(Clone, Copy)]
struct Map {
    drom: u32,
    irom: u32,
    ram: u32,
    machine: u16,
}

const RISC_V: u16 = 243;
const XTENSA: u16 = 94;

/// The C3's map, close enough for the other RISC-V chips.
const C3: Map = Map {
    drom: 0x3c00_0020,
    irom: 0x4201_0020,
    ram: 0x3fc8_0000,
    machine: RISC_V,
};

/// Bytes from the entry point to `main`.
const MAIN: u32 = 8;

impl Map {
    /// A jump to [`MAIN`].
    fn jump(self) -> [u8; 4] {
        match self.machine {
            RISC_V => [0x6f, 0, 0x80, 0],
            _ => [0x06, 1, 0, 0],
        }
    }

    fn of(chip: &str) -> Self {
        let (drom, irom, ram) = match chip {
            "esp32" => (0x3f40_0020, 0x400d_0020, 0x3ffb_0000),
            "esp32s2" => (0x3f00_0020, 0x4008_0020, 0x3ffb_0000),
            "esp32s3" => (0x3c00_0020, 0x4201_0020, 0x3fc9_0000),
            _ => return C3,
        };
        Self {
            drom,
            irom,
            ram,
            machine: XTENSA,
        }
    }
}

/// An ELF to make.
pub(crate) struct Program {
    pub(crate) chip: &'static str,
    pub(crate) version: &'static str,
    /// Project name in the application descriptor.
    pub(crate) project: &'static str,
    /// Size of its code in bytes.
    pub(crate) size: usize,
    /// Whether it has symbols, which name the chip.
    pub(crate) stripped: bool,
    /// Whether it has an app descriptor.
    pub(crate) described: bool,
    /// Whether its entry point leads to `main`.
    pub(crate) starts: bool,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            chip: "esp32c3",
            version: "0.1.0-test",
            project: "tcpctl-firmware",
            size: 100_000,
            stripped: false,
            described: true,
            starts: true,
        }
    }
}

struct Section {
    name: &'static str,
    kind: u32,
    flags: u32,
    address: u32,
    data: Vec<u8>,
    link: u32,
    info: u32,
    entry_size: u32,
}

impl Section {
    fn program(name: &'static str, flags: u32, address: u32, data: Vec<u8>) -> Self {
        Self {
            name,
            kind: 1,
            flags,
            address,
            data,
            link: 0,
            info: 0,
            entry_size: 0,
        }
    }
}

impl Program {
    /// The ELF (System V ABI, chapters 4 and 5).
    pub(crate) fn elf(&self) -> Vec<u8> {
        let mut descriptor = vec![0; 256];
        descriptor[..4].copy_from_slice(&0xabcd_5432_u32.to_le_bytes());
        descriptor[16..16 + self.version.len()].copy_from_slice(self.version.as_bytes());
        descriptor[48..48 + self.project.len()].copy_from_slice(self.project.as_bytes());
        // Half of the code compresses well, as real code does.
        let mut code = noise(11, self.size / 2);
        code.resize(self.size, 0x13);
        let map = Map::of(self.chip);
        code[..4].copy_from_slice(&if self.starts { map.jump() } else { [0; 4] });
        let text = if self.described { 2_u16 } else { 1 };
        let mut sections = Vec::new();
        if self.described {
            sections.push(Section::program(".flash.appdesc", 2, map.drom, descriptor));
        }
        sections.push(Section::program(".text", 6, map.irom, code));
        sections.push(Section::program(".data", 3, map.ram, noise(3, 1_000)));
        if !self.stripped {
            let index = u16::try_from(sections.len() + 1).unwrap();
            let mut metadata = Section::program(".espressif.metadata", 0, 0, Vec::new());
            metadata.data = self.chip.as_bytes().to_vec();
            sections.push(metadata);
            let mut symbols = vec![0; 16];
            symbols.extend(1_u32.to_le_bytes());
            symbols.extend(0_u32.to_le_bytes());
            symbols.extend(u32::try_from(self.chip.len()).unwrap().to_le_bytes());
            symbols.extend([0x11, 0]);
            symbols.extend(index.to_le_bytes());
            symbols.extend(22_u32.to_le_bytes());
            symbols.extend((map.irom + MAIN).to_le_bytes());
            symbols.extend(4_u32.to_le_bytes());
            symbols.extend([0x12, 0]);
            symbols.extend(text.to_le_bytes());
            sections.push(Section {
                kind: 2,
                link: u32::from(index) + 2,
                info: 1,
                entry_size: 16,
                ..Section::program(".symtab", 0, 0, symbols)
            });
            let names = b"\0build_info.CHIP_NAME\0main\0".to_vec();
            sections.push(Section {
                kind: 3,
                ..Section::program(".strtab", 0, 0, names)
            });
        }
        sections.push(Section {
            kind: 3,
            ..Section::program(".shstrtab", 0, 0, Vec::new())
        });
        link(sections, map)
    }
}

/// An image of another toolchain (ESP-IDF, "App Image Format"): one segment, checksum and SHA-256.
/// A program starts with a descriptor, a bootloader has none.
pub(crate) fn image(chip_id: u16, version: Option<&str>, size: usize) -> Vec<u8> {
    // Chip IDs of the ESP32, S2 and S3.
    let map = Map::of(if matches!(chip_id, 0 | 2 | 9) {
        "esp32"
    } else {
        "esp32c3"
    });
    let mut segment = Vec::new();
    if let Some(version) = version {
        segment.extend(0xabcd_5432_u32.to_le_bytes());
        segment.resize(16, 0);
        segment.extend(version.as_bytes());
        segment.resize(48, 0);
        segment.extend(b"tcpctl-firmware");
        segment.resize(256, 0);
    }
    let entry = map.irom + u32::try_from(segment.len()).unwrap();
    segment.extend(map.jump());
    segment.extend(noise(u64::from(chip_id) + 1, size - 4));
    let mut image = vec![0xe9, 1, 2, 0x20];
    image.extend(entry.to_le_bytes());
    image.resize(24, 0);
    image[12..14].copy_from_slice(&chip_id.to_le_bytes());
    image[23] = 1;
    image.extend(map.irom.to_le_bytes());
    image.extend(u32::try_from(segment.len()).unwrap().to_le_bytes());
    image.extend(&segment);
    let sum = segment.iter().fold(0xef, |sum, byte| sum ^ byte);
    image.resize((image.len() + 1).next_multiple_of(16) - 1, 0);
    image.push(sum);
    let digest = Sha256::digest(&image);
    image.extend(digest);
    image
}

/// A partition table whose settings and app have other offsets than ours.
pub(crate) fn table(settings: u32, app: u32) -> Vec<u8> {
    let mut table = Vec::new();
    for (name, kind, subtype, offset, size) in [
        ("nvs", 1, 2, 0x9000, 0x4000),
        ("settings", 1, 6, settings, 0x2000),
        ("factory", 0, 0, app, 0x10_0000_u32),
    ] {
        let mut entry = vec![0xaa, 0x50, kind, subtype];
        entry.extend(u32::to_le_bytes(offset));
        entry.extend(size.to_le_bytes());
        entry.extend(name.as_bytes());
        entry.resize(32, 0);
        table.extend(entry);
    }
    table
}

/// Parts at their offsets, as `esptool merge-bin` joins them.
pub(crate) fn merged(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let end = parts.iter().map(|(at, part)| at + part.len()).max();
    let mut merged = vec![0xff; end.unwrap()];
    for (at, part) in parts {
        merged[*at..at + part.len()].copy_from_slice(part);
    }
    merged
}

/// The address of a symbol in the ROM, as linker scripts define them.
pub(crate) const ROM_SYMBOL: u32 = 0x4000_0100;
/// The address of a symbol in `.data` among the addresses of code, as on the P4.
pub(crate) const DATA_SYMBOL: u32 = 0x4ff0_0010;

/// An ELF with one function of 16 bytes. Its other symbols are not functions: a label within the
/// function, [`ROM_SYMBOL`] and [`DATA_SYMBOL`].
pub(crate) fn with_a_function(name: &str, address: u32) -> Vec<u8> {
    const TEXT: u16 = 1;
    const DATA: u16 = 2;
    const ABSOLUTE: u16 = 0xfff1;
    let mut symbols = vec![0; 16];
    let mut names = vec![0];
    for (name, address, size, section) in [
        (name, address, 16_u32, TEXT),
        ("label", address + 4, 0, TEXT),
        ("rom", ROM_SYMBOL, 16, ABSOLUTE),
        ("data", DATA_SYMBOL, 16, DATA),
    ] {
        symbols.extend(u32::try_from(names.len()).unwrap().to_le_bytes());
        symbols.extend(address.to_le_bytes());
        symbols.extend(size.to_le_bytes());
        // A global function.
        symbols.extend([0x12, 0]);
        symbols.extend(section.to_le_bytes());
        names.extend(format!("{name}\0").bytes());
    }
    let sections = vec![
        Section::program(".text", 6, C3.irom, vec![0x13; 4096]),
        Section::program(".data", 3, DATA_SYMBOL & !0xff, vec![0; 256]),
        Section {
            kind: 2,
            link: 4,
            info: 1,
            entry_size: 16,
            ..Section::program(".symtab", 0, 0, symbols)
        },
        Section {
            kind: 3,
            ..Section::program(".strtab", 0, 0, names)
        },
        Section {
            kind: 3,
            ..Section::program(".shstrtab", 0, 0, Vec::new())
        },
    ];
    link(sections, C3)
}

/// Links the sections: first the header, then the sections, then their headers.
fn link(mut sections: Vec<Section>, map: Map) -> Vec<u8> {
    let mut names = vec![0];
    let mut name_at = Vec::new();
    for section in &sections {
        name_at.push(u32::try_from(names.len()).unwrap());
        names.extend(section.name.as_bytes());
        names.push(0);
    }
    sections.last_mut().unwrap().data = names;
    let mut elf = vec![0; 52];
    let mut headers = vec![0; 40];
    for (section, name) in sections.iter().zip(name_at) {
        elf.resize(elf.len().next_multiple_of(4), 0);
        let size = u32::try_from(section.data.len()).unwrap();
        let offset = u32::try_from(elf.len()).unwrap();
        for word in [
            name,
            section.kind,
            section.flags,
            section.address,
            offset,
            size,
            section.link,
            section.info,
            4,
            section.entry_size,
        ] {
            headers.extend(word.to_le_bytes());
        }
        elf.extend(&section.data);
    }
    elf.resize(elf.len().next_multiple_of(4), 0);
    let count = u16::try_from(sections.len() + 1).unwrap();
    let table = u32::try_from(elf.len()).unwrap();
    elf[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    elf[16..18].copy_from_slice(&2_u16.to_le_bytes());
    elf[18..20].copy_from_slice(&map.machine.to_le_bytes());
    elf[20..24].copy_from_slice(&1_u32.to_le_bytes());
    elf[24..28].copy_from_slice(&map.irom.to_le_bytes());
    elf[32..36].copy_from_slice(&table.to_le_bytes());
    elf[40..42].copy_from_slice(&52_u16.to_le_bytes());
    elf[46..48].copy_from_slice(&40_u16.to_le_bytes());
    elf[48..50].copy_from_slice(&count.to_le_bytes());
    elf[50..52].copy_from_slice(&(count - 1).to_le_bytes());
    elf.extend(headers);
    elf
}
