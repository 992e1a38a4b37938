//! CPU time of this process.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// CPU time of the live threads by name; empty without Linux's `/proc/self/task/*/schedstat`.
pub(crate) struct CpuTime(BTreeMap<String, Duration>);

impl CpuTime {
    /// The current values; running threads lag by at most one timer tick.
    pub(crate) fn now() -> Self {
        let mut threads = BTreeMap::new();
        for task in fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten()
        {
            let read = |file| fs::read_to_string(task.path().join(file)).ok();
            let (Some(name), Some(statistics)) = (read("comm"), read("schedstat")) else {
                continue;
            };
            let nanoseconds = statistics.split(' ').next().and_then(|n| n.parse().ok());
            *threads.entry(name.trim().to_owned()).or_default() +=
                Duration::from_nanos(nanoseconds.unwrap_or(0));
        }
        Self(threads)
    }

    /// CPU time of the process since `before`.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let sum = |time: &Self| time.0.values().sum::<Duration>();
        sum(self).saturating_sub(sum(before))
    }

    /// CPU time of the threads of one name since `before`.
    pub(crate) fn of_since(&self, name: &str, before: &Self) -> Duration {
        let of = |time: &Self| time.0.get(name).copied().unwrap_or_default();
        of(self).saturating_sub(of(before))
    }

    /// Whether CPU times are supported.
    pub(crate) fn is_known(&self) -> bool {
        !self.0.is_empty()
    }
}
