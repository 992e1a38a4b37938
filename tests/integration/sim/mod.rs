//! `tcpctl sim` as seen by other programs: through its relay, its pipes, and its console.

mod board;
mod clients;
mod console;
mod ending;
mod refusals;
mod replies;
mod state;
