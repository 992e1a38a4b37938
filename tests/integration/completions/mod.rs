//! `tcpctl completions`, in real shells, and what is committed in `completions/`.

mod committed;
#[cfg(unix)]
mod desk;
#[cfg(unix)]
mod shells;
