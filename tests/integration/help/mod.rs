//! Help that teaches: examples that run, a summary that fits a screen, and what is said to who
//! mistypes.

mod examples;
mod readme;
mod screen;
mod typos;
