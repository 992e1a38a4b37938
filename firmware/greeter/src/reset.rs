//! Reset reasons.

use core::fmt;

/// Why the chip started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// Power-on or the reset button, which most chips do not distinguish.
    PowerOn,
    /// Requested by the firmware, without a panic.
    Software,
    /// Wake-up from deep sleep.
    DeepSleep,
    /// The firmware's watchdog, in timer group 0, expired.
    Watchdog,
    /// Another watchdog expired. `tcpctl flash` resets some boards by the RTC watchdog.
    OtherWatchdog,
    /// The supply voltage dropped.
    Brownout,
    /// Requested over USB.
    Usb,
    /// The previous run panicked.
    Panic,
    /// Any other reason.
    Other,
}

impl Reset {
    /// The reason for a chip's code. Codes that Espressif's chips share mean the same on all of them
    /// (ESP-IDF, `soc/reset_reasons.h`).
    pub const fn from_chip(code: usize) -> Self {
        match code {
            0x01 => Self::PowerOn,
            0x03 | 0x0c => Self::Software,
            0x05 => Self::DeepSleep,
            0x07 => Self::Watchdog,
            // Timer group 1, CPU resets, the RTC watchdog and the super watchdog.
            0x08 | 0x09 | 0x0b | 0x0d | 0x10..=0x12 => Self::OtherWatchdog,
            0x0f => Self::Brownout,
            0x15 | 0x16 => Self::Usb,
            _ => Self::Other,
        }
    }

    /// Whether the previous run failed.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Panic | Self::Watchdog)
    }
}

impl fmt::Display for Reset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOn => "power-on",
            Self::Software => "software",
            Self::DeepSleep => "deep-sleep",
            Self::Watchdog => "watchdog",
            Self::OtherWatchdog => "other-watchdog",
            Self::Brownout => "brownout",
            Self::Usb => "usb",
            Self::Panic => "panic",
            Self::Other => "other",
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn chip_codes_map_to_reasons() {
        for (code, word) in [
            (0x01, "power-on"),
            (0x03, "software"),
            (0x05, "deep-sleep"),
            (0x07, "watchdog"),
            (0x0a, "other"),
            (0x0c, "software"),
            (0x0f, "brownout"),
            (0x10, "other-watchdog"),
            (0x15, "usb"),
            (0xff, "other"),
        ] {
            assert_eq!(Reset::from_chip(code).to_string(), word, "{code:#x}");
        }
    }

    #[test]
    fn only_panic_and_watchdog_are_failures() {
        for reset in [Reset::Panic, Reset::Watchdog] {
            assert!(reset.is_failure());
        }
        for reset in [
            Reset::PowerOn,
            Reset::Software,
            Reset::DeepSleep,
            Reset::Brownout,
            Reset::Usb,
            Reset::OtherWatchdog,
            Reset::Other,
        ] {
            assert!(!reset.is_failure(), "{reset}");
        }
    }
}
