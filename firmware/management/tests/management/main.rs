//! The management channel as both sides see it.

mod any;
mod attacks;
mod messages;
mod raw;
mod sessions;
