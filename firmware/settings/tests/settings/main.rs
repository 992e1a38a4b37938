//! What the chip and the command line rely on, from outside: one file a promise.

mod any;
mod block;
mod changes;
mod golden;
mod secrets;
