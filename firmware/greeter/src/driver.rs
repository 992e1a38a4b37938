//! What the radio's driver says no to, in words.
//!
//! A driver has names of its own for these; a chip's code translates name by name and decides
//! nothing.

use core::fmt;

/// Why the driver would not do what it was asked to. None of them holds a piece of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverError {
    /// It does not take the network's name.
    Ssid,
    /// It does not take the passphrase.
    Passphrase,
    /// It does not take something of what it was told.
    Arguments,
    /// It has no memory left.
    Memory,
    /// Something else.
    Other,
}

impl DriverError {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Ssid,
        Self::Passphrase,
        Self::Arguments,
        Self::Memory,
        Self::Other,
    ];

    /// Whether it will say the same of these settings for ever. What is left may pass.
    pub const fn is_about_settings(self) -> bool {
        matches!(self, Self::Ssid | Self::Passphrase | Self::Arguments)
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssid => "the radio does not take the network's name",
            Self::Passphrase => "the radio does not take the passphrase",
            Self::Arguments => "the radio does not take them, and does not say which",
            Self::Memory => "the radio's driver is out of memory",
            Self::Other => "the radio's driver would not, and does not say why",
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn each_error_has_words_of_its_own() {
        for (error, words) in [
            (DriverError::Ssid, "name"),
            (DriverError::Passphrase, "passphrase"),
            (DriverError::Arguments, "does not take them"),
            (DriverError::Memory, "memory"),
            (DriverError::Other, "would not"),
        ] {
            let text = error.to_string();
            assert!(text.contains(words), "{text}");
            let same = DriverError::ALL.iter().filter(|it| it.to_string() == text);
            assert_eq!(same.count(), 1, "{text}");
        }
    }

    #[test]
    fn what_may_pass_is_not_blamed_on_the_settings() {
        let blamed = DriverError::ALL.map(DriverError::is_about_settings);
        assert_eq!(blamed, [true, true, true, false, false]);
    }
}
