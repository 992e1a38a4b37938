//! Whole numbers with bounds: one type a setting, so that none is taken for another.

/// Defines a number that can't be out of bounds once it exists.
///
/// `new` takes a `u32`, wider than any of them, so that a number too large for the type behind it
/// is refused with the same words as any other.
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
            /// The least that is allowed.
            pub const MIN: Self = Self($min);
            /// The most that is allowed.
            pub const MAX: Self = Self($max);
            /// What a board has that was told nothing.
            pub const DEFAULT: Self = Self($default);

            /// Checks a number against the bounds.
            ///
            /// # Errors
            /// Says which bounds, if it is outside of them.
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

pub(crate) use bounded_number;
