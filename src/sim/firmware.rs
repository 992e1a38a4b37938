//! The firmware of a virtual board with `--chip`: application images in its flash. It checks them
//! as a chip and its bootloader do, and never runs them.

use std::cell::RefCell;

use tcpctl_greeter::flash::{SECTOR, WritableFlash};
use tcpctl_greeter::reset::Reset;
use tcpctl_greeter::stored::Flash;
use tcpctl_greeter::update::image::{self, chip_id};
use tcpctl_greeter::update::sample::Sample;
use tcpctl_greeter::update::{Firmware, Slots, bootloader};

use super::flash::VirtualFlash;
use crate::failure::Failure;

/// Version of this program, which every new virtual board has.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Labels of the slots.
const SLOTS: [&str; 2] = ["ota_0", "ota_1"];
/// Length of the image that represents this program: a sector.
const IMAGE_LEN: usize = SECTOR as usize;

/// The firmware of a virtual board.
pub(super) type VirtualFirmware<'a> = Firmware<&'a RefCell<VirtualFlash>>;

/// Prepares the flash of a board with this chip. Returns the chip: the given one, or that of the
/// images in the flash. A flash without images gets one that represents this program.
///
/// # Errors
/// The flash holds images for another chip, or cannot be written.
pub(super) fn prepare(
    flash: &mut VirtualFlash,
    chip: Option<&'static str>,
) -> Result<Option<&'static str>, Failure> {
    let stored = stored_chip(flash);
    match (chip, stored) {
        (Some(chip), Some(stored)) if chip != stored => Err(Failure::usage(format!(
            "--chip {chip}: the flash of this board holds firmware for the {stored}"
        ))
        .hint(format!("give --chip {stored}, or another file to --state"))),
        (Some(chip), None) => match install(flash, chip) {
            Some(()) => Ok(Some(chip)),
            None => Err(Failure::usage("--state: the flash cannot be written")),
        },
        (_, stored) => Ok(stored),
    }
}

/// The chip of the first image in the flash.
fn stored_chip(flash: &mut VirtualFlash) -> Option<&'static str> {
    SLOTS.iter().find_map(|label| {
        let slot = flash.partition(label).ok()??;
        let mut header = [0; 16];
        flash.read(slot.offset, &mut header).ok()?;
        image::chip_of(&header)
    })
}

/// Writes the image that represents this program to the first slot. Its first byte is written last:
/// a flash without it has no images, and gets one at the next start.
fn install(flash: &mut VirtualFlash, chip: &str) -> Option<()> {
    let slot = flash.partition(SLOTS[0]).ok()??;
    let mut image = [0; IMAGE_LEN];
    Sample::new(chip_id(chip)?, VERSION).write(&mut image);
    flash.erase(slot.offset).ok()?;
    flash.program(slot.offset + 1, &image[1..]).ok()?;
    flash.program(slot.offset, &image[..1]).ok()
}

/// Starts the application that the bootloader selects after `reset`. Without a chip it is this
/// program. `None` if the flash has nothing to start.
pub(super) fn start<'a>(
    flash: &'a RefCell<VirtualFlash>,
    chip: Option<&'static str>,
    reset: Reset,
) -> Option<VirtualFirmware<'a>> {
    let (running, version) = match chip.and_then(chip_id) {
        Some(id) => {
            let started = bootloader::start(&mut &*flash, id).ok()??;
            (started.slot, started.version.as_str().to_owned())
        }
        None => (0, VERSION.to_owned()),
    };
    let slots = Slots::at_start(&mut &*flash, running);
    Some(Firmware::new(flash, slots, &version, chip, reset))
}

#[cfg(test)]
mod tests {
    use tcpctl_settings::{Network, Security, Settings};

    use super::*;

    /// `kill -9` during the first start, after any number of written bytes.
    #[test]
    fn interrupted_first_start_is_repeated() {
        let settings = Settings::new(Network::AccessPoint {
            ssid: None,
            security: Security::Open,
        });
        let written = 2 * IMAGE_LEN;
        for cut in (1..written).step_by(61).chain([written - 1]) {
            let mut flash = VirtualFlash::in_memory([2, 0, 0, 0, 0, 7], &settings).unwrap();
            flash.cut_power_after(cut);
            assert!(prepare(&mut flash, Some("esp32c3")).is_err(), "{cut}");
            flash.restore_power();
            // The image for another chip differs.
            let chip = Some("esp32s3");
            assert_eq!(prepare(&mut flash, chip).unwrap(), chip, "{cut}");
            let flash = RefCell::new(flash);
            let firmware = start(&flash, chip, Reset::PowerOn).expect("firmware");
            assert_eq!(firmware.version(), VERSION, "{cut}");
        }
    }
}
