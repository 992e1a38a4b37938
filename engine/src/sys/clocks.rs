//! The system's clocks: of the time that passes, and of the CPU time that a thread has used.

use std::time::Duration;

/// Nanoseconds on a clock; `None` where there is no such clock.
#[cfg(unix)]
fn read(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime writes one timespec, which is ours.
    let done = unsafe { libc::clock_gettime(clock, &raw mut time) };
    #[expect(
        clippy::cast_sign_loss,
        reason = "neither is ever negative on these clocks"
    )]
    let (seconds, rest) = (time.tv_sec as u64, time.tv_nsec as u64);
    // 584 years.
    (done == 0).then_some(seconds * 1_000_000_000 + rest)
}

/// Nanoseconds since some moment in the past, which is the same for all threads; never less than
/// before.
///
/// The clock of [`Instant`](std::time::Instant), whose own difference of two times costs more than
/// to read them.
#[cfg(target_os = "linux")]
pub fn monotonic() -> u64 {
    // Every Linux has this clock.
    read(libc::CLOCK_MONOTONIC).unwrap_or_default()
}

/// Nanoseconds since this was first asked; never less than before.
#[cfg(not(target_os = "linux"))]
pub fn monotonic() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    crate::readiness::nanos(START.elapsed())
}

/// The CPU time that this thread has used so far, user and system, to the present: `getrusage`
/// may leave out what it has used since it was last scheduled. `None` where it can't be asked.
pub fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    return read(libc::CLOCK_THREAD_CPUTIME_ID).map(Duration::from_nanos);
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_as_it_does_for_everybody() {
        let (ours, theirs) = (monotonic(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(2));
        // What was read inside the other's time is less of it.
        let longer = Duration::from_nanos(monotonic() - ours);
        let time = theirs.elapsed();
        assert!(longer >= Duration::from_millis(2) && longer <= time + Duration::from_millis(50));
    }

    #[cfg(unix)]
    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_time().expect("a Unix can be asked");
        let mut sum = 0_u64;
        while cpu_time().expect("as before") == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() > Some(before));
    }
}
