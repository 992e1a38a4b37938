//! Gives the linker code.x, besides esp-hal's script.

fn main() {
    println!("cargo:rerun-if-changed=code.x");
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg=-Tcode.x");
}
