//! Every property of `fuzz/` for every input in `fuzz/corpus`: seeds and former findings.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a crate of its own in fuzz/")]
mod properties;

use std::fs;
use std::path::Path;

/// Runs the inputs of one folder in the order of their names and returns their number.
fn replay(folder: &str, holds: fn(&[u8])) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(folder);
    let mut inputs: Vec<_> = fs::read_dir(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .map(|entry| entry.expect("a folder that can be read").path())
        .collect();
    inputs.sort();
    for input in &inputs {
        // Names the input in case of a panic.
        println!("{}", input.display());
        holds(&fs::read(input).expect("an input"));
    }
    inputs.len()
}

macro_rules! replays {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            assert!(replay(stringify!($target), properties::$target::holds) > 0);
            // Replays also the empty input.
            properties::$target::holds(&[]);
        }
    )*};
}

replays!(
    console, dhcp, management, mdns, partitions, saved, settings, target
);
