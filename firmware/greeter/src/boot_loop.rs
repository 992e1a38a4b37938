//! Boot-loop guard: settings that make every start fail are ignored, so the board stays reachable.
//!
//! The board counts its starts in memory that survives a reset, until it has been on its network for
//! a while. After [`MAX_FAILED_STARTS`] starts in a row that ended in a panic or a watchdog reset, the
//! default settings apply. The stored ones are kept and tried again after any other reset.
//!
//! The same memory records settings that the radio driver refused. The next start also ignores them.
//!
//! A record counts only for the settings and the firmware that it is about, see [`subject`].

use core::fmt;

use embassy_time::Duration;

use crate::driver::DriverError;
use crate::reset::Reset;

/// Failed starts in a row after which the settings are ignored.
pub const MAX_FAILED_STARTS: u8 = 3;

/// Time on the network after which a start has succeeded.
pub const SETTLED: Duration = Duration::from_secs(10);

/// Length of a record, in bytes.
pub const LEN: usize = 10;

/// The record after a successful start.
pub const NO_RECORD: [u8; LEN] = [0; LEN];

/// Magic of a start that has not succeeded. Memory is random at power-on.
const STARTED: [u8; 4] = *b"STRT";
/// Magic of settings that the driver refused.
const REJECTED: [u8; 4] = *b"RJCT";

/// A start of the board, with the failures before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Failed starts in a row.
    failed: u8,
    /// Why the driver refused the settings in the previous run; `None` if it did not.
    rejected: Option<DriverError>,
    subject: u32,
}

/// Hash of the subject of a record: the settings with this sequence number, under this firmware.
pub fn subject(firmware: &str, sequence: u32) -> u32 {
    let bytes = firmware.bytes().chain(sequence.to_le_bytes());
    // FNV-1a
    bytes.fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

impl Start {
    /// The start after `reset` with settings and firmware of this [`subject`], and with the record of
    /// the previous run.
    pub fn after(reset: Reset, record: [u8; LEN], subject: u32) -> Self {
        let failed = read(STARTED, record, subject).filter(|_| reset.is_failure());
        // Any kind of reset may follow this record.
        let rejected = read(REJECTED, record, subject)
            .and_then(|code| DriverError::ALL.get(usize::from(code)).copied());
        Self {
            failed: failed.unwrap_or(0),
            rejected,
            subject,
        }
    }

    /// The record to keep until this start has succeeded.
    pub const fn record(self) -> [u8; LEN] {
        write(STARTED, self.failed.saturating_add(1), self.subject)
    }

    /// The record for a restart without the settings, which the driver refused with `error`.
    pub fn rejected_record(self, error: DriverError) -> [u8; LEN] {
        let place = DriverError::ALL.iter().position(|it| *it == error);
        let code = place.unwrap_or_default().to_le_bytes()[0];
        write(REJECTED, code, self.subject)
    }

    /// Why the stored settings are ignored, if they are.
    pub fn ignore_reason(self) -> Option<IgnoreReason> {
        match self.rejected {
            Some(error) => Some(IgnoreReason::Rejected(error)),
            None => (self.failed >= MAX_FAILED_STARTS).then_some(IgnoreReason::Failed),
        }
    }
}

/// A record with a number.
const fn write([m0, m1, m2, m3]: [u8; 4], number: u8, subject: u32) -> [u8; LEN] {
    let [s0, s1, s2, s3] = subject.to_le_bytes();
    [m0, m1, m2, m3, number, !number, s0, s1, s2, s3]
}

/// The number of a record with this magic and subject.
fn read(magic: [u8; 4], record: [u8; LEN], subject: u32) -> Option<u8> {
    let (&[number, check], rest) = record.strip_prefix(&magic)?.split_first_chunk()?;
    (check == !number && *rest == subject.to_le_bytes()).then_some(number)
}

/// Why the stored settings are ignored. Displays as the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreReason {
    /// [`MAX_FAILED_STARTS`] starts in a row failed.
    Failed,
    /// The radio driver refused them.
    Rejected(DriverError),
}

