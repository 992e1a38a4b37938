//! Puts firmware into the program: `TCPCTL_FIRMWARE_DIR` names a folder of `CHIP.elf` or
//! `CHIP.bin` files (`esp32c3.elf`, ...). Without it there is none, and `tcpctl flash` builds it in
//! a checkout.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha2::{Digest, Sha256};

/// The magic of an app's descriptor, with the version 16 bytes behind its beginning (ESP-IDF, "App
/// Image Format").
const APP_DESCRIPTOR: [u8; 4] = [0x32, 0x54, 0xcd, 0xab];

pub(crate) fn bundle() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=TCPCTL_FIRMWARE_DIR");
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut entries = String::new();
    if let Some(folder) = env::var_os("TCPCTL_FIRMWARE_DIR").filter(|name| !name.is_empty()) {
        println!("cargo::rerun-if-changed={}", Path::new(&folder).display());
        entries = manifest(Path::new(&folder), &out)?;
    }
    fs::write(
        out.join("bundled.rs"),
        format!("const BUNDLED: &[Bundled] = &[{entries}];\n"),
    )
}

/// Compresses the firmware in a folder into `out`, and writes the manifest: one entry a chip, in
/// Rust.
pub(crate) fn manifest(folder: &Path, out: &Path) -> io::Result<String> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut entries = String::new();
    for file in files {
        self::file(&file, out, &mut entries)?;
    }
    Ok(entries)
}

/// Compresses one file and writes its entry; other files in the folder are left out.
fn file(file: &Path, out: &Path, entries: &mut String) -> io::Result<()> {
    let is_firmware = file
        .extension()
        .is_some_and(|end| end == "elf" || end == "bin");
    let Some(chip) = file.file_stem().and_then(|stem| stem.to_str()) else {
        return Ok(());
    };
    if !is_firmware {
        return Ok(());
    }
    println!("cargo::rerun-if-changed={}", file.display());
    let bytes = fs::read(file)?;
    let compressed = out.join(format!("{chip}.zlib"));
    let mut encoder = ZlibEncoder::new(fs::File::create(&compressed)?, Compression::best());
    encoder.write_all(&bytes)?;
    encoder.finish()?;
    let sha256 = Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    let version = version(&bytes).unwrap_or_default();
    let _ = write!(
        entries,
        "Bundled {{ chip: {chip:?}, version: {version:?}, sha256: {sha256:?}, \
         compressed: include_bytes!({:?}) }},",
        compressed.display().to_string()
    );
    Ok(())
}

/// The version in a program's descriptor.
fn version(bytes: &[u8]) -> Option<String> {
    let at = bytes
        .windows(APP_DESCRIPTOR.len())
        .position(|window| window == APP_DESCRIPTOR)?;
    let text = bytes
        .get(at + 16..at + 48)?
        .split(|byte| *byte == 0)
        .next()?;
    String::from_utf8(text.to_vec()).ok()
}
