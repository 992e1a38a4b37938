//! Finds firmware: a file, the bundled firmware, or a build in a checkout.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use espflash::target::Chip;

use crate::esp::image::Firmware;
use crate::failure::{Failure, Kind, reason};
use crate::sanitize;

/// A firmware bundled in this program; see `build/firmware.rs`.
#[derive(Debug)]
struct Bundled {
    chip: &'static str,
    version: &'static str,
    /// SHA-256 of the file.
    sha256: &'static str,
    /// The file, zlib-compressed.
    compressed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/bundled.rs"));

/// A cargo build that may be running.
#[derive(Debug, Clone)]
pub struct Build {
    cargo: Arc<Mutex<Cargo>>,
    quiet: bool,
}

/// The cargo process, and whether one may still be started.
#[derive(Debug, Default)]
struct Cargo {
    running: Option<Child>,
    stopped: bool,
}

impl Build {
    /// No build is running yet. `quiet` is passed to cargo.
    pub fn new(quiet: bool) -> Self {
        Self {
            cargo: Arc::default(),
            quiet,
        }
    }

    fn cargo(&self) -> MutexGuard<'_, Cargo> {
        self.cargo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the build.
    pub fn stop(&self) {
        let mut cargo = self.cargo();
        cargo.stopped = true;
        if let Some(mut cargo) = cargo.running.take() {
            let _ = cargo.kill();
            let _ = cargo.wait();
        }
    }
}

const HOW_TO_GET_ONE: &str =
    "run this in a checkout of tcpctl, which builds it, or give --firmware FILE";

/// The firmware for a chip when none was given. Blocks while it builds.
///
/// # Errors
/// There is none, or the build fails.
pub fn find(chip: Chip, running: &Build) -> Result<Firmware, Failure> {
    let name = chip.to_string();
    if let Some(bundled) = BUNDLED.iter().find(|bundled| bundled.chip == name) {
        return unpack(bundled);
    }
    let Some(folder) = checkout() else {
        let message = if BUNDLED.is_empty() {
            format!("no firmware for the {chip} is bundled")
        } else {
            let chips: Vec<_> = BUNDLED
                .iter()
                .map(|bundled| format!("{} ({})", bundled.chip, bundled.version))
                .collect();
            format!(
                "no firmware for the {chip} is bundled, only for {}",
                chips.join(", ")
            )
        };
        return Err(Failure::new(Kind::Device, message).hint(HOW_TO_GET_ONE));
    };
    build(chip, &folder, running)
}

/// The note to print before [`find`] builds a firmware, which takes a minute or more.
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
            format!("the bundled firmware is damaged: {what}"),
        )
        .hint("install tcpctl again, or give --firmware FILE")
    };
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(bundled.compressed)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(reason(&error)))?;
    let firmware = Firmware::parse(format!("bundled for {}", bundled.chip), bytes)?;
    if firmware.sha256 != bundled.sha256 || firmware.chip.to_string() != bundled.chip {
        return Err(damaged("it does not match its manifest".to_owned()));
    }
    Ok(firmware)
}

/// The firmware directory of the checkout that contains the working directory or this program.
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

/// Whether the directory holds this project's firmware.
fn is_ours(folder: &Path) -> bool {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest
        .lines()
        .any(|line| line.trim() == r#"name = "tcpctl-firmware""#)
}

/// The Rust target of a chip; `None` for Xtensa, which needs more than a target.
const fn target(chip: Chip) -> Option<&'static str> {
    match chip {
        Chip::Esp32c2 | Chip::Esp32c3 => Some("riscv32imc-unknown-none-elf"),
        Chip::Esp32c5 | Chip::Esp32c6 | Chip::Esp32c61 => Some("riscv32imac-unknown-none-elf"),
        _ => None,
    }
}

/// Builds the firmware with cargo, which prints its progress on standard error.
fn build(chip: Chip, folder: &Path, running: &Build) -> Result<Firmware, Failure> {
    let failed = |what: String| Failure::new(Kind::Device, what);
    let Some(target) = target(chip) else {
        return Err(failed(format!(
            "tcpctl flash cannot build the firmware for the {chip}"
        ))
        .hint(format!(
            "run firmware/images {chip}, then use --firmware target/firmware/{chip}.elf"
        )));
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
        // The lock makes this start and `stop` exclude each other.
        let mut cargo = running.cargo();
        if cargo.stopped {
            return Err(failed("cargo: interrupted".to_owned()));
        }
        let mut started = command
            .spawn()
            .map_err(|error| failed(format!("cargo: {}", reason(&error))).hint(HOW_TO_GET_ONE))?;
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
    // cargo has closed its output, so this returns at once.
    let started = running.cargo().running.take();
    let ended = started.map(|mut cargo| cargo.wait());
    let succeeded = ended.is_some_and(|status| status.is_ok_and(|status| status.success()));
    match built.filter(|_| succeeded) {
        Some(path) => Firmware::read(&path),
        None => Err(
            failed(format!("building the firmware for the {chip} failed"))
                .hint("see the messages of cargo above; nothing was written"),
        ),
    }
}

/// The executable in a cargo message.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    Some(message.get("executable")?.as_str()?.into())
}

/// Whether a target is installed. True without rustc, because cargo's error is more helpful.
fn is_installed(target: &str, folder: &Path) -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let Ok(output) = output else {
        return true;
    };
    let folder = String::from_utf8_lossy(&output.stdout);
    !output.status.success() || Path::new(folder.trim_end()).is_dir()
}

fn shown(path: &Path) -> String {
    sanitize::one_line(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use tcpctl_greeter::update::sample::{MIN_LEN, Sample};

    use super::*;

    #[test]
    fn executable_is_found_in_cargo_messages() {
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

    fn image() -> Vec<u8> {
        let mut image = vec![0; MIN_LEN];
        Sample::new(5, "1.2.3").write(&mut image);
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
    fn bundled_firmware_must_match_its_manifest() {
        let whole = Firmware::parse(String::new(), image()).unwrap();
        let sha256: &str = whole.sha256.clone().leak();
        let firmware = unpack(&bundled(sha256, "esp32c3")).unwrap();
        assert_eq!(firmware.name, "bundled for esp32c3");
        assert_eq!(firmware.sha256, sha256);
        for wrong in [
            bundled("00", "esp32c3"),
            bundled(sha256, "esp32c6"),
            Bundled {
                compressed: b"not zlib",
                ..bundled(sha256, "esp32c3")
            },
        ] {
            let failure = unpack(&wrong).unwrap_err().to_string();
            assert!(failure.contains("is damaged"), "{failure}");
        }
    }

    #[test]
    fn bundled_firmware_is_intact() {
        for bundled in BUNDLED {
            unpack(bundled).unwrap();
        }
    }
}
