//! The limit finder against servers whose limits are known: simulated ones in simulated time, and
//! virtual boards.

mod boards;
mod matrix;
mod network;
mod properties;
mod server;
mod trouble;
