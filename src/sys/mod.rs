//! What the operating system offers and the standard library does not: the one module with
//! `unsafe` code, audited line by line, and the one with code for one platform alone.
#![allow(unsafe_code)]

#[cfg(target_os = "linux")]
pub mod tap;
