//! Settings that make a board fail at every start must not keep it out of reach for ever.
//!
//! The board counts its starts in memory that a reset leaves alone, and stops counting once it has
//! been on its network for a while. A start that comes after [`PATIENCE`] failed ones in a row, by a
//! panic or by the watchdog, uses the default settings. Those in flash stay there, and have another
//! chance at the next reset of any other kind: nothing that was lost by chance is lost for good.
//!
//! The same memory tells the next start of settings that the radio's driver did not take once it was
//! to join a network with them: that start does without them, too.

use core::fmt;

use embassy_time::Duration;

use crate::driver::DriverError;
use crate::reset::Reset;

/// As many starts in a row may fail before the settings are blamed.
pub const PATIENCE: u8 = 3;

/// On its network for so long, a board has started; what goes wrong later counts anew.
pub const SETTLED: Duration = Duration::from_secs(10);

/// The bytes of a record.
pub const LEN: usize = 6;

/// What stands in memory once the start has succeeded: nothing.
pub const NO_RECORD: [u8; LEN] = [0; LEN];

/// At power-on memory holds anything; a record of a start that has not succeeded begins with this,
const STARTED: [u8; 4] = *b"STRT";
/// and one of settings that the driver did not take with this.
const REJECTED: [u8; 4] = *b"RJCT";

/// A start of the board, and what went wrong before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Starts in a row that came to nothing, up to the last one.
    failed: u8,
    /// What the driver said to the settings in the run before.
    rejected: Option<DriverError>,
}

impl Start {
    /// The start that follows `reset`, with what the run before left in memory.
    pub fn after(reset: Reset, record: [u8; LEN]) -> Self {
        let failed = read(STARTED, record).filter(|_| reset.is_failure());
        // Written by the run before and by no other: any reset may have followed it.
        let rejected = read(REJECTED, record)
            .and_then(|code| DriverError::ALL.get(usize::from(code)).copied());
        Self {
            failed: failed.unwrap_or(0),
            rejected,
        }
    }

    /// What to leave in memory until this start has succeeded.
    pub const fn record(self) -> [u8; LEN] {
        write(STARTED, self.failed.saturating_add(1))
    }

    /// What to leave in memory before a reset that does without the settings, because the driver
    /// says `error` to them.
    pub fn rejected(error: DriverError) -> [u8; LEN] {
        let place = DriverError::ALL.iter().position(|it| *it == error);
        // One of five.
        write(REJECTED, place.unwrap_or_default().to_le_bytes()[0])
    }

    /// Why the settings in flash are left alone, if they are.
    pub fn blame(self) -> Option<Blamed> {
        match self.rejected {
            Some(error) => Some(Blamed::Rejected(error)),
            None => (self.failed >= PATIENCE).then_some(Blamed::Failed),
        }
    }
}

/// A record of a number.
const fn write([m0, m1, m2, m3]: [u8; 4], number: u8) -> [u8; LEN] {
    [m0, m1, m2, m3, number, !number]
}

/// The number of a record that begins with `magic`.
fn read(magic: [u8; 4], record: [u8; LEN]) -> Option<u8> {
    match record.strip_prefix(&magic) {
        Some(&[number, check]) if check == !number => Some(number),
        _ => None,
    }
}

/// The settings in flash are left alone. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blamed {
    /// [`PATIENCE`] starts in a row failed.
    Failed,
    /// The radio's driver did not take them when it was to join a network.
    Rejected(DriverError),
}

