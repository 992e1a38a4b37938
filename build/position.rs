//! Where in memory the program stands: in a release for Linux on x86-64 at an address that the
//! linker knows.
//!
//! A position-independent executable has 10,000 addresses corrected at each start, which writes to
//! 50 pages and takes a fifth of a millisecond, as long as all else that `tcpctl --help` does; and
//! the list of them is 250 kB of the file. Without it libraries, heap and stack are still where
//! chance puts them, the program's own code is not. `TCPCTL_PIE=1` builds it as others are.

use std::env;

/// The one system on which it was measured.
const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn fix() {
    println!("cargo::rerun-if-env-changed=TCPCTL_PIE");
    let of = |name| env::var(name).unwrap_or_default();
    if of("TARGET") == TARGET && of("PROFILE") == "release" && of("TCPCTL_PIE").is_empty() {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
