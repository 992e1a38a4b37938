//! Where the firmware comes from: a file, this program itself, or the checkout that we are in.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use espflash::target::Chip;

use crate::esp::image::Firmware;
use crate::failure::{Failure, Kind};
use crate::sanitize;

/// A firmware that was built into this program, see `build/firmware.rs`.
#[derive(Debug)]
struct Bundled {
    chip: &'static str,
    version: &'static str,
    /// Of the file.
    sha256: &'static str,
    /// The file, compressed by zlib.
    compressed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// A build by cargo that may be under way.
#[derive(Debug, Clone)]
pub struct Build {
    cargo: Arc<Mutex<Cargo>>,
    quiet: bool,
}

/// It, and whether it may still be started.
#[derive(Debug, Default)]
struct Cargo {
    running: Option<Child>,
    stopped: bool,
}

impl Build {
    /// None yet; one that will be, `quiet` or not, as the user wants it.
    pub fn new(quiet: bool) -> Self {
        Self {
            cargo: Arc::default(),
            quiet,
        }
    }

    fn cargo(&self) -> MutexGuard<'_, Cargo> {
        self.cargo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it: a cargo that nobody waits for would build on.
    pub fn stop(&self) {
        let mut cargo = self.cargo();
        cargo.stopped = true;
        if let Some(mut cargo) = cargo.running.take() {
            let _ = cargo.kill();
            let _ = cargo.wait();
        }
    }
}

const BOTH_WAYS: &str = "run this in a checkout of tcpctl, which builds it, or give one with \
                         --firmware FILE; settings alone need none: --settings-only";

/// The firmware for a chip where the user gave none. Blocks, for as long as a build takes.
///
/// # Errors
/// There is none here, or it can't be built.
pub fn find(chip: Chip, running: &Build) -> Result<Firmware, Failure> {
    let name = chip.to_string();
    if let Some(bundled) = BUNDLED.iter().find(|bundled| bundled.chip == name) {
        return unpack(bundled);
    }
    let Some(folder) = checkout() else {
        let message = if BUNDLED.is_empty() {
            format!("there is no firmware for the {chip} in this program")
        } else {
            let chips: Vec<_> = BUNDLED
                .iter()
                .map(|bundled| format!("{} ({})", bundled.chip, bundled.version))
                .collect();
            format!(
                "there is no firmware for the {chip} in this program, only for {}",
                chips.join(", ")
            )
        };
        return Err(Failure::new(Kind::Device, message).hint(BOTH_WAYS));
    };
    build(chip, &folder, running)
}

/// What there is to say before [`find`], which then takes a minute or more: it builds the firmware.
pub fn will_build(chip: Chip) -> Option<String> {
    let name = chip.to_string();
    let is_bundled = BUNDLED.iter().any(|bundled| bundled.chip == name);
    let folder = checkout().filter(|_| !is_bundled && target(chip).is_some())?;
    Some(format!(
        "building the firmware for the {chip} in {}",
        shown(&folder)
    ))
}

fn unpack(bundled: &Bundled) -> Result<Firmware, Failure> {
    use std::io::Read as _;

    let damaged = |what: String| {
        Failure::new(
            Kind::Internal,
            format!("the firmware in this program is damaged: {what}"),
        )
        .hint("install tcpctl again, or give one with --firmware FILE")
    };
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(bundled.compressed)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(error.to_string()))?;
    let firmware = Firmware::understand(format!("built in for {}", bundled.chip), bytes)?;
    if firmware.sha256 != bundled.sha256 || firmware.chip.to_string() != bundled.chip {
        return Err(damaged("it is not what the manifest tells of".to_owned()));
    }
    Ok(firmware)
}

/// The folder of the chips' firmware, if we are in a checkout, or run from one.
fn checkout() -> Option<PathBuf> {
    let here = std::env::current_dir().ok();
    let program = std::env::current_exe().ok();
    [here, program].into_iter().flatten().find_map(|start| {
        start.ancestors().find_map(|folder| {
            let folder = folder.join("firmware").join("esp32");
            is_ours(&folder).then_some(folder)
        })
    })
}

/// Whether our firmware's sources are there, and not another project's in a folder of that name,
/// whose program is no business of ours.
fn is_ours(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest
        .lines()
        .any(|line| line.trim() == r#"name = "tcpctl-firmware""#)
}

/// The target of a chip's firmware; `None` for Xtensa, which takes more than a target.
const fn target(chip: Chip) -> Option<&'static str> {
    match chip {
        Chip::Esp32c2 | Chip::Esp32c3 => Some("riscv32imc-unknown-none-elf"),
        Chip::Esp32c5 | Chip::Esp32c6 | Chip::Esp32c61 => Some("riscv32imac-unknown-none-elf"),
        _ => None,
    }
}

