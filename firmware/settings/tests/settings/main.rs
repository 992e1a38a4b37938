//! Tests of the public interface of the settings crate.

mod any;
mod block;
mod changes;
mod golden;
mod secrets;
