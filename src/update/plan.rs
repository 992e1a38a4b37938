//! The plan of `tcpctl update`: which boards, and which firmware for which chip.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use espflash::target::Chip;
use semver::Version;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::report::Change;
use crate::cli::UpdateArgs;
use crate::config;
use crate::esp::image::{DEFAULT_FLASH, Firmware, hex};
use crate::failure::{Failure, Kind, reason};
use crate::flash::firmware::{self, Build};
use crate::management::key::KeySource;
use crate::output::Output;
use crate::target::Target;

/// The plan of an update.
#[derive(Debug)]
pub struct UpdatePlan {
    /// The boards.
    pub targets: Targets,
    /// Number of boards at a time.
    pub parallel: NonZeroU16,
    /// Source of the key.
    pub key: KeySource,
    /// Port of the management channel, if given.
    pub management_port: Option<u16>,
    /// Whether an older version is allowed.
    pub allow_downgrade: bool,
    /// Whether to print only the plan.
    pub dry_run: bool,
    /// Whether to end after the restart.
    pub no_wait: bool,
    /// Firmware by chip.
    pub images: Images,
}

/// The boards to update.
#[derive(Debug)]
pub enum Targets {
    /// One board.
    One(Box<Target>),
    /// The boards in a file.
    List(PathBuf),
}

impl UpdatePlan {
    /// Checks the arguments and reads the firmware, if one is given. Blocks.
    ///
    /// # Errors
    /// A usage error.
    pub fn new(args: &UpdateArgs, output: &Output) -> Result<Self, Failure> {
        let targets = if let Some(path) = &args.targets {
            Targets::List(path.clone())
        } else {
            let target = config::target(args.target.clone(), "update")?;
            Targets::One(Box::new(Target::parse(&target)?))
        };
        let given = args.firmware.as_deref().map(Firmware::read).transpose()?;
        let given = given.map(|firmware| Image::of(&firmware)).transpose()?;
        Ok(Self {
            targets,
            parallel: args.parallel,
            key: KeySource::new(args.channel.key_file.as_deref())?,
            management_port: args.channel.management_port,
            allow_downgrade: args.allow_downgrade,
            dry_run: args.dry_run,
            no_wait: args.no_wait,
            images: Images {
                given: given.map(Arc::new),
                found: Mutex::default(),
                build: Build::new(output.is_quiet()),
            },
        })
    }
}

/// An application image to install.
#[derive(Debug)]
pub struct Image {
    /// Name in messages.
    pub name: String,
    /// Chip that the image is for.
    pub chip: Chip,
    /// Firmware version.
    pub version: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

impl Image {
    /// The application of a firmware.
    ///
    /// # Errors
    /// A part does not fit.
    pub fn of(firmware: &Firmware) -> Result<Self, Failure> {
        let crystal = firmware.chip.default_xtal_frequency();
        let bytes = firmware.image(DEFAULT_FLASH, crystal)?.app.data;
        Ok(Self {
            name: firmware.name.clone(),
            chip: firmware.chip,
            version: firmware.version.clone(),
            sha256: Sha256::digest(&bytes).into(),
            bytes,
        })
    }

    /// SHA-256 of the bytes, in hexadecimal.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// The firmware for each chip: the given one, or bundled or built ones.
#[derive(Debug)]
pub struct Images {
    given: Option<Arc<Image>>,
    found: Mutex<HashMap<String, Arc<Image>>>,
    build: Build,
}

impl Images {
    /// The firmware for a chip. May build it with cargo.
    ///
    /// # Errors
    /// There is none, or the given one is for another chip.
    pub async fn for_chip(&self, chip: Chip, output: &Output) -> Result<Arc<Image>, Failure> {
        if let Some(given) = &self.given {
            if given.chip != chip {
                return Err(Failure::usage(format!(
                    "firmware {} is for the {}, the board is an {chip}",
                    given.name, given.chip
                ))
                .hint("give the firmware for that chip"));
            }
            return Ok(Arc::clone(given));
        }
        // One build at a time. All boards with this chip wait for it.
        let mut found = self.found.lock().await;
        if let Some(image) = found.get(&chip.to_string()) {
            return Ok(Arc::clone(image));
        }
        if let Some(note) = firmware::will_build(chip) {
            output.note(&note);
        }
        let build = self.build.clone();
        let find = tokio::task::spawn_blocking(move || {
            firmware::find(chip, &build).and_then(|firmware| Image::of(&firmware))
        });
        let image = find.await.map_err(|error| {
            Failure::new(
                Kind::Internal,
                format!("reading the firmware failed: {}", reason(&error)),
            )
        })??;
        let image = Arc::new(image);
        found.insert(chip.to_string(), Arc::clone(&image));
        Ok(image)
    }

    /// Stops a running build.
    pub fn stop(&self) {
        self.build.stop();
    }
}

/// How a version compares to the running one (Semantic Versioning 2.0.0, section 11).
pub fn change(running: &str, new: Option<&str>) -> Change {
    let parse = |text: &str| Version::parse(text.strip_prefix('v').unwrap_or(text)).ok();
    match (parse(running), new.and_then(parse)) {
        (Some(running), Some(new)) => match new.cmp_precedence(&running) {
            std::cmp::Ordering::Less => Change::Downgrade,
            std::cmp::Ordering::Equal => Change::Same,
            std::cmp::Ordering::Greater => Change::Upgrade,
        },
        _ => Change::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_semver() {
        for (running, new, expected) in [
            ("0.1.0", Some("0.2.0"), Change::Upgrade),
            ("0.9.0", Some("0.10.0"), Change::Upgrade),
            ("1.0.0-rc.1", Some("1.0.0"), Change::Upgrade),
            ("1.0.0", Some("1.0.0-rc.2"), Change::Downgrade),
            ("v1.2.3", Some("1.2.3+build7"), Change::Same),
            ("0.2.0", Some("0.1.9"), Change::Downgrade),
            ("nightly", Some("0.1.9"), Change::Unknown),
            ("0.2.0", None, Change::Unknown),
        ] {
            assert_eq!(change(running, new), expected, "{running} {new:?}");
        }
    }
}
