//! Idle boards use no CPU. A separate process, because the test measures the CPU time of the whole
//! process.
#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use tcpctl::sim::Session;
use tcpctl::sim::spec::{Profile, Spec};

/// The CPU time of this process, user and system, in clock ticks of 10 ms (proc(5), `stat`).
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(") ").expect("a name in brackets").1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    // utime and stime are fields 14 and 15; the state, right after the name, is field 3.
    fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks")
}

#[test]
fn ten_idle_boards_use_no_cpu() {
    let spec = Spec::of(Profile::Esp32);
    let boards: Vec<_> = (0..10)
        .map(|_| Session::start(&spec).expect("threads"))
        .collect();
    let start = Instant::now();
    let before = cpu_ticks();
    // The interval that is measured.
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_ticks() - before;
    drop(boards);
    // One spinning board uses a hundred ticks in this time.
    assert!(used <= 2, "{used} ticks of 10 ms in {:?}", start.elapsed());
}