impl fmt::Display for IgnoreReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed => write!(
                f,
                "{MAX_FAILED_STARTS} starts in a row ended in a panic or a watchdog reset"
            ),
            Self::Rejected(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    /// A simulated run of the board.
    #[derive(Clone, Copy)]
    enum Run {
        /// The run stays on its network long enough, then resets.
        Settles(Reset),
        /// The run resets before that.
        Ends(Reset),
    }
    use Run::{Ends, Settles};

    /// Simulates runs. Returns for each whether it used its settings.
    fn play(memory: [u8; LEN], runs: &[Run]) -> Vec<bool> {
        let mut memory = memory;
        let mut reset = Reset::PowerOn;
        let mut used = Vec::new();
        for run in runs {
            let start = Start::after(reset, memory, SUBJECT);
            used.push(start.ignore_reason().is_none());
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

    const SUBJECT: u32 = 0x1234_5678;

    const FIRST: Start = Start {
        failed: 0,
        rejected: None,
        subject: SUBJECT,
    };

    #[test]
    fn record_counts_only_for_its_settings_and_firmware() {
        let subjects = [
            subject("0.1.0", 7),
            subject("0.1.0", 8),
            subject("0.1.1", 7),
        ];
        let mut start = Start::after(Reset::PowerOn, NO_RECORD, subjects[0]);
        for _ in 0..MAX_FAILED_STARTS {
            start = Start::after(Reset::Panic, start.record(), subjects[0]);
        }
        assert!(start.ignore_reason().is_some());
        for record in [start.record(), start.rejected_record(DriverError::Ssid)] {
            let is_ignored = |subject| Start::after(Reset::Panic, record, subject).ignore_reason();
            assert!(is_ignored(subjects[0]).is_some());
            assert_eq!(is_ignored(subjects[1]), None);
            assert_eq!(is_ignored(subjects[2]), None);
        }
    }

    #[test]
    fn reset_by_flash_is_no_failed_start() {
        let rtc_watchdog = Reset::from_chip(0x10);
        let used = play(NO_RECORD, &[Ends(rtc_watchdog); 10]);
        assert!(used.into_iter().all(|used| used));
    }

    #[test]
    fn settings_are_ignored_after_three_failed_starts() {
        let runs = [
            Ends(Reset::Panic),
            Ends(Reset::Watchdog),
            Ends(Reset::Panic),
            OFF,
        ];
        assert_eq!(play(NO_RECORD, &runs), [true, true, true, false]);
    }

    #[test]
    fn settings_are_tried_again_after_another_reset() {
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
    fn failing_defaults_stay_in_force() {
        let used = play(NO_RECORD, &[Ends(Reset::Panic); 600]);
        assert_eq!(used[..3], [true; 3]);
        assert!(used[3..].iter().all(|used| !used));
    }

    #[test]
    fn occasional_failures_keep_the_settings() {
        let runs = [Settles(Reset::Panic), Ends(Reset::Panic), OFF].repeat(50);
        assert!(play(NO_RECORD, &runs).into_iter().all(|used| used));
        // Repeated power-on resets are no failures.
        assert!(play(NO_RECORD, &[OFF; 50]).into_iter().all(|used| used));
    }

    #[test]
    fn random_memory_is_not_a_record() {
        let mut random = 1_u32;
        for _ in 0..1000 {
            let noise = [(); LEN].map(|()| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                random.to_le_bytes()[3]
            });
            assert_eq!(Start::after(Reset::Panic, noise, SUBJECT), FIRST);
        }
        for mut damaged in [
            Start { failed: 7, ..FIRST }.record(),
            FIRST.rejected_record(DriverError::Ssid),
        ] {
            damaged[4] ^= 1;
            assert_eq!(Start::after(Reset::Panic, damaged, SUBJECT), FIRST);
        }
        // An unknown error code.
        let unknown = write(REJECTED, 200, SUBJECT);
        assert_eq!(Start::after(Reset::Software, unknown, SUBJECT), FIRST);
    }

    #[test]
    fn refused_settings_are_ignored_for_one_start() {
        for error in DriverError::ALL {
            for reset in [Reset::Software, Reset::Other, Reset::Panic, Reset::Watchdog] {
                let start = Start::after(reset, FIRST.rejected_record(error), SUBJECT);
                assert_eq!(start.ignore_reason(), Some(IgnoreReason::Rejected(error)));
                // The next start tries them again.
                for next in [Reset::PowerOn, Reset::Software, Reset::Panic] {
                    assert_eq!(
                        Start::after(next, start.record(), SUBJECT).ignore_reason(),
                        None
                    );
                    assert_eq!(Start::after(next, NO_RECORD, SUBJECT).ignore_reason(), None);
                }
            }
        }
    }

    #[test]
    fn reason_names_the_failure() {
        let failed = Start {
            failed: MAX_FAILED_STARTS,
            ..FIRST
        };
        let rejected = Start::after(
            Reset::Software,
            FIRST.rejected_record(DriverError::Passphrase),
            SUBJECT,
        );
        for (start, words) in [
            (failed, "3 starts in a row"),
            (rejected, "the radio rejects the passphrase"),
        ] {
            let reason = start.ignore_reason().unwrap().to_string();
            assert!(reason.starts_with(words), "{reason}");
        }
    }
}
