//! What is known only when the program is built.

#[path = "build/firmware.rs"]
mod firmware;
#[path = "build/position.rs"]
mod position;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    position::fix();
    firmware::bundle()
}
