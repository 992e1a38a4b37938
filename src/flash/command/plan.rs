//! The plan: parts, offsets, and whether they fit.

use espflash::target::Chip;
use tcpctl_settings::Settings;

use super::Flash;
use super::stored::Stored;
use crate::esp::image::{Firmware, Image, Part};
use crate::esp::table::{OTADATA, OTADATA_LEN, SETTINGS};
use crate::failure::{Failure, Kind};
use crate::flash::event::{
    BoardFacts, FirmwareFacts, FlashEvent, FlashPlan, KeyFileFacts, PlanStep,
};
use crate::flash::loader::Device;
use crate::flash::settings::{self, NewSettings, Place};

/// Board and firmware in the plan.
pub(super) struct Facts<'a> {
    pub(super) board: Option<BoardFacts>,
    pub(super) chip: Chip,
    pub(super) firmware: Option<&'a Firmware>,
}

/// The parts, in write order.
pub(super) fn full(
    image: &Image,
    wanted: &Settings,
    stored: Option<&Stored>,
) -> Result<Vec<Part>, Failure> {
    let place = image
        .partitions
        .find(SETTINGS)
        .ok_or_else(|| Failure::new(Kind::Internal, "the image has no settings partition"))?;
    let mut parts = vec![image.bootloader.clone(), image.app.clone()];
    // Blank otadata selects the slot that was just written. Otherwise a board that was updated over
    // the network would keep starting the other one.
    if let Some(otadata) = image.partitions.find(OTADATA) {
        let blank = vec![0xff; OTADATA_LEN as usize];
        parts.push(Part::new("otadata", otadata.offset, blank));
    }
    parts.push(match stored {
        Some(stored) => stored.next_part(wanted, place)?,
        None => settings::part(wanted, place.offset, Place::FIRST)?,
    });
    // Write the table last: until then the old table locates the old settings.
    parts.push(image.table.clone());
    Ok(parts)
}

/// Checks that the image fits the board.
pub(super) fn fits(firmware: &Firmware, image: &Image, device: &Device) -> Result<(), Failure> {
    let name = device.port().name();
    let size = device.flash.size();
    if image.end() > u64::from(size) {
        return Err(Failure::new(
            Kind::Device,
            format!(
                "{name}: the board has {} KiB of flash, but {} needs {} KiB",
                size >> 10,
                firmware.name,
                image.end().div_ceil(1024)
            ),
        )
        .hint("nothing was written; use a board with more flash"));
    }
    let needed = image.minimum_revision();
    if let Some((major, minor)) = device.revision
        && major * 100 + minor < u32::from(needed)
    {
        return Err(Failure::new(
            Kind::Device,
            format!(
                "{name}: the chip has revision {major}.{minor}, but {} needs {}.{} or later",
                firmware.name,
                needed / 100,
                needed % 100
            ),
        )
        .hint("nothing was written; use a board with a newer chip"));
    }
    Ok(())
}

pub(super) fn facts(device: &Device) -> BoardFacts {
    BoardFacts {
        port: device.port().path.clone(),
        revision: device
            .revision
            .map(|(major, minor)| format!("{major}.{minor}")),
        mac: device.mac.clone(),
        flash_bytes: device.flash.size(),
        loader: if device.stub { "stub" } else { "rom" },
        baud: device.baud,
    }
}

pub(super) fn step(part: &Part, unchanged: bool) -> PlanStep {
    PlanStep {
        part: part.name,
        offset: part.offset,
        bytes: part.len(),
        unchanged,
    }
}

impl Flash<'_> {
    pub(super) fn print_plan(
        &self,
        facts: Facts<'_>,
        parts: Vec<PlanStep>,
        wanted: &NewSettings,
    ) -> anyhow::Result<()> {
        let mac = facts.board.as_ref().and_then(|board| board.mac.clone());
        let generated = wanted.generated.as_ref().filter(|_| !self.args.dry_run);
        self.emit(FlashEvent::Plan(FlashPlan {
            board: facts.board,
            chip: facts.chip.to_string(),
            firmware: facts.firmware.map(|firmware| FirmwareFacts {
                name: firmware.name.clone(),
                version: firmware.version.clone(),
                sha256: firmware.sha256.clone(),
            }),
            erase: self.args.erase,
            parts,
            settings: settings::described(&wanted.settings, mac.as_deref()),
            key_file: wanted.key.as_ref().map(|key| KeyFileFacts {
                path: key.file_name(),
                exists: key.exists(),
            }),
            passphrase: generated
                .filter(|_| self.args.show_passphrase)
                .map(|passphrase| passphrase.reveal().to_owned()),
            dry_run: self.args.dry_run,
        }));
        if let Some(passphrase) = generated {
            if self.events.has_failed() {
                return Err(Failure::usage(
                    "no passphrase given, and standard output, which would show a generated one, is closed",
                )
                .hint("nothing was written; give --password-stdin or --open")
                .into());
            }
            let line = format!(
                "passphrase {}  (generated, shown only once)",
                passphrase.reveal()
            );
            let shows_it = self.output.is_terminal() || self.args.show_passphrase;
            if !self.output.is_json() && shows_it {
                self.output.write(format!("{line}\n").as_bytes())?;
            } else if !self.args.show_passphrase {
                // Standard error is a terminal, otherwise the command was refused. -q does not hide
                // the question.
                self.output.prompt(&format!("{line}\n"));
            }
        }
        Ok(())
    }
}
