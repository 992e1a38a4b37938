//! `tcpctl flash` against a board on a pseudo-terminal, see `tests/common/loader`.
#![cfg(target_os = "linux")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/firmware.rs"]
mod firmware;
#[path = "../common/loader/mod.rs"]
mod loader;
#[path = "../processes/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "it is shared, and each leaves a part unused"
)]
mod processes;

mod bundle;
mod by_hand;
mod checkout;
mod chips;
mod damage;
mod esptool;
mod figures;
mod flow;
mod ports;
mod refusals;
mod reset;
mod scene;
mod terminal;
