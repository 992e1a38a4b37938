//! The output of a board after a reset, and the virtual board that runs in its place.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use sha2::{Digest, Sha256};
use tcpctl::esp::table::Table;
use tcpctl_greeter::console::Mac;
use tcpctl_greeter::otadata::{Entry, Otadata, State};
use tcpctl_settings::sectors::{SectorContent, select};
use tcpctl_settings::{BLOCK_SIZE, Mode};

use super::chip::Model;
use super::{Boot, Kind};

/// The running program.
pub(crate) struct App {
    output: mpsc::Receiver<Vec<u8>>,
    sim: Option<Child>,
}

impl App {
    /// Its output since the last call.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.output.try_iter().flatten().collect()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some(sim) = &mut self.sim {
            let _ = sim.kill();
            let _ = sim.wait();
        }
    }
}

/// Boots the content of the flash.
pub(crate) fn boot(kind: &Kind, flash: &[u8]) -> Option<App> {
    if kind.boot == Boot::Quiet {
        return None;
    }
    let (sender, output) = mpsc::channel();
    let print = |text: String| {
        let _ = sender.send(text.into_bytes());
    };
    print("ESP-ROM:esp32c3-api1-20210207\r\nrst:0x10 (RTCWDT_RTC_RST),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n".to_owned());
    if kind.boot == Boot::Hangs {
        return Some(App { output, sim: None });
    }
    let model = Model::of(kind.chip_id);
    let partitions = match bootable(flash, model.boot_address) {
        Ok(partitions) => partitions,
        Err(problem) => {
            print(format!("{problem}\r\n").repeat(3));
            return Some(App { output, sim: None });
        }
    };
    let stored = partitions
        .iter()
        .find(|partition| partition.label == "settings")
        .map(|partition| &flash[partition.offset..partition.offset + partition.size])
        .map(|sectors| {
            let (a, b) = sectors.split_at(BLOCK_SIZE);
            select(SectorContent::read(a), SectorContent::read(b))
        });
    let (settings, from) = match stored {
        Some(Ok(selected)) => (Some(selected.record.settings), "flash"),
        _ => (None, "default"),
    };
    let mode = settings
        .as_ref()
        .map_or(Mode::AccessPoint, |settings| settings.network.mode());
    let mac = Mac(kind.mac);
    print(format!(
        "tcpctl-firmware v=0.1.0 chip={} mac={mac} mode={mode} settings={from} reset=power-on\r\n",
        model.name
    ));
    if kind.boot == Boot::NoNetwork {
        return Some(App { output, sim: None });
    }
    let elsewhere = match kind.boot {
        // Port 1 is closed.
        Boot::Unreachable => Some("ready addr=127.0.0.1:1\r\n".to_owned()),
        Boot::Closes | Boot::Mute => {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let stays = kind.boot == Boot::Mute;
            thread::spawn(move || {
                let mut held = Vec::new();
                for connection in listener.incoming() {
                    let mut connection = connection.unwrap();
                    // Read the request first, because closing with unread data sends RST.
                    let _ = connection.read(&mut [0; 100]);
                    held.extend(stays.then_some(connection));
                }
            });
            Some(format!("ready addr={address}\r\n"))
        }
        Boot::Panics => Some("panic \"out of \\x1bmemory\"\r\n".to_owned()),
        _ => None,
    };
    if let Some(line) = elsewhere {
        print(line);
        return Some(App { output, sim: None });
    }
    let mut sim = Command::new(env!("CARGO_BIN_EXE_tcpctl"));
    sim.args(["sim", "ideal", "--listen", "127.0.0.1:0"])
        .args(["--mode", "ap"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(settings) = &settings {
        let greeting = String::from_utf8_lossy(settings.server.greeting().as_bytes()).into_owned();
        sim.args(["--greeting", &greeting])
            .args(["--workers", &settings.server.workers().to_string()])
            .args(["--backlog", &settings.server.backlog().to_string()]);
    }
    let mut sim = sim.spawn().unwrap();
    let lines = BufReader::new(sim.stdout.take().unwrap()).lines();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let line = match line.split_once(" mode=") {
                Some((ready, _)) if line.starts_with("ready ") => ready.to_owned(),
                _ => match line.rsplit_once(" time=") {
                    Some((request, _)) => request.to_owned(),
                    None => line,
                },
            };
            let _ = sender.send(format!("{line}\r\n").into_bytes());
        }
    });
    Some(App {
        output,
        sim: Some(sim),
    })
}

struct Partition {
    /// Type and subtype.
    kind: (u8, u8),
    offset: usize,
    size: usize,
    label: String,
}

/// An otadata entry that selects a slot: the sequence number, and a state of ESP-IDF.
pub(crate) fn otadata_entry(sequence: u32, state: u32) -> Vec<u8> {
    let mut entry = vec![0xff; 32];
    entry[..4].copy_from_slice(&sequence.to_le_bytes());
    entry[24..28].copy_from_slice(&state.to_le_bytes());
    entry[28..].copy_from_slice(&otadata_crc(sequence).to_le_bytes());
    entry
}

