//! The processor time that this process has used.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// CPU time by thread name, of the threads that live; empty where Linux's
/// `/proc/self/task/*/schedstat` is not there.
pub(crate) struct CpuTime(BTreeMap<String, Duration>);

impl CpuTime {
    /// Now. A thread that runs at this moment is behind by one timer tick at most.
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

    /// What the whole process has used from `before` to this.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let sum = |time: &Self| time.0.values().sum::<Duration>();
        sum(self).saturating_sub(sum(before))
    }

    /// What the threads of one name have used from `before` to this.
    pub(crate) fn of_since(&self, name: &str, before: &Self) -> Duration {
        let of = |time: &Self| time.0.get(name).copied().unwrap_or_default();
        of(self).saturating_sub(of(before))
    }

    /// Whether anything is known.
    pub(crate) fn is_known(&self) -> bool {
        !self.0.is_empty()
    }
}
