//! `tcpctl send`.

mod bad_input;
mod endings;
mod input;
mod json;
mod many;
mod signals;
mod terminal;
mod virtual_board;
