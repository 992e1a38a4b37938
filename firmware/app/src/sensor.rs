//! Sensors.

use core::fmt;

use crate::Number;

/// A source of readings.
pub trait Sensor {
    /// Name within the board: letters, digits and `-:./_`, starting with a letter or a digit
    /// (RFC 8428 §4.5.1).
    fn name(&self) -> &str;
    /// Unit of the `SenML` registry (RFC 8428 §12.1), e.g. `Cel`, `%RH`, `V`, `s`, `B`. Empty for
    /// none.
    fn unit(&self) -> &str;
    /// The current value. Called while a request is answered: it must return within a millisecond.
    ///
    /// # Errors
    /// There is no value now.
    fn read(&self) -> Result<Number, SensorError>;
}

/// Why a sensor has no value. Displays as the text that `readings` reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorError {
    /// The board does not have this sensor.
    NoSensor,
    /// There is no value yet.
    NotReady,
    /// Reading failed.
    Failed,
}

impl fmt::Display for SensorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSensor => "no sensor",
            Self::NotReady => "not ready",
            Self::Failed => "failed",
        })
    }
}

/// Seconds since the board started, from a clock in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Uptime<F>(pub F);

impl<F: Fn() -> u64> Sensor for Uptime<F> {
    fn name(&self) -> &'static str {
        "uptime"
    }

    fn unit(&self) -> &'static str {
        "s"
    }

    fn read(&self) -> Result<Number, SensorError> {
        Ok(Number::new(
            i64::try_from((self.0)()).unwrap_or(i64::MAX),
            3,
        ))
    }
}
