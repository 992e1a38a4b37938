//! The CPU time of ten idle boards.

use std::thread;
use std::time::{Duration, Instant};

use crate::Result;
use tcpctl::sim::Session;
use tcpctl::sim::spec::{Profile, Spec};

use crate::cpu::CpuTime;

const BOARDS: usize = 10;
const WATCHED: Duration = Duration::from_secs(5);

/// Measures and prints.
pub(crate) fn run() -> Result<()> {
    if !CpuTime::now().is_known() {
        println!("idle: skipped: CPU time per thread is not supported");
        return Ok(());
    }
    let spec = Spec::of(Profile::Esp32);
    let sessions = (0..BOARDS).map(|_| Session::start(&spec));
    let sessions = sessions.collect::<Result<Vec<_>, _>>()?;
    // Start-up does not count.
    thread::sleep(Duration::from_secs(1));
    let (before, start) = (CpuTime::now(), Instant::now());
    thread::sleep(WATCHED);
    let used = CpuTime::now().since(&before);
    let share = used.as_secs_f64() / start.elapsed().as_secs_f64();
    drop(sessions);
    println!(
        "idle: {BOARDS} boards used {:.4} s of CPU in {:.1} s, {:.3}% of one core: {}",
        used.as_secs_f64(),
        WATCHED.as_secs_f64(),
        100.0 * share,
        crate::met(share < 0.01),
    );
    Ok(())
}
