//! `tcpctl completions` in real shells, and the committed files in `completions/`.

mod committed;
#[cfg(unix)]
mod setup;
#[cfg(unix)]
mod shells;
