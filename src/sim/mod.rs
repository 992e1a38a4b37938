//! The virtual board: the firmware's own server code at the end of an in-memory cable.

pub mod spec;
