extern crate std;

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use embassy_futures::block_on;
use tcpctl_management::MAX_UPDATE_DATA;
use tcpctl_settings::{BLOCK_SIZE, MAX_LEN, Network, Security, Settings, Ssid};

use super::bootloader::{self, Started};
use super::sample::Sample;
use super::*;
use crate::memory::MANAGEMENT;
use crate::reset::Reset;
use crate::stored::load;
use crate::test_flash::TestFlash;

mod requests;

const CHIP: u16 = 5;
const SIZE: usize = 12_000;
/// Length of a chunk, not a multiple of a page.
const CHUNK: usize = 1000;

fn image(version: &str) -> Vec<u8> {
    let mut image = vec![0; SIZE];
    Sample::new(CHIP, version).write(&mut image);
    image
}

fn announced(image: &[u8]) -> Announced {
    Announced {
        size: u32::try_from(image.len()).unwrap(),
        sha256: Sha256::digest(image).into(),
    }
}

fn settings() -> Settings {
    Settings::new(Network::Station {
        ssid: Ssid::new("home").unwrap(),
        security: Security::Open,
    })
}

/// A board in the state in which `tcpctl flash` leaves it.
fn flashed(version: &str) -> TestFlash {
    let mut chip = TestFlash::new();
    chip.put("ota_0", &image(version));
    let mut buffer = [0; MAX_LEN];
    let mut sector = vec![0xff; BLOCK_SIZE];
    let block = settings().encode(&mut buffer).unwrap();
    sector[..block.len()].copy_from_slice(block);
    chip.put("settings", &sector);
    chip
}

/// A running board.
struct Board {
    version: String,
    slots: Slots,
    update: Update,
}

/// Starts the board as the bootloader does. Panics if there is nothing to start.
fn boot(chip: &mut TestFlash) -> Board {
    let started = bootloader::start(chip, CHIP).unwrap();
    let Started { slot, version } = started.expect("an application that starts");
    Board {
        version: version.as_str().into(),
        slots: Slots::at_start(chip, slot),
        update: Update::new(CHIP),
    }
}

impl Board {
    fn send(
        &mut self,
        chip: &mut TestFlash,
        image: &[u8],
        from: u32,
    ) -> Result<u32, UpdateRefusal> {
        let mut offset = from;
        for bytes in image[from as usize..].chunks(CHUNK) {
            offset = block_on(self.update.write(chip, &self.slots, offset, bytes))?;
        }
        Ok(offset)
    }

    fn verify(&mut self, chip: &mut TestFlash) -> Result<Version, UpdateRefusal> {
        block_on(self.update.verify(chip, &self.slots))
    }

    /// A whole update up to the restart.
    fn update(&mut self, chip: &mut TestFlash, image: &[u8]) -> Result<u32, UpdateRefusal> {
        let from = self.update.begin(&self.slots, announced(image))?;
        self.send(chip, image, from)?;
        self.verify(chip)?;
        self.update.start(chip, &self.slots)
    }
}

/// Includes the management server. Measured on a host, whose futures are larger than a chip's.
#[test]
fn update_takes_at_most_12_kilobytes() {
    let mut chip = flashed("1");
    let mut board = boot(&mut chip);
    let write = size_of_val(&board.update.write(&mut chip, &board.slots, 0, &[]));
    let verify = size_of_val(&board.update.verify(&mut chip, &board.slots));
    // A piece is decrypted, and then decoded.
    let piece = 2 * MAX_UPDATE_DATA;
    let total = MANAGEMENT + size_of::<Update>() + write.max(verify) + piece;
    assert!(
        total <= 12 * 1024,
        "{total}: {write} to write, {verify} to verify"
    );
}

#[test]
fn confirmed_update_stays() {
    let mut chip = flashed("0.1.0");
    for round in 0..5 {
        let mut board = boot(&mut chip);
        let version = format!("1.0.{round}");
        let sequence = board.update(&mut chip, &image(&version)).unwrap();
        let mut board = boot(&mut chip);
        assert_eq!(board.version, version);
        assert_eq!(board.slots.trial(), Some(sequence));
        assert!(!board.slots.is_confirmed(&mut chip, sequence));
        board.slots.confirm(&mut chip).unwrap();
        for _ in 0..2 {
            assert!(board.slots.is_confirmed(&mut chip, sequence));
            board = boot(&mut chip);
            assert_eq!(board.version, version);
            assert_eq!(board.slots.trial(), None);
            assert_eq!(board.slots.ended_trial(&mut chip, Reset::PowerOn), None);
        }
    }
}