/// `esp_rom_crc32_le(UINT32_MAX, &sequence, 4)`.
fn otadata_crc(sequence: u32) -> u32 {
    !sequence.to_le_bytes().iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc: u32, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

/// Offset of the program that ESP-IDF's bootloader starts, rollback off (`bootloader_common.c`,
/// `bootloader_utility.c`): of the valid otadata entries the one with the highest sequence number
/// selects the slot. Without one it is the factory program, else slot 0. A program that fails its
/// check is skipped.
pub(crate) fn selected(flash: &[u8]) -> Option<usize> {
    const INVALID: u32 = 3;
    const ABORTED: u32 = 4;
    let partitions = partitions(flash);
    let slots = || {
        partitions
            .iter()
            .filter(|it| it.kind.0 == 0 && it.kind.1 & 0xf0 == 0x10)
    };
    let factory = partitions.iter().find(|it| it.kind == (0, 0));
    let entries = partitions.iter().find(|it| it.kind == (1, 0));
    let sequence = entries.and_then(|otadata| {
        let entry = |sector: usize| {
            let bytes = &flash[otadata.offset + sector * 0x1000..][..32];
            let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let (sequence, state) = (word(0), word(24));
            let is_valid = sequence != u32::MAX
                && word(28) == otadata_crc(sequence)
                && ![INVALID, ABORTED].contains(&state);
            is_valid.then_some(sequence)
        };
        entry(0).max(entry(1))
    });
    let first = match sequence {
        Some(sequence) => slots().nth((sequence as usize - 1) % slots().count().max(1)),
        None => factory.or_else(|| slots().next()),
    };
    first
        .into_iter()
        .chain(factory)
        .chain(slots())
        .find(|it| check_image(&flash[it.offset..it.offset + it.size]).is_ok())
        .map(|it| it.offset)
}

#[test]
fn firmware_reads_otadata_as_the_bootloader_does() {
    const SLOTS: [usize; 2] = [0x10000, 0x10_0000];
    let mut flash = vec![0xff; 2 << 20];
    let table = Table::ours().unwrap();
    flash[0x8000..0x8000 + table.len()].copy_from_slice(&table);
    let image = crate::common::firmware::image(5, Some("0.1.0"), 100);
    for slot in SLOTS {
        flash[slot..slot + image.len()].copy_from_slice(&image);
    }
    let states = [
        State::Undefined,
        State::Valid,
        State::Invalid,
        State::Other(0),
        State::Other(1),
        State::Other(4),
    ];
    let mut entries = vec![None];
    for sequence in 1..=4 {
        entries.extend(states.map(|state| Some(Entry { sequence, state })));
    }
    for &a in &entries {
        for &b in &entries {
            for (at, entry) in [(0xc000, a), (0xd000, b)] {
                let bytes = entry.map_or([0xff; 32], Entry::encode);
                flash[at..at + 32].copy_from_slice(&bytes);
            }
            let slot = Otadata([a, b]).selected().map_or(0, |(_, it)| it.slot());
            let expected = Some(SLOTS[slot as usize]);
            assert_eq!(selected(&flash), expected, "{a:?} {b:?}");
        }
    }
}

#[test]
fn otadata_checksum_matches_espressif_tools() {
    // The entries that otatool.py and the bootloader write for the first update.
    assert_eq!(otadata_crc(1), 0x4743_989a);
}

/// Checks a program as the ROM and the bootloader do before they start it.
fn bootable(flash: &[u8], boot_address: usize) -> Result<Vec<Partition>, &'static str> {
    check_image(&flash[boot_address..]).map_err(|()| "invalid header: 0xffffffff")?;
    selected(flash).ok_or("E (31) esp_image: image at 0x10000 has invalid magic byte")?;
    Ok(partitions(flash))
}

/// The partition table up to its checksum.
fn partitions(flash: &[u8]) -> Vec<Partition> {
    let mut partitions = Vec::new();
    for entry in flash[0x8000..0x8c00].chunks(32) {
        if entry[..2] != [0xaa, 0x50] {
            break;
        }
        let word = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()) as usize;
        let label = entry[12..28].split(|byte| *byte == 0).next().unwrap();
        partitions.push(Partition {
            kind: (entry[2], entry[3]),
            offset: word(4),
            size: word(8),
            label: String::from_utf8_lossy(label).into_owned(),
        });
    }
    partitions
}

/// Magic, segments, checksum and SHA-256 (ESP-IDF, "App Image Format").
pub(crate) fn check_image(image: &[u8]) -> Result<(), ()> {
    if image[0] != 0xe9 {
        return Err(());
    }
    let mut at = 24;
    let mut sum = 0xef;
    for _ in 0..image[1] {
        let header = image.get(at..at + 8).ok_or(())?;
        let length = u32::from_le_bytes(header[4..8].try_into().unwrap()) as usize;
        let data = image.get(at + 8..at + 8 + length).ok_or(())?;
        sum = data.iter().fold(sum, |sum, byte| sum ^ byte);
        at += 8 + length;
    }
    let end = (at + 1).next_multiple_of(16);
    let digest = Sha256::digest(image.get(..end).ok_or(())?);
    let stored = image.get(end..end + 32).ok_or(())?;
    (image[end - 1] == sum && stored == digest.as_slice())
        .then_some(())
        .ok_or(())
}
