//! What is known only when the program is built.

#[path = "build/firmware.rs"]
mod firmware;
#[path = "build/start.rs"]
mod start;
#[path = "build/version.rs"]
mod version;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    start::shorten()?;
    let firmware = firmware::bundle()?;
    version::write(&firmware)
}
