//! What is known only when the program is built.

#[path = "build/firmware.rs"]
mod firmware;
#[path = "build/position.rs"]
mod position;
#[path = "build/version.rs"]
mod version;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    position::fix();
    let firmware = firmware::bundle()?;
    version::write(&firmware)
}