#[test]
fn unconfirmed_update_is_rolled_back_with_a_reason() {
    let mut chip = flashed("0.1.0");
    for (round, (reset, end)) in [
        (Reset::Panic, TrialEnd::Panicked),
        (Reset::Watchdog, TrialEnd::Watchdog),
        (Reset::PowerOn, TrialEnd::PowerCut),
        (Reset::Usb, TrialEnd::Reset),
    ]
    .into_iter()
    .enumerate()
    {
        let version = format!("1.0.{round}");
        let sequence = boot(&mut chip).update(&mut chip, &image(&version)).unwrap();
        assert_eq!(boot(&mut chip).version, version);
        let ended = EndedTrial {
            sequence,
            end,
            version: Some(Version::try_from(&*version).unwrap()),
        };
        let board = boot(&mut chip);
        assert_eq!(board.version, "0.1.0");
        assert_eq!(
            board.slots.ended_trial(&mut chip, reset),
            Some(ended.clone())
        );
        // Later starts do not change the reason.
        let board = boot(&mut chip);
        assert_eq!(
            board.slots.ended_trial(&mut chip, Reset::Other),
            Some(ended)
        );
    }
    boot(&mut chip).update(&mut chip, &image("2.0.0")).unwrap();
    let board = boot(&mut chip);
    board
        .slots
        .give_up(&mut chip, TrialEnd::NotConfirmed)
        .unwrap();
    let ended = boot(&mut chip)
        .slots
        .ended_trial(&mut chip, Reset::Software);
    assert_eq!(ended.unwrap().end, TrialEnd::NotConfirmed);
}

#[test]
fn application_that_the_bootloader_skips_is_reported() {
    let mut chip = flashed("0.1.0");
    boot(&mut chip).update(&mut chip, &image("1.0.0")).unwrap();
    chip.put("ota_1", &[0; 100]);
    let board = boot(&mut chip);
    assert_eq!(board.version, "0.1.0");
    assert!(!board.slots.is_on_trial());
    let ended = board.slots.ended_trial(&mut chip, Reset::Software).unwrap();
    assert_eq!((ended.end, ended.version), (TrialEnd::NotStarted, None));
}

#[test]
fn transfer_continues_after_a_broken_connection() {
    let mut chip = flashed("0.1.0");
    let mut board = boot(&mut chip);
    let image = image("1.0.0");
    let slots = board.slots;
    assert_eq!(board.update.begin(&slots, announced(&image)), Ok(0));
    board.send(&mut chip, &image[..7 * CHUNK], 0).unwrap();
    // The same image continues; another one starts at 0.
    assert_eq!(board.update.begin(&slots, announced(&image)), Ok(7000));
    let too_large = Announced {
        size: 1 << 20,
        ..announced(&image)
    };
    let capacity = 0x10000;
    let refused = board.update.begin(&slots, too_large);
    assert_eq!(refused, Err(UpdateRefusal::TooLarge { capacity }));
    assert_eq!(board.update.begin(&slots, announced(&image)), Ok(7000));
    assert_eq!(board.send(&mut chip, &image, 7000), Ok(12_000));
    assert_eq!(board.verify(&mut chip).as_deref(), Ok("1.0.0"));
    // Verifying twice has no effect.
    assert!(board.verify(&mut chip).is_ok());
    assert!(board.update.start(&mut chip, &slots).is_ok());
    let other = announced(&self::image("2.0.0"));
    assert_eq!(board.update.begin(&slots, other), Ok(0));
}

#[test]
fn data_out_of_order_changes_nothing() {
    let mut chip = flashed("0.1.0");
    let mut board = boot(&mut chip);
    let image = image("1.0.0");
    let order = Err(UpdateRefusal::OutOfOrder);
    assert_eq!(board.send(&mut chip, &image, 0), order);
    assert_eq!(board.verify(&mut chip), Err(UpdateRefusal::OutOfOrder));
    board.update.begin(&board.slots, announced(&image)).unwrap();
    board.send(&mut chip, &image[..CHUNK], 0).unwrap();
    let steps = chip.steps;
    let mut write = |offset, bytes: &[u8]| {
        let slots = board.slots;
        block_on(board.update.write(&mut chip, &slots, offset, bytes))
    };
    for (offset, bytes) in [
        (0, &image[..CHUNK]),
        (2000, &image[2000..3000]),
        (1000, &[]),
        // Data that is not a whole number of words, and data beyond the announced end.
        (1000, &image[1000..1999]),
        (1000, &[0; SIZE]),
        (u32::MAX, &image[..CHUNK]),
    ] {
        assert_eq!(write(offset, bytes), order, "{offset}");
    }
    assert_eq!(chip.steps, steps);
    assert_eq!(board.verify(&mut chip), Err(UpdateRefusal::OutOfOrder));
    assert_eq!(board.update.start(&mut chip, &board.slots), order);
    assert_eq!(board.send(&mut chip, &image, 1000), Ok(12_000));
    assert_eq!(board.update.start(&mut chip, &board.slots), order);
    assert!(board.verify(&mut chip).is_ok());
}

