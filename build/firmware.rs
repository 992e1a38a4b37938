//! Bundles firmware into the program: `TCPCTL_FIRMWARE_DIR` names a folder of `CHIP.elf` or
//! `CHIP.bin` files (`esp32c3.elf`, ...). Without it, `tcpctl flash` builds the firmware in a
//! checkout.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha2::{Digest, Sha256};

/// A firmware that is bundled into the program.
pub(crate) struct Bundled {
    /// Chip name.
    pub(crate) chip: String,
    /// Firmware version, if the descriptor has one.
    pub(crate) version: Option<String>,
    /// Entry of this firmware in the manifest, as Rust code.
    pub(crate) entry: String,
}

/// Compresses the firmware, writes the manifest and returns its entries.
pub(crate) fn bundle() -> io::Result<Vec<Bundled>> {
    println!("cargo::rerun-if-env-changed=TCPCTL_FIRMWARE_DIR");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut bundled = Vec::new();
    if let Some(folder) = env::var_os("TCPCTL_FIRMWARE_DIR").filter(|name| !name.is_empty()) {
        println!("cargo::rerun-if-changed={}", Path::new(&folder).display());
        bundled = compress(Path::new(&folder), &out)?;
    }
    let entries: String = bundled.iter().map(|it| it.entry.as_str()).collect();
    fs::write(
        out.join("bundled.rs"),
        format!("const BUNDLED: &[Bundled] = &[{entries}];\n"),
    )?;
    Ok(bundled)
}

/// Compresses the firmware files of a folder into `out`; other files are ignored.
pub(crate) fn compress(folder: &Path, out: &Path) -> io::Result<Vec<Bundled>> {
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut bundled = Vec::new();
    for file in files {
        bundled.extend(self::file(&file, out)?);
    }
    Ok(bundled)
}

/// Compresses one file. `None` if its name is not that of a firmware file.
fn file(file: &Path, out: &Path) -> io::Result<Option<Bundled>> {
    let is_firmware = file
        .extension()
        .is_some_and(|end| end == "elf" || end == "bin");
    let Some(chip) = file.file_stem().and_then(|stem| stem.to_str()) else {
        return Ok(None);
    };
    if !is_firmware {
        return Ok(None);
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
    let version = version(&bytes);
    let entry = format!(
        "Bundled {{ chip: {chip:?}, version: {:?}, sha256: {sha256:?}, \
         compressed: include_bytes!({:?}) }},",
        version.as_deref().unwrap_or_default(),
        compressed.display().to_string()
    );
    Ok(Some(Bundled {
        chip: chip.to_owned(),
        version,
        entry,
    }))
}

/// The version in an application's descriptor (`esp_app_desc_t` of ESP-IDF): a magic number, three
/// more words, and the text in 32 bytes.
fn version(firmware: &[u8]) -> Option<String> {
    const MAGIC: [u8; 4] = 0xabcd_5432_u32.to_le_bytes();
    let at = firmware.windows(4).position(|bytes| bytes == MAGIC)?;
    let text = firmware.get(at + 16..at + 48)?.split(|byte| *byte == 0);
    let text = std::str::from_utf8(text.take(1).next()?).ok()?;
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain.then(|| text.to_owned())
}
