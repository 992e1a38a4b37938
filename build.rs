//! Facts known only at build time: the bundled firmware and the version text.

#[path = "build/firmware.rs"]
mod firmware;
#[path = "build/version.rs"]
mod version;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let firmware = firmware::bundle()?;
    version::write(&firmware)
}
