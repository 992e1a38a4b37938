//! Sensors and commands of a board: the place for your own code.
//!
//! A board answers a request whose first word names a [`Command`]; any other request gets the
//! greeting. `status` and `readings` are commands of this crate. A [`Sensor`] becomes part of
//! `readings` and so of `tcpctl read`. The same code runs on a chip and in `tcpctl sim`.
//!
//! ```
//! use core::cell::Cell;
//! use core::fmt::Write;
//! use tcpctl_app::{App, Command, Context, Effect, Number, Readings, Sensor, SensorError};
//! use tcpctl_greeter::counters::Counters;
//! use tcpctl_greeter::handler::{Reply, RequestHandler};
//!
//! /// A soil moisture sensor behind an ADC.
//! struct Moisture {
//!     adc: Cell<u16>,
//! }
//!
//! impl Sensor for Moisture {
//!     fn name(&self) -> &str {
//!         "moisture"
//!     }
//!     fn unit(&self) -> &str {
//!         "%RH"
//!     }
//!     fn read(&self) -> Result<Number, SensorError> {
//!         Ok(Number::new(i64::from(self.adc.get()) * 1000 / 4095, 1))
//!     }
//! }
//!
//! /// `pump on` and `pump off`.
//! struct Pump {
//!     on: Cell<bool>,
//! }
//!
//! impl Command for Pump {
//!     fn name(&self) -> &str {
//!         "pump"
//!     }
//!     fn effect(&self) -> Effect {
//!         Effect::Changes
//!     }
//!     fn run(&self, arguments: &str, _: &Context<'_>, reply: &mut Reply<'_>) -> core::fmt::Result {
//!         match arguments {
//!             "on" => self.on.set(true),
//!             "off" => self.on.set(false),
//!             _ => return writeln!(reply, "error: usage: pump on|off"),
//!         }
//!         writeln!(reply, "ok")
//!     }
//! }
//!
//! let (moisture, pump) = (Moisture { adc: Cell::new(2048) }, Pump { on: Cell::new(false) });
//! let readings = Readings { mac: [2, 0, 0, 0x1a, 0x2b, 0x3c] };
//! let sensors: [&dyn Sensor; 1] = [&moisture];
//! let commands: [&dyn Command; 2] = [&readings, &pump];
//! let app = App::new(&sensors, &commands).with_changes_allowed();
//!
//! let mut buffer = [0; 256];
//! let mut ask = |line: &str| {
//!     let mut reply = Reply::new(&mut buffer);
//!     assert!(app.reply(line, &Counters::default(), &mut reply));
//!     reply.as_str().to_owned()
//! };
//! let senml = r#"[{"bn":"urn:dev:mac:020000fffe1a2b3c_","n":"moisture","u":"%RH","v":50.0}]"#;
//! assert_eq!(ask("readings").trim_end(), senml);
//! assert_eq!(ask("pump on"), "ok\n");
//! assert!(pump.on.get());
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod command;
mod number;
mod senml;
mod sensor;
pub mod simulated;

pub use command::{App, Command, Context, Effect, Output, StatusCommand};
pub use number::Number;
pub use senml::Readings;
pub use sensor::{Sensor, SensorError, Uptime};
