//! Board conventions: the console.

pub mod console;
