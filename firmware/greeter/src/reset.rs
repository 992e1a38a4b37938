//! Why a board started, in one word.

use core::fmt;

/// Why the chip started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// It got power, or its reset button was pressed: most chips do not tell these apart.
    PowerOn,
    /// The firmware asked for it, and not because of a panic.
    Software,
    /// It woke up.
    DeepSleep,
    /// Nobody fed a watchdog.
    Watchdog,
    /// The voltage had dropped.
    Brownout,
    /// A computer asked for it over USB.
    Usb,
    /// The run before ended in a panic.
    Panic,
    /// Something else.
    Other,
}

impl Reset {
    /// What the chip's own number says. The numbers that Espressif's chips have in common mean the
    /// same on all of them (ESP-IDF, `soc/reset_reasons.h`).
    pub const fn from_chip(code: usize) -> Self {
        match code {
            0x01 => Self::PowerOn,
            0x03 | 0x0c => Self::Software,
            0x05 => Self::DeepSleep,
            // Main watchdogs 0 and 1, the clock domain's, and the one that watches those.
            0x07..=0x09 | 0x0b | 0x0d | 0x10..=0x12 => Self::Watchdog,
            0x0f => Self::Brownout,
            0x15 | 0x16 => Self::Usb,
            _ => Self::Other,
        }
    }

    /// Whether the run before went wrong by itself.
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
    fn a_chip_s_number_is_a_word() {
        for (code, word) in [
            (0x01, "power-on"),
            (0x03, "software"),
            (0x05, "deep-sleep"),
            (0x07, "watchdog"),
            (0x0a, "other"),
            (0x0c, "software"),
            (0x0f, "brownout"),
            (0x10, "watchdog"),
            (0x15, "usb"),
            (0xff, "other"),
        ] {
            assert_eq!(Reset::from_chip(code).to_string(), word, "{code:#x}");
        }
    }

    #[test]
    fn only_a_panic_and_a_watchdog_are_failures() {
        for reset in [Reset::Panic, Reset::Watchdog] {
            assert!(reset.is_failure());
        }
        for reset in [
            Reset::PowerOn,
            Reset::Software,
            Reset::DeepSleep,
            Reset::Brownout,
            Reset::Usb,
            Reset::Other,
        ] {
            assert!(!reset.is_failure(), "{reset}");
        }
    }
}
