//! `tcpctl completions` in real shells, and the committed files in `completions/`.

mod committed;
#[cfg(unix)]
mod desk;
#[cfg(unix)]
mod shells;
