//! Impossible requests are refused with one error and hint, before anything is erased.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use tcpctl_greeter::update::sample::Sample;

use super::scene::{PASSPHRASE, Scene};
use crate::common::firmware::{Program, image};
use crate::common::loader::{Board, Boot, Fault, Kind};
use crate::common::{Ended, end_by, finish, in_parallel, run, signal, wait_while_running};

/// The only error line and its hint line, if any, joined.
fn only_error(ended: &Ended) -> String {
    let lines: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with("note:") && !line.starts_with("writing "))
        .collect();
    let (error, hint) = lines.split_first().expect("an error");
    assert!(error.starts_with("error: "), "{}", ended.stderr);
    assert!(hint.len() <= 1, "{}", ended.stderr);
    assert!(
        hint.iter().all(|line| line.starts_with("hint: ")),
        "{}",
        ended.stderr
    );
    lines.join(" ")
}

#[test]
fn boards_that_cannot_be_written_stay_untouched() {
    let kind = Kind::default;
    let boards = [
        (kind_with(Fault::Silent), "press and release RESET"),
        (kind_with(Fault::Garbage), "press and release RESET"),
        (kind_with(Fault::StubDies), "GPIO9"),
        (
            Kind {
                chip_id: 13,
                ..kind()
            },
            "is for the esp32c3",
        ),
        (
            Kind {
                flash_size_log2: 20,
                ..kind()
            },
            "more flash",
        ),
        (
            Kind {
                security_flags: 1,
                ..kind()
            },
            "secure boot",
        ),
        (
            Kind {
                security_flags: 4,
                ..kind()
            },
            "secure download",
        ),
        (
            Kind {
                crypt_count: 1,
                ..kind()
            },
            "flash encryption",
        ),
    ];
    in_parallel(boards, |(board, advice)| {
        let name = format!("{board:?}");
        // For another chip there is other firmware; the other boards cannot be written at all.
        let code = if board.chip_id == kind().chip_id {
            70
        } else {
            2
        };
        let scene = Scene::new(Board::of(board));
        let ended = scene.flash(&[]);
        assert_eq!(ended.code, code, "{name}: {}", ended.stderr);
        let text = only_error(&ended);
        assert!(text.contains(advice), "{name}: {text}");
        assert!(text.contains(scene.board.port()), "{name}: {text}");
        assert!(scene.board.is_untouched(), "{name}");
    });
}

#[test]
fn missing_watchdog_reset_is_named() {
    // The ESP32 cannot be reset by its loader.
    let board = Board::of(Kind {
        chip_id: 0,
        ..Kind::default()
    });
    let program = Program {
        chip: "esp32",
        ..Program::default()
    };
    let scene = Scene::with(board, &program);
    let watchdog = ["--after", "watchdog-reset"];
    for (arguments, is_written) in [(&["--dry-run"][..], false), (&["--no-wait"], true)] {
        scene.board.press_boot_and_reset();
        let ended = scene.flash(&[&watchdog, arguments].concat());
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        let text = only_error(&ended);
        assert!(text.contains("the esp32 has no watchdog reset"), "{text}");
        assert!(text.contains("press RESET"), "{text}");
        let mentions = text.matches("written and verified").count();
        assert_eq!(mentions, usize::from(is_written), "{text}");
    }
}

#[test]
fn a_lost_byte_is_reported_with_its_likely_causes() {
    for (fault, chip, chip_id) in [
        (Fault::LosesByte, "esp32c3", 5),
        // The board has no security information, so the first damaged reply is that of a register.
        (Fault::LosesByte, "esp32", 0),
        (Fault::LosesRegisterByte, "esp32c3", 5),
    ] {
        let board = Board::of(Kind {
            chip_id,
            ..kind_with(fault)
        });
        let program = Program {
            chip,
            ..Program::default()
        };
        let scene = Scene::with(board, &program);
        let ended = scene.flash(&[]);
        let name = format!("{fault:?} on {chip}");
        assert_eq!(ended.code, 70, "{name}: {}", ended.stderr);
        let text = only_error(&ended);
        for cause in ["noise", "--baud 115200", "other programs"] {
            assert!(text.contains(cause), "{name}: {text}");
        }
        assert!(text.contains(scene.board.port()), "{name}: {text}");
        assert!(!text.contains("out of range"), "{name}: {text}");
        assert!(scene.board.is_untouched(), "{name}");
    }
}