/// Builds the firmware with cargo, which says on standard error how far it is.
fn build(chip: Chip, folder: &Path, running: &Build) -> Result<Firmware, Failure> {
    let failed = |what: String| Failure::new(Kind::Device, what);
    let Some(target) = target(chip) else {
        return Err(
            failed(format!("flash does not build the firmware for the {chip}")).hint(format!(
                "run firmware/images {chip}, then give --firmware target/firmware/{chip}.elf"
            )),
        );
    };
    if !is_installed(target, folder) {
        return Err(failed(format!(
            "the firmware for the {chip} needs the Rust target {target}"
        ))
        .hint(format!("run once: rustup target add {target}")));
    }
    let mut command = Command::new("cargo");
    command
        .args(["build", "--release", "--locked", "--no-default-features"])
        .args(["--features", &chip.to_string(), "--target", target])
        .arg("--message-format=json-render-diagnostics")
        .args(running.quiet.then_some("--quiet"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let stdout = {
        // Whoever ends the build waits until there is one, or hinders it.
        let mut cargo = running.cargo();
        if cargo.stopped {
            return Err(failed("cargo: interrupted".to_owned()));
        }
        let mut started = command
            .spawn()
            .map_err(|error| failed(format!("cargo: {error}")).hint(BOTH_WAYS))?;
        let stdout = started.stdout.take();
        cargo.running = Some(started);
        stdout
    };
    let mut built = None;
    if let Some(stdout) = stdout {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            built = executable(&line).or(built);
        }
    }
    // It has closed its output: this takes no time.
    let started = running.cargo().running.take();
    let ended = started.map(|mut cargo| cargo.wait());
    let succeeded = ended.is_some_and(|status| status.is_ok_and(|status| status.success()));
    match built.filter(|_| succeeded) {
        Some(path) => Firmware::read(&path),
        None => Err(
            failed(format!("the firmware for the {chip} does not build"))
                .hint("see what cargo said above; nothing was written"),
        ),
    }
}

/// The program that a message of cargo's tells of.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    Some(message.get("executable")?.as_str()?.into())
}

/// Whether a target's libraries are there; also where rustc is not, for cargo then says more.
fn is_installed(target: &str, folder: &Path) -> bool {
    let told = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(told) = told else {
        return true;
    };
    let folder = String::from_utf8_lossy(&told.stdout);
    !told.status.success() || Path::new(folder.trim_end()).is_dir()
}

fn shown(path: &Path) -> String {
    sanitize::one_line(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_s_program_is_found_among_cargo_s_messages() {
        let artifact =
            r#"{"reason":"compiler-artifact","executable":"/t/release/tcpctl-firmware"}"#;
        assert_eq!(
            executable(artifact),
            Some("/t/release/tcpctl-firmware".into())
        );
        let library = r#"{"reason":"compiler-artifact","executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("warning: not JSON"), None);
    }

    /// The shortest image of a program for the C3 (ESP-IDF, "App Image Format").
    fn image() -> Vec<u8> {
        let mut image = vec![0; 24];
        (image[0], image[1], image[12]) = (0xe9, 1, 5);
        image.extend([0, 0, 0, 0x3c, 4, 0, 0, 0, 1, 2, 3, 4]);
        image.resize(47, 0);
        image.push(0xef ^ 1 ^ 2 ^ 3 ^ 4);
        image
    }

    fn bundled(sha256: &'static str, chip: &'static str) -> Bundled {
        use std::io::Write as _;

        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&image()).unwrap();
        Bundled {
            chip,
            version: "1.2.3",
            sha256,
            compressed: encoder.finish().unwrap().leak(),
        }
    }

    #[test]
    fn what_is_built_in_is_what_the_manifest_tells_of() {
        let whole = Firmware::understand(String::new(), image()).unwrap();
        let sha256: &str = whole.sha256.clone().leak();
        let firmware = unpack(&bundled(sha256, "esp32c3")).unwrap();
        assert_eq!(firmware.name, "built in for esp32c3");
        assert_eq!(firmware.sha256, sha256);
        for wrong in [
            bundled("00", "esp32c3"),
            bundled(sha256, "esp32c6"),
            Bundled {
                compressed: b"no zlib",
                ..bundled(sha256, "esp32c3")
            },
        ] {
            let failure = unpack(&wrong).unwrap_err().to_string();
            assert!(failure.contains("is damaged"), "{failure}");
        }
    }

    #[test]
    fn all_that_is_built_in_is_whole() {
        for bundled in BUNDLED {
            unpack(bundled).unwrap();
        }
    }
}
