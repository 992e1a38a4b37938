//! ESP32 chips: images, partition tables, facts about each chip.

pub mod chip;
pub mod image;
pub mod table;

use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Calls espflash, which panics on some damaged files and responses. Returns `None` after a panic,
/// and prints nothing.
pub fn catch_panic<T>(call: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                print(info);
            }
        }));
    });
    let before = IS_QUIET.replace(true);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(call));
    IS_QUIET.set(before);
    result.ok()
}