#[test]
fn firmware_for_newer_chips_is_refused_untouched() {
    let scene = Scene::new(Board::new());
    let mut newer = image(5, Some("0.1.0"), 1000);
    // The minimum chip revision, in a header without a SHA-256.
    newer.truncate(newer.len() - 32);
    newer[15..17].copy_from_slice(&9900_u16.to_le_bytes());
    newer[23] = 0;
    let file = scene.folder.file("newer.bin", &newer);
    let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let text = only_error(&ended);
    assert!(text.contains("the chip has revision 0.4, but"), "{text}");
    assert!(text.contains("needs 99.0 or later"), "{text}");
    assert!(scene.board.is_untouched());
}

#[test]
fn every_wait_ends_within_1_s_of_a_signal() {
    for (fault, boot, waits_after) in [
        (Fault::Silent, Boot::Firmware, None),
        (Fault::None, Boot::Quiet, Some("reset")),
        (Fault::None, Boot::NoNetwork, Some("booted")),
        (Fault::None, Boot::Mute, Some("ready")),
    ] {
        let ended = end_by(rustix::process::Signal::TERM, || {
            waiting(fault, boot, waits_after)
        });
        assert_eq!(ended.code, 143, "{fault:?} {boot:?}: {}", ended.stderr);
    }
}

