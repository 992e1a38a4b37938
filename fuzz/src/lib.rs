//! What must hold of the code that reads bytes from outside, whatever the bytes.
//!
//! A module a reader; `holds` panics where its promise is broken. libFuzzer looks for such bytes
//! (`fuzz/run`), and `cargo test --test integration fuzz_corpus` keeps every promise for those in
//! `fuzz/corpus`, the finds of former runs among them.

pub mod console;
pub mod dhcp;
pub mod mdns;
pub mod partitions;
pub mod saved;
pub mod settings;
pub mod target;

/// Cuts bytes into messages: a length in two bytes, little-endian, goes before each; the last may
/// be shorter than it says.
fn messages(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&[low, high], rest) = data.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (message, rest) = rest.split_at(length);
        data = rest;
        Some(message)
    })
}

/// Whether a text can do no harm to a terminal, nor be read as other than it is.
fn is_harmless(text: &str) -> bool {
    text.split(['\n', '\t'])
        .all(|part| tcpctl::sanitize::one_line(part) == part)
}
