//! The load engine of `tcpctl bench`, and the sockets that it runs on.
//!
//! ```text
//! load.rs ──> engine.rs ──> readiness.rs ──> kernel.rs, or a virtual board's cable, or a script
//!                 └──> measurement.rs
//! ```
//!
//! A crate of its own because each request goes through it: it is compiled for speed, and the
//! command line around it for size. [`on_kernel`] is compiled here whole; over other networks
//! [`engine::run`] is compiled where it is called.

mod clock;
pub mod engine;
pub mod kernel;
pub mod load;
pub mod measurement;
#[cfg(target_os = "linux")]
mod punctual;
pub mod readiness;
pub mod sys;
pub mod times;

use std::io;
use std::num::NonZeroUsize;

use engine::Observer;
use kernel::KernelNetwork;
use load::Load;
use measurement::Measurement;

/// Runs a load over the operating system's sockets, on so many threads.
///
/// Blocks until the load is over, or `observer` stops it.
///
/// # Errors
/// The system has no more descriptors.
pub fn on_kernel(
    load: &Load,
    threads: NonZeroUsize,
    observer: &mut dyn Observer,
) -> io::Result<Measurement> {
    engine::run_threads(load, threads, KernelNetwork::new, observer)
}
