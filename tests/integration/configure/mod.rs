//! `tcpctl configure` and the boards that it changes: in simulated time, and through the relay of `sim`.

mod board;
pub(crate) mod broken;
mod end_to_end;
pub(crate) mod lab;
mod refusals;
