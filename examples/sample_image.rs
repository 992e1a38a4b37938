//! Writes an application image that holds nothing to run, to try `tcpctl update` on a virtual board:
//!
//! ```console
//! $ cargo run --example sample_image -- esp32c3 0.2.0 600000 0.2.0.bin
//! ```

use std::process::ExitCode;

use tcpctl_greeter::update::image::chip_id;
use tcpctl_greeter::update::sample::{MIN_LEN, Sample};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [chip, version, length, file] = &arguments[..] else {
        return fail("usage: sample_image CHIP VERSION BYTES FILE");
    };
    let Some(chip) = chip_id(chip) else {
        return fail("unknown chip; use e.g. esp32c3");
    };
    let length = match length.parse::<usize>() {
        Ok(length) if length >= MIN_LEN => length.next_multiple_of(16),
        _ => return fail("BYTES must be a number from 352 on"),
    };
    let mut image = vec![0; length];
    Sample::new(chip, version).write(&mut image);
    match std::fs::write(file, image) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{file}: {error}")),
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("error: {message}");
    ExitCode::from(2)
}
