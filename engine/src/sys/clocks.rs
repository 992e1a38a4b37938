//! The system's clocks: monotonic time and CPU time.

use std::time::Duration;

/// Nanoseconds on a clock; `None` where it does not exist.
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
    (done == 0).then_some(seconds * 1_000_000_000 + rest)
}

/// Nanoseconds on `CLOCK_MONOTONIC`, the same for all threads.
///
/// [`Instant`](std::time::Instant) reads the same clock, but its subtraction costs more than the
/// reading.
#[cfg(target_os = "linux")]
pub fn monotonic() -> u64 {
    // Exists on every Linux.
    read(libc::CLOCK_MONOTONIC).unwrap_or_default()
}

/// Nanoseconds since the first call; never decreases.
#[cfg(not(target_os = "linux"))]
pub fn monotonic() -> u64 {
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    crate::readiness::nanos(START.elapsed())
}

/// Nanoseconds on `CLOCK_REALTIME`, which may be set at any time.
#[cfg(target_os = "linux")]
pub fn realtime() -> u64 {
    read(libc::CLOCK_REALTIME).unwrap_or_default()
}

/// User and system CPU time of this thread; `None` where unsupported.
///
/// `getrusage` omits the time since the thread was last scheduled; the thread clock does not.
pub fn cpu_time() -> Option<Duration> {
    #[cfg(unix)]
    return read(libc::CLOCK_THREAD_CPUTIME_ID).map(Duration::from_nanos);
    #[cfg(not(unix))]
    None
}

/// How long this thread was runnable and waited for a CPU; `None` where unsupported.
pub fn run_delay() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        // CPU time, time on a run queue, time slices (Documentation/scheduler/sched-stats.rst).
        let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let delay = statistics.split_ascii_whitespace().nth(1)?;
        delay.parse().ok().map(Duration::from_nanos)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// The system's estimate of how well its clock agrees with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synchronization {
    /// Whether NTP, PTP or the like keeps it synchronized.
    pub is_synchronized: bool,
    /// The maximum error, as estimated by the system.
    pub max_error: Duration,
}

/// Whether the real-time clock is synchronized; `None` where the system does not report it.
pub fn synchronization() -> Option<Synchronization> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: all-zero bytes are a valid timex, a C struct of integers. Mode 0 changes nothing.
        let mut state: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the call reads and writes one timex, which is ours.
        let result = unsafe { libc::adjtimex(&raw mut state) };
        (result >= 0).then(|| Synchronization {
            is_synchronized: state.status & libc::STA_UNSYNC == 0,
            max_error: Duration::from_micros(u64::try_from(state.maxerror).unwrap_or_default()),
        })
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_clock_agrees_with_instant() {
        let (ours, theirs) = (monotonic(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(2));
        let longer = Duration::from_nanos(monotonic() - ours);
        let time = theirs.elapsed();
        assert!(longer >= Duration::from_millis(2) && longer <= time + Duration::from_millis(50));
    }

    #[cfg(unix)]
    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu_time().expect("supported on Unix");
        let mut sum = 0_u64;
        while cpu_time().expect("supported on Unix") == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_time() > Some(before));
    }
}
