//! Sensors and commands of a board: the place for your own code.
//!
//! A board answers a request whose first word names a [`Command`]; any other request gets the
//! greeting. `status` and `readings` are commands of this crate. A [`Sensor`] becomes part of
//! `readings` and so of `tcpctl read`. The same code runs on a chip and in `tcpctl sim`.
//!
//! `firmware/README.md` shows how to add your own. Its text is a test of this crate.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod app;
mod command;
mod number;
mod senml;
mod sensor;
pub mod simulated;

pub use app::App;
pub use command::{Command, Context, Effect, Output, StatusCommand};
pub use number::Number;
pub use senml::Readings;
pub use sensor::{Sensor, SensorError, Uptime};
