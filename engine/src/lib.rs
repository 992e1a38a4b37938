//! The load engine of `tcpctl bench`, and the networks that it runs on.
//!
//! ```text
//! load.rs ──> engine.rs ──> readiness.rs ──> kernel.rs, a virtual board's link, or a test's script
//!                 └──> measurement.rs
//! ```
//!
//! The engine is sans-I/O: each connection is a state machine that reacts to events and asks a
//! [`Network`](readiness::Network) to connect, read, write and close. The engine has no sockets, no
//! clock and no sleep of its own, so the same code runs over the kernel's sockets, over a virtual
//! board's link, and over scripted servers in simulated time.
//!
//! A [`Load`] is the plan, a [`Measurement`] the result; both are plain data. [`on_kernel`] runs a
//! load over the operating system's sockets, [`engine::run`] over any network:
//!
//! ```no_run
//! use std::num::NonZeroUsize;
//! use tcpctl_engine::load::Load;
//!
//! let load = Load::new("192.168.1.1:3000".parse().unwrap());
//! let measurement = tcpctl_engine::on_kernel(&load, NonZeroUsize::MIN, &mut ())?;
//! println!("{} completed", measurement.completed);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! The crate is separate from `tcpctl` so that it can be optimized for speed.

mod clock;
pub mod engine;
pub mod kernel;
pub mod load;
pub mod measurement;
#[cfg(target_os = "linux")]
mod precise_timer;
pub mod readiness;
pub mod sys;
pub mod times;

use std::io;
use std::num::NonZeroUsize;

use engine::Observer;
use kernel::KernelNetwork;
use load::Load;
use measurement::Measurement;

/// Runs a load over the operating system's sockets, on up to `threads` threads.
///
/// Blocks until the load ends or `observer` stops it.
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
