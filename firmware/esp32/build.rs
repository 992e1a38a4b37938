//! Adds this project's linker scripts to esp-hal's.

fn main() {
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rerun-if-changed=code.x");
    println!("cargo:rustc-link-arg=-Tcode.x");
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("xtensa") {
        println!("cargo:rerun-if-changed=xtensa.x");
        println!("cargo:rustc-link-arg=-Txtensa.x");
    }
}