#[test]
fn wrong_images_are_refused_before_an_erase() {
    let sample = Sample::new(CHIP, "1.0.0");
    let mut chip = flashed("0.1.0");
    let mut board = boot(&mut chip);
    let steps = chip.steps;
    for (sample, error) in [
        (Sample { chip: 9, ..sample }, ImageError::WrongChip),
        (
            Sample {
                project: "blinky",
                ..sample
            },
            ImageError::WrongProject,
        ),
    ] {
        let mut image = vec![0; SIZE];
        sample.write(&mut image);
        assert_eq!(board.update(&mut chip, &image), Err(error.into()));
    }
    for (image, error) in [
        (vec![0xff; SIZE], ImageError::NotAnApplication),
        (image("1.0.0")[..100].to_vec(), ImageError::Truncated),
    ] {
        assert_eq!(board.update(&mut chip, &image), Err(error.into()));
    }
    assert_eq!(chip.steps, steps);
    // Errors after the start are found in the slot, which is never selected.
    let mut damaged = image("1.0.0");
    damaged[5000] ^= 1;
    let refused = board.update(&mut chip, &damaged);
    assert_eq!(refused, Err(ImageError::Damaged.into()));
    let mut image = vec![0; SIZE];
    Sample { entry: 7, ..sample }.write(&mut image);
    let refused = board.update(&mut chip, &image);
    assert_eq!(refused, Err(ImageError::EntryPoint.into()));
    let wrong = Announced {
        sha256: [7; 32],
        ..announced(&damaged)
    };
    board.update.begin(&board.slots, wrong).unwrap();
    board.send(&mut chip, &damaged, 0).unwrap();
    // The image itself is damaged as well, and that check comes first.
    assert!(board.verify(&mut chip).is_err());
    assert_eq!(boot(&mut chip).version, "0.1.0");
}

#[test]
fn announced_hash_must_match() {
    let mut chip = flashed("0.1.0");
    let mut board = boot(&mut chip);
    let image = image("1.0.0");
    let wrong = Announced {
        sha256: [7; 32],
        ..announced(&image)
    };
    board.update.begin(&board.slots, wrong).unwrap();
    board.send(&mut chip, &image, 0).unwrap();
    assert_eq!(board.verify(&mut chip), Err(UpdateRefusal::WrongHash));
    assert_eq!(board.verify(&mut chip), Err(UpdateRefusal::OutOfOrder));
}

#[test]
fn boards_that_cannot_be_updated_refuse() {
    for label in ["otadata", "ota_1"] {
        let mut chip = flashed("0.1.0");
        chip.missing = vec![label];
        let slots = Slots::at_start(&mut chip, 0);
        let refused = Update::new(CHIP).begin(&slots, announced(&image("1")));
        assert_eq!(refused, Err(UpdateRefusal::NoSecondSlot));
        assert_eq!(slots.ended_trial(&mut chip, Reset::PowerOn), None);
    }
    let mut chip = flashed("0.1.0");
    boot(&mut chip).update(&mut chip, &image("1.0.0")).unwrap();
    let mut board = boot(&mut chip);
    let refused = board.update(&mut chip, &image("2.0.0"));
    assert_eq!(refused, Err(UpdateRefusal::OnTrial));
    board.slots.confirm(&mut chip).unwrap();
    board.update(&mut chip, &image("2.0.0")).unwrap();
}

#[test]
fn worn_sectors_fail_and_keep_the_running_firmware() {
    // Worn sectors in the image and in otadata.
    for worn in [0x20000, 0x22000, 0x1000, 0x2000] {
        let mut chip = flashed("0.1.0");
        boot(&mut chip);
        // Worn cells keep this old data.
        chip.put("ota_1", &vec![0x5a; 0x10000]);
        if worn == 0x2000 {
            chip.put(
                "otadata",
                &[&chip.get("otadata")[..0x1000], &[0; 0x1000]].concat(),
            );
        } else if worn == 0x1000 {
            chip.put("otadata", &[0; 0x1000]);
        }
        chip.worn = vec![worn];
        let mut board = boot(&mut chip);
        let refused = board.update(&mut chip, &image("1.0.0"));
        assert_eq!(refused, Err(UpdateRefusal::Flash), "{worn:x}");
        chip.restart();
        assert_eq!(boot(&mut chip).version, "0.1.0");
    }
}

