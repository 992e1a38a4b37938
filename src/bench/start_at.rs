//! `--start-at`: starts several computers at the same time.

use std::thread;
use std::time::{Duration, SystemTime};

use super::report::{ClockState, Timestamp, Warning, WarningKind};
use super::summarize::microseconds;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Stop;
use crate::output::{Output, human};
use crate::sys;

/// Maximum sleep before the clock is read again, because it may be set meanwhile.
const STEP: Duration = Duration::from_millis(50);
/// Delays above this are reported.
const LATE: Duration = Duration::from_millis(100);

/// The state of this computer's clock.
pub(super) fn clock() -> Option<ClockState> {
    sys::clocks::synchronization().map(|state| ClockState {
        is_synchronized: state.is_synchronized,
        max_error_us: microseconds(state.max_error),
    })
}

/// Refuses a time in the past.
///
/// # Errors
/// A usage error.
pub(super) fn require_future(at: SystemTime, now: SystemTime) -> Result<(), Failure> {
    let (at, now) = (Timestamp(at), Timestamp(now));
    if at > now {
        return Ok(());
    }
    Err(
        Failure::usage(format!("--start-at: {at} has passed")).hint(format!(
            "this computer's time is {now}: give all computers a later time"
        )),
    )
}

/// Waits until `at`. A signal ends the wait with its exit code.
pub(super) fn wait(at: SystemTime, output: &Output, signals: &Stop) -> Result<(), Exit> {
    let left = at.duration_since(SystemTime::now()).unwrap_or_default();
    output.note(&format!(
        "waiting {} for {}; {}",
        human::time(left),
        Timestamp(at),
        describe(clock().as_ref())
    ));
    while let Ok(left) = at.duration_since(SystemTime::now()) {
        if let Some(exit) = signals.already() {
            return Err(exit);
        }
        if left.is_zero() {
            break;
        }
        thread::sleep(left.min(STEP));
    }
    Ok(())
}

/// The clock in a few words.
pub(crate) fn describe(clock: Option<&ClockState>) -> String {
    match clock {
        None => "whether the clock is synchronized is unknown on this system".to_owned(),
        Some(clock) if clock.is_synchronized => {
            let limit = human::microseconds(clock.max_error_us);
            format!("the clock is synchronized, within {limit}")
        }
        Some(_) => "the clock is not synchronized".to_owned(),
    }
}

/// The warnings for a start at `at` that happened at `started`.
pub(super) fn warnings(
    at: SystemTime,
    started: SystemTime,
    clock: Option<&ClockState>,
) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if let Ok(late) = started.duration_since(at)
        && late > LATE
    {
        let text = format!(
            "started {} after --start-at: this computer was busy or suspended",
            human::time(late)
        );
        warnings.push(Warning::new(WarningKind::StartedLate, text));
    }
    if clock.is_some_and(|clock| !clock.is_synchronized) {
        let text = "this computer's clock is not synchronized: others may have started earlier or \
                    later, and times of day differ";
        warnings.push(Warning::new(WarningKind::Clock, text));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    fn after(milliseconds: u64) -> SystemTime {
        START + Duration::from_millis(milliseconds)
    }

    #[test]
    fn only_a_later_time_is_accepted() {
        assert!(require_future(after(1), START).is_ok());
        for at in [START, START - Duration::from_secs(1)] {
            let failure = require_future(at, START).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
        }
    }

    #[test]
    fn late_start_and_unsynchronized_clock_are_warnings() {
        let clock = |is_synchronized| ClockState {
            is_synchronized,
            max_error_us: 1.0,
        };
        let kinds = |started, clock: Option<ClockState>| {
            let warnings = warnings(START, started, clock.as_ref());
            warnings.into_iter().map(|it| it.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(after(5), Some(clock(true))), []);
        assert_eq!(kinds(after(5), None), []);
        assert_eq!(kinds(after(101), None), [WarningKind::StartedLate]);
        assert_eq!(kinds(after(0), Some(clock(false))), [WarningKind::Clock]);
    }
}
