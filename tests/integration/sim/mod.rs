//! `tcpctl sim` as other programs see it: behind its relay, at the ends of its pipes, and on its
//! console.

mod board;
mod clients;
mod console;
mod ending;
mod refusals;
mod replies;
mod state;
