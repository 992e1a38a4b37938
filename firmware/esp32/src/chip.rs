//! Differences between chips: name, memory, limits, thermometer.

use esp_hal::ram;
use tcpctl_greeter::memory::Memory;
use tcpctl_greeter::radio_config::Limits;
use tcpctl_greeter::reset::Reset;

macro_rules! chips {
    ($($name:literal),*) => {
        $(
            #[cfg(feature = $name)]
            /// The chip's name, as espflash and ESP-IDF spell it.
            pub(crate) const NAME: &str = $name;
        )*
    };
}
chips!(
    "esp32", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32s2", "esp32s3"
);

/// The chip's memory.
pub(crate) const MEMORY: Memory = Memory::of(NAME);

/// Stations that the radio accepts in AP mode: one hardware key each.
const MAX_STATIONS: u8 = if cfg!(feature = "esp32c2") { 4 } else { 10 };

pub(crate) const LIMITS: Limits = Limits {
    stations: MAX_STATIONS,
    memory: MEMORY,
};

/// Sets up the heap. The radio's driver takes about half of it.
pub(crate) fn init_heap() {
    esp_alloc::heap_allocator!(#[ram(reclaimed)] size: MEMORY.reclaimed_heap);
    esp_alloc::heap_allocator!(size: MEMORY.extra_heap);
}

/// The chip's reset reason, which does not include panics.
pub(crate) fn reset() -> Reset {
    esp_hal::system::reset_reason().map_or(Reset::Other, |reason| Reset::from_chip(reason as usize))
}

/// The temperature sensor of a chip that has one.
#[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
pub(crate) struct Thermometer(Option<esp_hal::tsens::TemperatureSensor<'static>>);

#[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
impl Thermometer {
    /// Powers up the sensor.
    pub(crate) fn new(sensor: esp_hal::peripherals::TSENS<'static>) -> Self {
        use esp_hal::tsens::{Config, TemperatureSensor};
        let sensor = TemperatureSensor::new(sensor, Config::default()).ok();
        if let Some(sensor) = &sensor {
            sensor.power_up();
        }
        Self(sensor)
    }

    /// The chip's temperature in tenths of a degree Celsius.
    pub(crate) fn decidegrees(&self) -> Option<i16> {
        let reading = self.0.as_ref()?.get_temperature();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the sensor's range is -40 to 125"
        )]
        Some((reading.to_celsius() * 10.0) as i16)
    }
}

/// esp-hal does not support this chip's temperature sensor.
#[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
pub(crate) struct Thermometer;

#[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
impl Thermometer {
    /// Always unknown.
    #[expect(clippy::unused_self, reason = "other chips have a sensor")]
    pub(crate) fn decidegrees(&self) -> Option<i16> {
        None
    }
}
