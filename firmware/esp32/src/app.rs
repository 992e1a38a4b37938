//! Sensors and commands of this board. Add your own to the two lists in [`start`].

use embassy_time::Instant;
use tcpctl_app::{App, Command, Number, Sensor, SensorError, Uptime};
use tcpctl_greeter::status::Board as _;
use tcpctl_settings::ServerSettings;

use crate::leak;
use crate::status::ChipStatus;

/// The temperature sensor of the chip.
struct Temperature(&'static ChipStatus);

impl Sensor for Temperature {
    fn name(&self) -> &'static str {
        "temperature"
    }

    fn unit(&self) -> &'static str {
        "Cel"
    }

    fn read(&self) -> Result<Number, SensorError> {
        let decidegrees = self.0.vitals().temperature_decidegrees;
        let decidegrees = decidegrees.ok_or(SensorError::NoSensor)?;
        Ok(Number::new(decidegrees.into(), 1))
    }
}

/// Free heap.
struct HeapFree(&'static ChipStatus);

impl Sensor for HeapFree {
    fn name(&self) -> &'static str {
        "heap_free"
    }

    fn unit(&self) -> &'static str {
        "B"
    }

    fn read(&self) -> Result<Number, SensorError> {
        let bytes = self.0.vitals().heap_free.ok_or(SensorError::NoSensor)?;
        Ok(Number::new(i64::try_from(bytes).unwrap_or(i64::MAX), 0))
    }
}

/// The sensors and commands, and those that every board has, as the settings allow them.
pub(crate) fn start(
    chip: &'static ChipStatus,
    settings: &ServerSettings,
    mac: [u8; 6],
) -> &'static App<'static> {
    let uptime = Uptime(|| (Instant::now() - Instant::MIN).as_millis());
    let sensors: &[&dyn Sensor] = leak([
        leak(Temperature(chip)) as &dyn Sensor,
        leak(uptime),
        leak(HeapFree(chip)),
    ]);
    // Such as `leak([leak(Output::new("led", ...)) as &dyn Command])`.
    let commands: &[&dyn Command] = &[];
    leak(App::new(sensors, commands).on_board(chip, mac, settings))
}
