//! Errors of the radio driver. The chip's code maps the driver's own errors to these.

use core::fmt;

/// Why the driver failed. No variant holds a part of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverError {
    /// The driver rejects the SSID.
    Ssid,
    /// The driver rejects the passphrase.
    Passphrase,
    /// The driver rejects the settings without naming one.
    Arguments,
    /// The driver is out of memory.
    Memory,
    /// Any other error.
    Other,
}

impl DriverError {
    /// Every error.
    pub(crate) const ALL: [Self; 5] = [
        Self::Ssid,
        Self::Passphrase,
        Self::Arguments,
        Self::Memory,
        Self::Other,
    ];

    /// Whether the driver will always reject these settings. Other errors may be temporary.
    pub const fn is_about_settings(self) -> bool {
        matches!(self, Self::Ssid | Self::Passphrase | Self::Arguments)
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssid => "the radio rejects the SSID",
            Self::Passphrase => "the radio rejects the passphrase",
            Self::Arguments => "the radio rejects the settings",
            Self::Memory => "the radio driver is out of memory",
            Self::Other => "the radio driver failed",
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn each_error_has_its_own_message() {
        for (error, words) in [
            (DriverError::Ssid, "SSID"),
            (DriverError::Passphrase, "passphrase"),
            (DriverError::Arguments, "rejects the settings"),
            (DriverError::Memory, "memory"),
            (DriverError::Other, "failed"),
        ] {
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
            let same = DriverError::ALL.iter().filter(|it| it.to_string() == text);
            assert_eq!(same.count(), 1, "{text}");
        }
    }

    #[test]
    fn temporary_errors_are_not_about_settings() {
        let about_settings = DriverError::ALL.map(DriverError::is_about_settings);
        assert_eq!(about_settings, [true, true, true, false, false]);
    }
}
