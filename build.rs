//! What is known only when the program is built.

#[path = "build/firmware.rs"]
mod firmware;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    firmware::bundle()
}
