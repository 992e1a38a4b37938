//! Properties of the code that reads bytes from outside, for any input.
//!
//! One module for each reader; `holds` panics when its property is violated. libFuzzer searches for
//! such inputs (`fuzz/run`); `cargo test --test integration fuzz_corpus` checks those in
//! `fuzz/corpus`, which include former findings.

pub mod console;
pub mod dhcp;
pub mod management;
pub mod mdns;
pub mod partitions;
pub mod saved;
pub mod settings;
pub mod target;

/// Splits bytes into messages, each after its length as two bytes, little-endian. The last one may
/// be shorter than its length.
fn messages(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&[low, high], rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (message, rest) = rest.split_at(length);
        data = rest;
        Some(message)
    })
}

/// Whether a text has no control characters and no bidirectional overrides.
fn is_harmless(text: &str) -> bool {
    text.split(['\n', '\t'])
        .all(|part| tcpctl::sanitize::one_line(part) == part)
}