/// A command that waits for a board after this event, or for its loader. It handles signals once
/// the port is open.
fn waiting(fault: Fault, boot: Boot, waits_after: Option<&str>) -> (Child, impl Sized + use<>) {
    let scene = Scene::new(Board::of(Kind {
        boot,
        ..kind_with(fault)
    }));
    let mut child = scene
        .command(&["--firmware", &scene.elf, "--mode", "ap", "--open", "--json"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if let Some(event) = waits_after {
        let event = format!("\"event\":\"{event}\"");
        assert!(lines.any(|line| line.unwrap().contains(&event)), "{event}");
    } else {
        wait_while_running(&mut child, || scene.board.state().received > 0);
    }
    (child, (scene, lines))
}

fn kind_with(fault: Fault) -> Kind {
    Kind {
        fault,
        ..Kind::default()
    }
}

#[test]
fn invalid_firmware_is_refused_before_opening_the_port() {
    let scene = Scene::new(Board::new());
    let elf = Program::default().elf();
    let merged = {
        let image = scene.folder.path("merged.bin");
        let image = image.to_str().unwrap();
        let firmware = ["flash", "--firmware", &scene.elf, "--mode", "ap", "--open"];
        let ended = run([&firmware[..], &["--save-image", image]].concat());
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        std::fs::read(image).unwrap()
    };
    let mut flipped = merged.clone();
    flipped[0x10000 + 500] ^= 1;
    let stripped = Program {
        stripped: true,
        ..Program::default()
    };
    let undescribed = Program {
        described: false,
        ..Program::default()
    };
    let huge = Program {
        size: 3 << 20,
        ..Program::default()
    };
    let foreign = Program {
        project: "blinky",
        ..Program::default()
    };
    let cut_off = Program {
        starts: false,
        ..Program::default()
    };
    let bootloader = merged[..0x8000].to_vec();
    let mut header_only = vec![0; 48];
    (header_only[0], header_only[12], header_only[31]) = (0xe9, 5, 0xef);
    for (name, bytes, advice) in [
        ("foreign", foreign.elf(), "another project, 'blinky'"),
        (
            "foreign-image",
            foreign_image(),
            "another project, 'blinky'",
        ),
        ("bootloader", bootloader, "no application descriptor"),
        ("ram-image", ram_image(), "a bootloader or RAM image"),
        ("header-only", header_only, "no application descriptor"),
        ("header", merged[0x10000..][..48].to_vec(), "truncated"),
        ("empty", Vec::new(), "empty"),
        (
            "text",
            b"hello".to_vec(),
            "not an ELF and not an ESP32 image",
        ),
        ("stripped", stripped.elf(), "strip"),
        ("undescribed", undescribed.elf(), "esp_app_desc"),
        ("cut off", cut_off.elf(), "does not lead to main"),
        // Zeros in the descriptor, and an entry point where no image has code.
        (
            "zeros",
            starts_at(0x4200_0020 + 96),
            "entry point leads to no code",
        ),
        ("data", starts_at(0x3c00_0020), "outside its code"),
        ("huge", huge.elf(), "partition"),
        ("cut", elf[..elf.len() / 2].to_vec(), "firmware"),
        ("flipped", flipped, "wrong"),
        (
            "cut-image",
            merged[..merged.len() - 5_000].to_vec(),
            "truncated",
        ),
    ] {
        let file = scene.folder.file(name, &bytes);
        let ended = scene.run(&["--firmware", &file, "--mode", "ap", "--password-stdin"]);
        assert_eq!(ended.code, 2, "{name}: {}", ended.stderr);
        let text = only_error(&ended);
        assert!(text.contains(advice), "{name}: {text}");
        assert!(text.contains(&file), "{name}: {text}");
        assert!(scene.board.state().commands.is_empty(), "{name}");
    }
    let ended = scene.run(&["--firmware", "/dev/zero", "--mode", "ap"]);
    assert_eq!(ended.code, 2);
    assert!(only_error(&ended).contains("too large"));
    let ended = scene.run(&["--firmware", "/nowhere/at/all", "--mode", "ap"]);
    assert_eq!(ended.code, 2);
    assert!(only_error(&ended).contains("/nowhere/at/all"));
}

/// An image with this entry point.
fn starts_at(entry: u32) -> Vec<u8> {
    let mut image = vec![0; 1008];
    let sample = Sample::new(5, "1.0");
    Sample { entry, ..sample }.write(&mut image);
    image
}

/// The application image of another project.
fn foreign_image() -> Vec<u8> {
    let mut bytes = image(5, Some("1.0"), 1000);
    bytes.truncate(bytes.len() - 32);
    bytes[23] = 0; // No SHA-256.
    let name = b"blinky\0";
    // Headers of image and segment, then the descriptor with the project at its byte 48.
    let at = 24 + 8 + 48;
    let sum = (0..name.len()).fold(0, |sum, index| sum ^ bytes[at + index] ^ name[index]);
    bytes[at..at + name.len()].copy_from_slice(name);
    *bytes.last_mut().unwrap() ^= sum;
    bytes
}

/// An image that a loader runs from RAM.
fn ram_image() -> Vec<u8> {
    let mut bytes = image(5, None, 1000);
    bytes.truncate(bytes.len() - 32);
    bytes[23] = 0; // No SHA-256.
    bytes[24..28].copy_from_slice(&0x4038_0000_u32.to_le_bytes());
    bytes
}

#[test]
fn all_image_forms_flash_the_same() {
    let key = "5a".repeat(32);
    let one = Scene::new(Board::new());
    one.write_key(&key, 0o600);
    assert_eq!(one.flash(&["--no-wait"]).code, 0);
    let flash = one.board.read(0, 4 << 20);
    let end = flash.iter().rposition(|byte| *byte != 0xff).unwrap() + 1;
    let merged = one.folder.file("merged.bin", &flash[..end]);
    let app = one.folder.file("app.bin", &flash[0x10000..end]);
    for file in [merged, app] {
        let other = Scene::new(Board::new());
        other.write_key(&key, 0o600);
        let ended = other.run(&[
            "--firmware",
            &file,
            "--mode",
            "ap",
            "--password-stdin",
            "--no-wait",
        ]);
        assert_eq!(ended.code, 0, "{file}: {}", ended.stderr);
        assert!(other.board.read(0, 4 << 20) == flash, "{file}");
    }
}

#[test]
fn invalid_settings_are_refused_before_opening_the_port() {
    let scene = Scene::new(Board::new());
    for (arguments, advice) in [
        (&["--mode", "router"][..], "ap, sta"),
        (&["--mode", "ap", "--channel", "14"], "1 to 13"),
        (
            &["--mode", "ap", "--channel", "six"],
            "must be a whole number from 1 to 13",
        ),
        (&["--mode", "ap", "--workers", "0"], "1 to 32"),
        (&["--mode", "ap", "--hostname", "my_board"], "hyphen"),
        (&["--mode", "ap", "--request-timeout", "5"], "5s or 5ms"),
        (&["--mode", "sta", "--ssid", "home"], "--password-stdin"),
        (&["--chip", "esp8266", "--mode", "ap"], "esp32c3"),
        (&["--mode", "ap", "--baud", "fast"], "e.g. 115200"),
        (
            &["--mode", "ap", "--baud", "57600"],
            "at which loaders start",
        ),
        (&["--mode", "ap", "--baud", "9000000"], "300 to 8000000"),
        (
            &["--mode", "ap", "--before", "no-reset-no-sync"],
            "give --chip",
        ),
        (&["--mode", "ap", "--before", "never"], "usb-reset"),
        (&["--mode", "ap", "--after", "never"], "watchdog-reset"),
        (&["--mode", "ap", "--chip", "esp32c6"], "omit --chip"),
    ] {
        let firmware = ["--firmware", &scene.elf];
        let ended = scene.run(&[&firmware, arguments].concat());
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.stderr);
        assert!(only_error(&ended).contains(advice), "{}", ended.stderr);
        assert!(scene.board.state().commands.is_empty());
    }
    let short = crate::common::run_with_input(
        [
            "flash",
            "--mode",
            "sta",
            "--ssid",
            "x",
            "--password-stdin",
            "--dry-run",
        ],
        b"hunter2\n",
    );
    assert_eq!(short.code, 2);
    assert!(short.stderr.contains("length is 7"), "{}", short.stderr);
    assert!(!short.stderr.contains("hunter2"), "{}", short.stderr);
}

#[test]
fn blank_board_needs_a_mode() {
    let scene = Scene::new(Board::new());
    let ended = scene.run(&["--firmware", &scene.elf]);
    assert_eq!(ended.code, 2);
    assert!(only_error(&ended).contains("--mode ap"), "{}", ended.stderr);
    assert!(scene.board.is_untouched());
    scene.board.press_boot_and_reset();
    let ended = scene.run(&["--settings-only"]);
    assert_eq!(ended.code, 2);
    assert!(only_error(&ended).contains("no setting given"));
    assert!(scene.board.state().commands.is_empty());
    let ended = scene.run(&["--settings-only", "--workers", "2"]);
    assert_eq!(ended.code, 70);
    let text = only_error(&ended);
    assert!(text.contains("omit --settings-only"), "{text}");
}

#[test]
fn generated_passphrase_is_not_printed_in_a_pipe() {
    let scene = Scene::new(Board::new());
    let arguments = ["--firmware", &scene.elf, "--mode", "ap", "--json"];
    for arguments in [&arguments[..], &arguments[..4]] {
        let ended = scene.run(arguments);
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("--show-passphrase"),
            "{}",
            ended.stderr
        );
        assert!(scene.board.is_untouched());
        scene.board.press_boot_and_reset();
    }
    let ended = scene.run(&[&arguments[..], &["--show-passphrase", "--no-wait"]].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let passphrase = ended.objects()[0]["passphrase"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(passphrase.len(), 19);
    assert!(!ended.stderr.contains(&passphrase));
}

#[test]
fn bad_flash_cell_fails_verification() {
    for address in [0x100, 0x10200, 0xe004, 0x8004] {
        let scene = Scene::new(Board::with(Fault::BadCell(address)));
        let ended = scene.flash(&[]);
        assert_eq!(ended.code, 70, "{address:#x}: {}", ended.stderr);
        let text = only_error(&ended);
        assert!(text.contains("does not hold the written data"), "{text}");
        assert!(text.contains("To repair it: tcpctl flash --port"), "{text}");
    }
}

#[test]
fn interrupted_write_keeps_settings_and_is_repairable() {
    in_parallel([Fault::DiesAfter(3), Fault::DiesAfter(1)], |fault| {
        let scene = Scene::new(Board::new());
        let first = scene.flash(&["--no-wait", "--workers", "7"]);
        assert_eq!(first.code, 0, "{}", first.stderr);
        let stored = scene.board.read(0xe000, 4096);
        let newer = Program {
            version: "0.2.0",
            size: 200_000,
            ..Program::default()
        };
        let newer = scene.folder.file("newer.elf", &newer.elf());
        scene.board.state().kind.fault = fault;
        scene.board.press_boot_and_reset();
        let again = ["--firmware", &newer, "--no-wait", "--baud", "115200"];
        let ended = scene.run(&again);
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        let text = only_error(&ended);
        assert!(text.contains("its settings are unchanged"), "{text}");
        assert!(text.contains("--firmware"), "{text}");
        assert_eq!(scene.board.read(0xe000, 4096), stored);
        scene.board.heal();
        let ended = scene.run(&again);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(scene.board.read(0xe000, 4096), stored);
    });
}

#[test]
fn a_write_that_ends_in_the_partition_table_loses_no_settings() {
    let scene = Scene::new(Board::new());
    let first = scene.flash(&["--no-wait", "--workers", "7", "--ssid", "desk"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let stored = scene.board.read(0xe000, 4096);
    // The table differs and all else is already there, so the first block is the table's.
    scene.board.state().flash.erase(0x8000, 0x1000);
    scene.board.state().kind.fault = Fault::DiesAfter(0);
    scene.board.press_boot_and_reset();
    // Neither mode nor SSID is repeated.
    let again = ["--firmware", &scene.elf, "--no-wait", "--baud", "115200"];
    let ended = scene.run(&again);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let text = only_error(&ended);
    assert!(text.contains("the partition table is incomplete"), "{text}");
    scene.board.heal();
    let ended = scene.run(&again);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(scene.board.read(0xe000, 4096), stored);
}

#[test]
fn failure_after_an_erase_does_not_claim_unchanged_parts() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    scene.board.state().kind.fault = Fault::DiesAfter(1);
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--erase", "--yes", "--baud", "115200"]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("the flash was erased"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("as they were"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--erase --yes"), "{}", ended.stderr);
}

#[test]
fn failed_erase_is_not_reported_as_partly_erased() {
    let scene = Scene::new(Board::with(Fault::RefusesStub));
    let ended = scene.flash(&["--erase", "--yes"]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("nothing was erased"),
        "{}",
        ended.stderr
    );
    assert!(!ended.stderr.contains("repair"), "{}", ended.stderr);
    assert!(scene.board.is_untouched());
}

#[test]
fn lost_events_are_a_failure() {
    let scene = Scene::new(Board::new());
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let child = scene
        .command(&["--firmware", &scene.elf, "--mode", "ap", "--open", "--json"])
        .stdin(Stdio::null())
        .stdout(full)
        .spawn()
        .unwrap();
    let ended = finish(child);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let words = "cannot write to standard output: No space left on device";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("everything is written and verified"),
        "{}",
        ended.stderr
    );
    assert!(!scene.board.is_untouched());
}

