//! The management channel, from both sides.

mod any;
mod attacks;
mod messages;
mod raw;
mod sessions;
