//! Help: examples that run, a short help that fits a screen, and suggestions for typos.

mod examples;
mod readme;
mod screen;
mod typos;