#[test]
fn failure_to_print_a_dry_run_does_not_mention_the_board() {
    let scene = Scene::new(Board::new());
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let arguments = ["--firmware", &scene.elf, "--mode", "ap", "--open"];
    let child = scene
        .command(&[&arguments[..], &["--dry-run"]].concat())
        .stdout(full)
        .spawn()
        .unwrap();
    let ended = finish(child);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("written"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("RESET"), "{}", ended.stderr);
    assert!(scene.board.is_untouched());
}

#[test]
fn ctrl_c_during_settings_keeps_the_old_ones() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    let before = super::flow::settings(&scene.board);
    scene.board.state().kind.fault = Fault::DiesAfter(0);
    scene.board.press_boot_and_reset();
    let mut child = scene
        .command(&["--settings-only", "--greeting", "moin", "--baud", "115200"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_while_running(&mut child, || scene.board.state().blocks >= 1);
    signal(&child, rustix::process::Signal::TERM);
    let ended = finish(child);
    assert_eq!(ended.code, 143, "{}", ended.stderr);
    let words = "the new settings are incomplete, the firmware is intact. To repair it: tcpctl";
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert_eq!(super::flow::settings(&scene.board), before);
    scene.board.heal();
    let again = ["--settings-only", "--greeting", "moin", "--baud", "115200"];
    let ended = scene.flash(&again[1..]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn unplugged_board_is_reported() {
    let scene = Scene::new(Board::with(Fault::UnpluggedAfter(2)));
    let ended = scene.flash(&[]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let text = only_error(&ended);
    assert!(text.contains("was unplugged"), "{text}");
    assert!(text.contains("To repair it"), "{text}");
}

#[test]
#[ignore = "long: .ci/run runs it"]
fn silent_board_is_reported_as_written() {
    let scene = Scene::new(Board::of(Kind {
        boot: Boot::Quiet,
        ..Kind::default()
    }));
    let ended = scene.flash(&[]);
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let text = only_error(&ended);
    assert!(text.contains("written and verified"), "{text}");
}

#[test]
fn ctrl_c_reports_the_boards_state() {
    // Silence after the first blocks: the command waits for an answer.
    let scene = Scene::new(Board::with(Fault::DiesAfter(2)));
    let mut child = scene
        .command(&["--firmware", &scene.elf, "--mode", "ap", "--open", "--json"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_while_running(&mut child, || scene.board.state().blocks >= 3);
    signal(&child, rustix::process::Signal::INT);
    let ended = finish(child);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(ended.stderr.contains("incomplete"), "{}", ended.stderr);
    let repair = format!("tcpctl flash --port {}", scene.board.port());
    assert!(ended.stderr.contains(&repair), "{}", ended.stderr);
    assert!(!ended.stderr.contains(PASSPHRASE));
}

#[test]
fn missing_and_wrong_ports_are_named() {
    for (port, words) in [
        ("/dev/null", "not a serial port"),
        ("/dev/ttyNOSUCH", "no serial port '/dev/ttyNOSUCH'"),
        ("84:f7:03:1a:0b:3c", "no serial port"),
    ] {
        let ended = run(["flash", "--port", port, "--show-settings"]);
        assert_eq!(ended.code, 70, "{port}: {}", ended.stderr);
        assert!(only_error(&ended).contains(words), "{}", ended.stderr);
    }
}

#[test]
fn newer_settings_are_kept_unless_erased() {
    let scene = Scene::new(Board::new());
    let first = scene.flash(&["--no-wait"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    // An undamaged, empty block of version 5.
    let mut block = b"TCPS\x05\0\0\0".to_vec();
    block.extend([0x2e, 0x2f, 0x9a, 0x16]);
    scene.board.state().flash.erase(0xe000, 0x1000);
    scene.board.state().flash.write(0xe000, &block, None);
    for arguments in [
        &["--settings-only", "--workers", "7"][..],
        &["--show-settings"],
        &["--firmware", &scene.elf, "--no-wait"],
    ] {
        scene.board.press_boot_and_reset();
        let ended = scene.run(arguments);
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        let text = only_error(&ended);
        assert!(text.contains("have format 5"), "{text}");
        assert!(text.contains("--erase"), "{text}");
        assert!(scene.board.read(0xe000, 4096).starts_with(&block));
    }
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--erase", "--yes", "--no-wait"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!scene.board.read(0xe000, 4096).starts_with(&block));
}

#[test]
fn settings_are_not_mentioned_without_a_board() {
    let scene = Scene::new(Board::new());
    let image = scene.folder.path("image.bin");
    let image = image.to_str().unwrap();
    let ended = run(["flash", "--firmware", &scene.elf, "--save-image", image]);
    assert_eq!(ended.code, 2);
    let text = only_error(&ended);
    assert!(text.contains("mode: missing"), "{text}");
    assert!(text.contains("--mode sta --ssid NAME"), "{text}");
}
