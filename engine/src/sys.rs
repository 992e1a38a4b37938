//! Operating system specifics. With `tcpctl`'s own `sys`, the only unsafe code.
#![allow(unsafe_code)]

pub mod clocks;
pub mod limits;
#[cfg(target_os = "linux")]
pub mod timer_fd;
pub mod tcp;
