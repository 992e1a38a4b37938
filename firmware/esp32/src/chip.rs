//! What differs from chip to chip: the name, the memory, the thermometer, and how many connections
//! that leaves room for.

use esp_hal::ram;
use tcpctl_greeter::plan::Limits;
use tcpctl_greeter::reset::Reset;

/// How a feature names its chip.
macro_rules! chips {
    ($($name:literal),*) => {
        $(
            #[cfg(feature = $name)]
            /// The chip's name, as espflash and ESP-IDF write it.
            pub(crate) const NAME: &str = $name;
        )*
    };
}
chips!(
    "esp32", "esp32c2", "esp32c3", "esp32c5", "esp32c6", "esp32c61", "esp32s2", "esp32s3"
);

/// Connections that are served or wait at the same time: each has its socket and its buffers in
/// static memory, about 2 kB. The chips with less RAM have fewer.
pub(crate) const MAX_SLOTS: usize = if cfg!(any(
    feature = "esp32",
    feature = "esp32c2",
    feature = "esp32c61",
    feature = "esp32s2"
)) {
    16
} else {
    32
};

/// Stations that the radio takes in AP mode: it has a key for each in its hardware.
const MAX_STATIONS: u8 = if cfg!(feature = "esp32c2") { 4 } else { 10 };

/// What there is room for.
pub(crate) const LIMITS: Limits = Limits {
    chip: NAME,
    stations: MAX_STATIONS,
    slots: MAX_SLOTS,
};

/// Heap beyond the memory that the bootloader leaves behind, in bytes: what the main stack can do
/// without. Of that 30 kB were used on a C3.
const MORE_HEAP: usize = if cfg!(feature = "esp32c2") {
    16 * 1024
} else if cfg!(any(
    feature = "esp32c3",
    feature = "esp32c5",
    feature = "esp32c6"
)) {
    64 * 1024
} else {
    48 * 1024
};

/// Gives the heap its memory. The radio's driver takes about half of it.
pub(crate) fn heap() {
    // What the bootloader no longer needs, on every chip at least this much.
    esp_alloc::heap_allocator!(#[ram(reclaimed)] size: 64 * 1024);
    esp_alloc::heap_allocator!(size: MORE_HEAP);
}

/// Why the chip started, as the chip tells it: of a panic it knows nothing.
pub(crate) fn reset() -> Reset {
    esp_hal::system::reset_reason().map_or(Reset::Other, |reason| Reset::from_chip(reason as usize))
}

/// The temperature sensor of a chip that has one.
#[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
pub(crate) struct Thermometer(Option<esp_hal::tsens::TemperatureSensor<'static>>);

#[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
impl Thermometer {
    /// Powers the sensor up.
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
        // -40 to 125 degrees are what the sensor knows.
        #[expect(clippy::cast_possible_truncation, reason = "at most a few thousand")]
        Some((reading.to_celsius() * 10.0) as i16)
    }
}

/// A chip whose temperature sensor the hardware layer does not reach.
#[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
pub(crate) struct Thermometer;

#[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
impl Thermometer {
    /// Not known.
    #[expect(clippy::unused_self, reason = "other chips have a sensor")]
    pub(crate) fn decidegrees(&self) -> Option<i16> {
        None
    }
}
