//! `tcpctl`: find, talk to, measure and flash small TCP servers on microcontrollers.
//!
//! Stub of the architecture; filled in as the parts land.

pub mod exit;
pub mod sim;
pub mod sys;
pub mod transport;
pub mod units;