#[test]
fn worn_marks_of_a_trial_are_not_taken_for_written() {
    const TRIAL_ENTRY: u32 = 0x2000;
    let prepared = || {
        let mut chip = flashed("0.1.0");
        boot(&mut chip).update(&mut chip, &image("1.0.0")).unwrap();
        chip
    };
    let mut chip = prepared();
    let mut board = boot(&mut chip);
    chip.worn = vec![TRIAL_ENTRY];
    assert_eq!(board.slots.confirm(&mut chip), Err(Unwritable));
    assert!(board.slots.is_on_trial());
    let recorded = board.slots.give_up(&mut chip, TrialEnd::NotConfirmed);
    assert_eq!(recorded, Err(Unwritable));
    assert_eq!(boot(&mut chip).version, "0.1.0");

    // No reset returns to the previous firmware, so it is not on trial.
    let mut chip = prepared();
    chip.worn = vec![TRIAL_ENTRY];
    for _ in 0..2 {
        let board = boot(&mut chip);
        assert_eq!(board.version, "1.0.0");
        assert!(!board.slots.is_on_trial());
    }
}

/// Checks the firmware after a power cut: the previous version runs, or the new one on trial.
fn check_after_cut(chip: &mut TestFlash, before: &str, after: &str) {
    chip.restart();
    let board = boot(chip);
    assert!(
        board.version == before || board.version == after,
        "{}",
        board.version
    );
    assert_eq!(load(chip).unwrap().record.settings, settings());
    // An unconfirmed trial ends with the next start, and another update is possible.
    let was_trial = board.slots.is_on_trial();
    let version = if was_trial { before } else { &board.version };
    let mut board = boot(chip);
    assert_eq!(board.version, version);
    if version == before {
        board.update(chip, &image(after)).unwrap();
        assert_eq!(boot(chip).version, after);
    }
}

/// An update, its trial and the confirmation, until the power is cut.
fn update_and_confirm(chip: &mut TestFlash, version: &str) {
    let mut board = boot(chip);
    if board.update(chip, &image(version)).is_err() {
        return;
    }
    let mut board = boot_if_on(chip);
    if let Some(board) = &mut board {
        let _ = board.slots.confirm(chip);
    }
}

fn boot_if_on(chip: &mut TestFlash) -> Option<Board> {
    if chip.is_off() {
        return None;
    }
    let started = bootloader::start(chip, CHIP).ok()??;
    Some(Board {
        version: started.version.as_str().into(),
        slots: Slots::at_start(chip, started.slot),
        update: Update::new(CHIP),
    })
}

#[test]
fn power_cut_at_each_step_leaves_a_board_that_starts() {
    // From slot 0 to slot 1, and back.
    for first in [false, true] {
        let prepared = || {
            let mut chip = flashed("0.1.0");
            boot(&mut chip);
            if first {
                update_and_confirm(&mut chip, "0.2.0");
            }
            chip.steps = 0;
            chip
        };
        let mut whole = prepared();
        let before = boot(&mut whole).version;
        update_and_confirm(&mut whole, "1.0.0");
        assert_eq!(boot(&mut whole).version, "1.0.0");
        let steps = whole.steps;
        assert!(steps > 50, "{steps}");
        for step in 0..steps {
            let mut chip = prepared();
            chip.random = step.into();
            chip.cut_at = Some(step);
            update_and_confirm(&mut chip, "1.0.0");
            assert!(chip.is_off(), "{step}");
            check_after_cut(&mut chip, &before, "1.0.0");
        }
    }
}

#[test]
fn board_starts_after_a_thousand_random_cuts() {
    let mut chip = flashed("0.0.0");
    let mut confirmed = String::from("0.0.0");
    let mut cuts = 0;
    let mut confirmations = 0;
    for round in 1.. {
        if cuts == 1000 {
            break;
        }
        let version = format!("0.0.{round}");
        chip.restart();
        let limit = 90;
        chip.cut_at = Some(chip.steps + chip.random(limit));
        let Some(mut board) = boot_if_on(&mut chip) else {
            cuts += 1;
            continue;
        };
        if !board.slots.is_on_trial() {
            assert!(board.version == confirmed, "{} {confirmed}", board.version);
            let _ = board.update(&mut chip, &image(&version));
        }
        if let Some(mut board) = boot_if_on(&mut chip)
            && board.slots.is_on_trial()
            && chip.random(2) == 0
            && board.slots.confirm(&mut chip).is_ok()
        {
            confirmed = board.version.clone();
            confirmations += 1;
        }
        cuts += u32::from(chip.is_off());
        chip.restart();
        let board = boot(&mut chip);
        // The confirmation may have been written before the cut.
        if !board.slots.is_on_trial() && board.version != confirmed {
            assert_eq!(board.version, version);
            confirmed = version;
        }
        assert_eq!(load(&mut chip).unwrap().record.settings, settings());
    }
    assert!(confirmations > 50, "{confirmations}");
}
