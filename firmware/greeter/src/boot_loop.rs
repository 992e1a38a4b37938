//! Settings that make a board fail at every start must not keep it out of reach for ever.
//!
//! The board counts its starts in memory that a reset leaves alone, and stops counting once it has
//! been on its network for a while. A start that comes after [`PATIENCE`] failed ones in a row, by a
//! panic or by the watchdog, uses the default settings. Those in flash stay there, and have another
//! chance at the next reset of any other kind: nothing that was lost by chance is lost for good.

use core::fmt;

use embassy_time::Duration;

use crate::reset::Reset;

/// As many starts in a row may fail before the settings are blamed.
pub const PATIENCE: u8 = 3;

/// On its network for so long, a board has started; what goes wrong later counts anew.
pub const SETTLED: Duration = Duration::from_secs(10);

/// The bytes of a record.
pub const LEN: usize = 6;

/// What stands in memory once the start has succeeded: nothing.
pub const NO_RECORD: [u8; LEN] = [0; LEN];

/// At power-on memory holds anything; a record begins with this.
const MAGIC: [u8; 4] = *b"STRT";

/// A start of the board, and how many before it failed in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    failed: u8,
}

impl Start {
    /// The start that follows `reset`, with what the run before left in memory.
    pub fn after(reset: Reset, record: [u8; LEN]) -> Self {
        let failed = if reset.is_failure() { read(record) } else { 0 };
        Self { failed }
    }

    /// What to leave in memory until this start has succeeded.
    pub const fn record(self) -> [u8; LEN] {
        let [m0, m1, m2, m3] = MAGIC;
        let count = self.failed.saturating_add(1);
        [m0, m1, m2, m3, count, !count]
    }

    /// Why the settings in flash are left alone, if they are.
    pub fn blame(self) -> Option<Blamed> {
        (self.failed >= PATIENCE).then_some(Blamed)
    }
}

/// How many starts in a row came to nothing, the last one with them.
fn read(record: [u8; LEN]) -> u8 {
    match record.strip_prefix(&MAGIC) {
        Some(&[count, check]) if check == !count => count,
        _ => 0,
    }
}

/// The settings in flash are left alone. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blamed;

impl fmt::Display for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PATIENCE} starts in a row ended in a panic or by the watchdog; the stored settings \
             are left alone until the next reset; write others with `tcpctl flash`"
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
            assert_eq!(Start::after(Reset::Panic, noise), Start { failed: 0 });
        }
        let mut damaged = Start { failed: 7 }.record();
        damaged[4] ^= 1;
        assert_eq!(Start::after(Reset::Panic, damaged), Start { failed: 0 });
    }

    #[test]
    fn the_reason_says_what_happened_and_what_to_do() {
        let blamed = Start { failed: PATIENCE }.blame().unwrap().to_string();
        assert!(blamed.starts_with("3 starts in a row"), "{blamed}");
        assert!(blamed.contains("`tcpctl flash`"), "{blamed}");
    }
}
