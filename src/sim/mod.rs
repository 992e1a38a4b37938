//! The virtual board: the firmware's own server code at the end of an in-memory cable.

pub mod cable;
pub mod clock;
pub mod spec;
