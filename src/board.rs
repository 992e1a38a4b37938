//! What is known of a board: its console.

pub mod console;
