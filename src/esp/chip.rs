//! Chip names and boot pins.

use espflash::target::Chip;

/// Parses a chip name: `esp32c3`, `ESP32-C3`.
pub fn parse(name: &str) -> Option<Chip> {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .collect::<String>()
        .to_ascii_lowercase();
    plain.parse().ok()
}

/// Whether a chip has Xtensa cores; the others have RISC-V.
pub const fn is_xtensa(chip: Chip) -> bool {
    matches!(chip, Chip::Esp32 | Chip::Esp32s2 | Chip::Esp32s3)
}

/// The pin of the BOOT button. If it is low during a reset, the chip enters its loader (data
/// sheets, "Boot Configurations").
pub const fn boot_pin(chip: Chip) -> &'static str {
    match chip {
        Chip::Esp32 | Chip::Esp32s2 | Chip::Esp32s3 => "GPIO0",
        Chip::Esp32c5 => "GPIO28",
        Chip::Esp32p4 => "GPIO35",
        _ => "GPIO9",
    }
}

/// How to enter the loader by hand.
pub fn boot_steps(chip: Option<Chip>) -> String {
    match chip {
        Some(chip) => format!(
            "hold BOOT ({}), press and release RESET, release BOOT, and try again",
            boot_pin(chip)
        ),
        None => "hold BOOT (GPIO9 on most RISC-V chips, GPIO28 on the C5, GPIO0 on ESP32, S2 and \
                 S3), press and release RESET, release BOOT, and try again"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_parse() {
        assert_eq!(parse("esp32c3"), Some(Chip::Esp32c3));
        assert_eq!(parse("ESP32-C61"), Some(Chip::Esp32c61));
        assert_eq!(parse("esp8266"), None);
        assert!(boot_steps(Some(Chip::Esp32c5)).contains("GPIO28"));
    }
}
