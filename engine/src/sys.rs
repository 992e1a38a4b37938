//! Operating system specifics. With `tcpctl`'s own `sys`, the only unsafe code.
#![allow(unsafe_code)]

pub mod clocks;
pub mod limits;
pub mod tcp;
#[cfg(target_os = "linux")]
pub mod timer_fd;
