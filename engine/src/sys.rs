//! What differs from one operating system to the next; with `tcpctl`'s own `sys`, all of the unsafe
//! code.
#![allow(unsafe_code)]

pub mod clocks;
pub mod limits;
#[cfg(target_os = "linux")]
pub mod precise;
pub mod tcp;
