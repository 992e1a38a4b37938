//! ESP32 chips: images, partition tables, facts about each chip.

pub mod chip;
pub mod image;
pub mod table;
