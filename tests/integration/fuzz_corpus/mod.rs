//! Every promise of `fuzz/` for every input in `fuzz/corpus`: the seeds, and what broke one before.

#[path = "../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a crate of its own in fuzz/")]
mod promises;

use std::fs;
use std::path::Path;

/// Tries the inputs of one folder, in the order of their names, and returns how many there were.
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
        // A panic says which one it was.
        println!("{}", input.display());
        holds(&fs::read(input).expect("an input"));
    }
    inputs.len()
}

macro_rules! replays {
    ($($target:ident),*) => {$(
        #[test]
        fn $target() {
            assert!(replay(stringify!($target), promises::$target::holds) > 0);
            // And of nothing at all.
            promises::$target::holds(&[]);
        }
    )*};
}

replays!(console, dhcp, mdns, partitions, saved, settings, target);
