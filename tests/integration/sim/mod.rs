//! `tcpctl sim` as other programs meet it: behind its relay, at the ends of its pipes, and in
//! what it says.

mod board;
mod clients;
mod console;
mod ending;
mod refusals;
