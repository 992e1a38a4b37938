//! Decimal numbers without floating point, which most chips lack.

use core::fmt;

/// A decimal number: `Number::new(-215, 1)` is -21.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    value: i64,
    decimals: u8,
}

impl Number {
    /// Maximum digits after the decimal point.
    pub const MAX_DECIMALS: u8 = 9;

    /// `value` divided by 10 to the power of `decimals`, of which there are at most
    /// [`MAX_DECIMALS`](Self::MAX_DECIMALS).
    pub const fn new(value: i64, decimals: u8) -> Self {
        let decimals = if decimals > Self::MAX_DECIMALS {
            Self::MAX_DECIMALS
        } else {
            decimals
        };
        Self { value, decimals }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.decimals == 0 {
            return self.value.fmt(f);
        }
        let unit = 10_u64.pow(self.decimals.into());
        let size = self.value.unsigned_abs();
        let sign = if self.value < 0 { "-" } else { "" };
        let width = usize::from(self.decimals);
        write!(f, "{sign}{}.{:0width$}", size / unit, size % unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn numbers_display_their_decimals() {
        for (value, decimals, text) in [
            (0, 0, "0"),
            (-7, 0, "-7"),
            (215, 1, "21.5"),
            (-5, 1, "-0.5"),
            (1005, 3, "1.005"),
            (i64::MIN, 9, "-9223372036.854775808"),
            (1, 200, "0.000000001"),
        ] {
            assert_eq!(Number::new(value, decimals).to_string(), text);
        }
    }
}
