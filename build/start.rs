//! What a release for Linux on x86-64 need not do at each start.
//!
//! All three take a third off what `tcpctl --help` takes from start to exit; the other side of each:
//!
//! - It stands at an address that the linker knows. A position-independent executable has 10,000
//!   addresses corrected at each start, which writes to 50 pages and takes a fifth of a
//!   millisecond; and the list of them is 250 kB of the file. Without it libraries, heap and stack
//!   are still where chance puts them, the program's own code is not.
//! - It brings the unwinder along (`libgcc_eh.a`, where the compiler has it) instead of having
//!   `libgcc_s.so.1` mapped and bound, a tenth of a millisecond. The file gets no larger.
//! - It has the five functions of `libm.so.6` that it calls from the crate `libm`
//!   (`src/sys/math.rs`), for the same reason.
//!
//! `TCPCTL_PIE=1` builds it as others are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

/// The one system on which it was measured.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// # Errors
/// When `OUT_DIR` can't be written to.
pub(crate) fn shorten() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=TCPCTL_PIE");
    println!("cargo::rustc-check-cfg=cfg(own_math)");
    let of = |name| env::var(name).unwrap_or_default();
    if of("TARGET") != TARGET || of("PROFILE") != "release" || !of("TCPCTL_PIE").is_empty() {
        return Ok(());
    }
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rustc-cfg=own_math");
    if let (Some(unwinder), Some(rest)) = (archive("libgcc_eh.a"), archive("libgcc.a")) {
        // What is asked for by the shared library's name is then this linker script.
        let script = format!(
            "GROUP ( \"{}\" \"{}\" )\n",
            unwinder.display(),
            rest.display()
        );
        let directory = PathBuf::from(of("OUT_DIR"));
        fs::write(directory.join("libgcc_s.so"), script)?;
        println!("cargo::rustc-link-arg-bins=-L{}", directory.display());
    }
    Ok(())
}

/// Where the compiler that links keeps one of its archives, if it does.
fn archive(name: &str) -> Option<PathBuf> {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| "cc".into());
    let answer = Command::new(linker)
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    // The name alone is "I have none".
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    (path.is_absolute() && Path::exists(&path)).then_some(path)
}
