//! Firmware that is bundled into the program at build time (`build/firmware.rs`).

use std::fs;
use std::io::Read;

use sha2::{Digest, Sha256};

use super::scene::Folder;
use crate::common::firmware::Program;
use crate::version::firmware as build;

#[test]
fn manifest_matches_the_bundled_file() {
    let folder = Folder::new();
    let out = folder.path("out");
    let given = folder.path("given");
    fs::create_dir_all(&out).unwrap();
    fs::create_dir_all(&given).unwrap();
    let elf = Program::default().elf();
    fs::write(given.join("esp32c3.elf"), &elf).unwrap();
    fs::write(given.join("README.md"), "no firmware").unwrap();
    let bundled = build::compress(&given, &out).unwrap();
    assert_eq!(bundled.len(), 1);
    let manifest = &bundled[0].entry;
    let digest = Sha256::digest(&elf);
    let sha256: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    for fact in [
        r#"chip: "esp32c3""#,
        r#"version: "0.1.0-test""#,
        &format!("sha256: \"{}\"", sha256.concat()),
    ] {
        assert!(manifest.contains(fact), "{fact}: {manifest}");
    }
    let compressed = fs::read(out.join("esp32c3.zlib")).unwrap();
    assert!(compressed.len() < elf.len());
    let mut whole = Vec::new();
    flate2::read::ZlibDecoder::new(&*compressed)
        .read_to_end(&mut whole)
        .unwrap();
    assert!(whole == elf);
}
