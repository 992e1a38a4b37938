//! Types of settings: bounded numbers and switches, one type per setting.

/// Defines a number that is always within its bounds.
///
/// `new` takes a `u32`, wider than any of the inner types, so that a number too large for the
/// inner type is reported like any other out-of-range number.
macro_rules! bounded_number {
    (
        $(#[$doc:meta])*
        $name:ident($number:ty), $field:expr, $min:literal..=$max:literal, default $default:literal
        $(, refused $refused:literal => $reason:expr)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($number);

        impl $name {
            /// Smallest allowed value.
            pub const MIN: Self = Self($min);
            /// Largest allowed value.
            pub const MAX: Self = Self($max);
            /// Default value.
            pub const DEFAULT: Self = Self($default);

            /// Checks a number against the bounds.
            ///
            /// # Errors
            /// The number is out of bounds.
            pub fn new(number: u32) -> Result<Self, $crate::Invalid> {
                $(
                    if number == $refused {
                        return Err($crate::Invalid::new($field, $reason));
                    }
                )?
                match <$number>::try_from(number) {
                    Ok(inner) if ($min..=$max).contains(&inner) => Ok(Self(inner)),
                    _ => Err($crate::Invalid::new(
                        $field,
                        $crate::Reason::OutOfRange { got: number, min: $min, max: $max },
                    )),
                }
            }

            /// The number.
            pub const fn get(self) -> $number {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::DEFAULT
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(&self.0, f)
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let number = text.parse().map_err(|_| $crate::Invalid::new(
                    $field,
                    $crate::Reason::NotANumber { min: $min, max: $max },
                ))?;
                Self::new(number)
            }
        }
    };
}

/// Defines a setting that is `on` or `off`.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident, $field:expr, default $default:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            /// Disabled; written `off`.
            Off,
            /// Enabled; written `on`.
            On,
        }

        impl $name {
            /// Whether it is on.
            pub const fn is_on(self) -> bool {
                matches!(self, Self::On)
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }

        impl From<bool> for $name {
            fn from(on: bool) -> Self {
                if on { Self::On } else { Self::Off }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(if self.is_on() { "on" } else { "off" })
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    "on" => Ok(Self::On),
                    "off" => Ok(Self::Off),
                    _ => Err($crate::Invalid::new(
                        $field,
                        $crate::Reason::NotOneOf("on", "off"),
                    )),
                }
            }
        }
    };
}

pub(crate) use {bounded_number, switch};