impl fmt::Display for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => write!(
                f,
                "{PATIENCE} starts in a row ended in a panic or by the watchdog"
            )?,
            Self::Rejected(error) => error.fmt(f)?,
        }
        f.write_str(
            "; the stored settings are left alone until the next reset; write others with `tcpctl \
             flash`",
        )
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    /// How a run goes.
    #[derive(Clone, Copy)]
    enum Run {
        /// On its network for a while, then reset like this.
        Settles(Reset),
        /// Reset like this before that.
        Ends(Reset),
    }
    use Run::{Ends, Settles};

    /// Lets a board start and end as told; says for each run whether it used its settings.
    fn play(memory: [u8; LEN], runs: &[Run]) -> Vec<bool> {
        let mut memory = memory;
        let mut reset = Reset::PowerOn;
        let mut used = Vec::new();
        for run in runs {
            let start = Start::after(reset, memory);
            used.push(start.blame().is_none());
            memory = start.record();
            reset = match *run {
                Settles(reset) => {
                    memory = NO_RECORD;
                    reset
                }
                Ends(reset) => reset,
            };
        }
        used
    }

    const OFF: Run = Ends(Reset::PowerOn);

    const FIRST: Start = Start {
        failed: 0,
        rejected: None,
    };

    #[test]
    fn a_fourth_start_does_without_settings_that_failed_three_times() {
        let runs = [
            Ends(Reset::Panic),
            Ends(Reset::Watchdog),
            Ends(Reset::Panic),
            OFF,
        ];
        assert_eq!(play(NO_RECORD, &runs), [true, true, true, false]);
    }

    #[test]
    fn settings_get_another_chance_at_the_next_reset() {
        let three = [Ends(Reset::Panic); 3];
        for reset in [
            Reset::PowerOn,
            Reset::Software,
            Reset::Usb,
            Reset::Brownout,
            Reset::Other,
        ] {
            for fourth in [Ends(reset), Settles(reset)] {
                let runs = [&three[..], &[fourth, OFF]].concat();
                assert_eq!(
                    play(NO_RECORD, &runs),
                    [true, true, true, false, true],
                    "{reset}"
                );
            }
        }
    }

    #[test]
    fn defaults_that_fail_too_stay_the_defaults_however_often() {
        let used = play(NO_RECORD, &[Ends(Reset::Panic); 600]);
        assert_eq!(used[..3], [true; 3]);
        assert!(used[3..].iter().all(|used| !used));
    }

    #[test]
    fn a_board_that_fails_now_and_then_keeps_its_settings() {
        let runs = [Settles(Reset::Panic), Ends(Reset::Panic), OFF].repeat(50);
        assert!(play(NO_RECORD, &runs).into_iter().all(|used| used));
        // A person who presses the button again and again is no failure.
        assert!(play(NO_RECORD, &[OFF; 50]).into_iter().all(|used| used));
    }

    #[test]
    fn memory_at_power_on_is_no_record() {
        let mut random = 1_u32;
        for _ in 0..1000 {
            let noise = [(); LEN].map(|()| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                random.to_le_bytes()[3]
            });
            assert_eq!(Start::after(Reset::Panic, noise), FIRST);
        }
        for mut damaged in [
            Start { failed: 7, ..FIRST }.record(),
            Start::rejected(DriverError::Ssid),
        ] {
            damaged[4] ^= 1;
            assert_eq!(Start::after(Reset::Panic, damaged), FIRST);
        }
        // An error that no driver has.
        assert_eq!(Start::after(Reset::Software, write(REJECTED, 200)), FIRST);
    }

    #[test]
    fn settings_that_the_driver_does_not_take_are_left_alone_for_one_start() {
        for error in DriverError::ALL {
            for reset in [Reset::Software, Reset::Other, Reset::Panic, Reset::Watchdog] {
                let start = Start::after(reset, Start::rejected(error));
                assert_eq!(start.blame(), Some(Blamed::Rejected(error)));
                // The next reset tries them again, if it is no failure of the defaults either.
                for next in [Reset::PowerOn, Reset::Software, Reset::Panic] {
                    assert_eq!(Start::after(next, start.record()).blame(), None);
                    assert_eq!(Start::after(next, NO_RECORD).blame(), None);
                }
            }
        }
    }

    #[test]
    fn the_reason_says_what_happened_and_what_to_do() {
        let failed = Start {
            failed: PATIENCE,
            ..FIRST
        };
        let rejected = Start::after(Reset::Software, Start::rejected(DriverError::Passphrase));
        for (start, words) in [
            (failed, "3 starts in a row"),
            (rejected, "the radio does not take the passphrase; "),
        ] {
            let blamed = start.blame().unwrap().to_string();
            assert!(blamed.starts_with(words), "{blamed}");
            assert!(
                blamed.ends_with("write others with `tcpctl flash`"),
                "{blamed}"
            );
        }
    }
}
