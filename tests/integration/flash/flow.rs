//! From a blank board to a greeting, and the parts that are skipped.

use tcpctl_settings::sectors::{SectorContent, select};
use tcpctl_settings::{MAX_LEN, ManagementKey, Mode, Security, Settings};

use super::scene::{PASSPHRASE, Scene, assert_not_in, events};
use crate::common::Ended;
use crate::common::firmware::Program;
use crate::common::loader::boot::{otadata_entry, selected};
use crate::common::loader::{Board, Boot, Fault, Kind};

const SETTINGS: u32 = 0xe000;
/// Offset of the second settings sector.
const SETTINGS_B: u32 = 0xf000;

pub(crate) fn settings(board: &Board) -> Settings {
    let sector = |offset| SectorContent::read(&board.read(offset, 4096));
    let selected = select(sector(SETTINGS), sector(SETTINGS_B));
    selected.unwrap().record.settings
}

fn text(ended: &Ended) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr)
}

#[test]
fn blank_board_becomes_an_access_point() {
    let scene = Scene::new(Board::new());
    let ap = ["--mode", "ap", "--show-passphrase"];
    let ended = scene.run(&[&["--firmware", &scene.elf][..], &ap].concat());
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains(": Hello World in "), "{printed}");
    assert!(printed.contains("MAC 84:f7:03:1a:0b:3c"), "{printed}");
    assert!(printed.contains("version 0.1.0-test"), "{printed}");
    let stored = settings(&scene.board);
    let Security::Wpa2(passphrase) = stored.network.security() else {
        panic!("open");
    };
    let expected = format!("passphrase {}", passphrase.reveal());
    assert_eq!(printed.matches(&expected).count(), 1, "{printed}");
}

#[test]
fn each_step_is_an_event_in_json() {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--json", "--greeting", "moin", "--status", "off"]);
    assert_eq!(ended.code, 0, "{}", text(&ended));
    assert_eq!(
        events(&ended),
        [
            // Blank otadata is there already.
            "plan", "skipped", "written", "verified", "written", "verified", "written", "verified",
            "written", "verified", "reset", "booted", "ready", "answered"
        ]
    );
    let objects = ended.objects();
    assert!(
        objects
            .iter()
            .all(|object| object["schema"] == "tcpctl.flash/1")
    );
    let app = |event: &str| {
        let of_app =
            |object: &&serde_json::Value| object["event"] == event && object["part"] == "app";
        objects.iter().filter(of_app).cloned().collect::<Vec<_>>()
    };
    let progress = app("progress");
    let done = |object: &serde_json::Value| object["done"].as_u64().unwrap();
    assert!(progress.is_sorted_by_key(done) && progress.len() > 2);
    assert_eq!(done(progress.last().unwrap()), app("written")[0]["bytes"]);
    let plan = &objects[0];
    assert_eq!(plan["chip"], "esp32c3");
    assert_eq!(plan["mac"], "84:f7:03:1a:0b:3c");
    assert_eq!(plan["flash_bytes"], 4 << 20);
    assert_eq!(plan["loader"], "stub");
    assert_eq!(plan["settings"]["greeting"], "moin");
    assert_eq!(plan["settings"]["status"], "off");
    assert_eq!(settings(&scene.board).server.status().to_string(), "off");
    let answered = objects.last().unwrap();
    assert_eq!(answered["greeting"], "moin");
}

#[test]
fn flash_content_equals_the_saved_image() {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--no-wait"]);
    assert_eq!(ended.code, 0, "{}", text(&ended));
    let (_, image) = scene.save(&["--key-file", scene.key_file().to_str().unwrap()]);
    let image = std::fs::read(image).unwrap();
    let flash = scene.board.read(0, 4 << 20);
    assert!(flash[..image.len()] == image[..]);
    assert!(flash[image.len()..].iter().all(|byte| *byte == 0xff));
}

#[test]
fn quiet_run_prints_only_the_result() {
    let scene = Scene::new(Board::new());
    let image = scene.folder.path("board.bin");
    let save = ["--save-image", image.to_str().unwrap()];
    let arguments = ["flash", "-q", "--firmware", &scene.elf, "--mode", "ap"];
    let run = |more: &[&str]| {
        let all = [&arguments[..], &["--open"], more].concat();
        let ended = crate::common::run(all);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert_eq!(ended.stderr, "");
        String::from_utf8(ended.stdout).unwrap()
    };
    assert_eq!(run(&save), "");
    assert!(image.is_file());
    assert!(run(&["--dry-run"]).contains("dry run    nothing is written"));
    let json = run(&[&save[..], &["--json"]].concat());
    assert_eq!(json.lines().count(), 2, "{json}");

    let ended = scene.flash(&["-q"]);
    assert_eq!((ended.code, &*text(&ended)), (0, ""));
    scene.board.press_boot_and_reset();
    let ended = scene.run(&["-q", "--show-settings"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(text(&ended).contains("wpa2"), "{}", text(&ended));
    // A generated passphrase is printed even with -q.
    let generated = crate::common::run([&arguments[..], &save, &["--show-passphrase"]].concat());
    let shown = String::from_utf8(generated.stdout).unwrap();
    assert!(shown.starts_with("passphrase "), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn saved_image_equals_that_of_the_library() {
    use espflash::flasher::{FlashData, FlashSettings, FlashSize};
    use espflash::image_format::idf::IdfBootloaderFormat;
    use espflash::target::{Chip, XtalFrequency};

    let folder = crate::flash::scene::Folder::new();
    let elf = Program::default().elf();
    let file = folder.file("firmware.elf", &elf);
    let image = folder.path("board.bin");
    let arguments = ["flash", "--firmware", &file, "--mode", "ap", "--open"];
    let save = ["--save-image", image.to_str().unwrap()];
    let ended = crate::common::run([&arguments[..], &save].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let image = std::fs::read(image).unwrap();

    let flash = FlashSettings::new(None, Some(FlashSize::_4Mb), None);
    let data = FlashData::new(flash, 0, None, Chip::Esp32c3, XtalFrequency::_40Mhz);
    let csv = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/firmware/settings/partitions.csv"
    );
    let table = Some(0x8000);
    let made = IdfBootloaderFormat::new(&elf, &data, Some(csv.as_ref()), None, table, None);
    let mut parts = 0;
    for segment in made.unwrap().flash_segments() {
        let at = segment.addr as usize;
        assert!(
            image[at..at + segment.data().len()] == *segment.data(),
            "{at:#x}"
        );
        parts += 1;
    }
    assert_eq!(parts, 3);
}

#[test]
fn board_is_written_completely_if_the_output_is_closed() {
    let scene = Scene::new(Board::new());
    let mut command = scene.command(&["--firmware", &scene.elf, "--mode", "ap", "--open"]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(settings(&scene.board).network.mode(), Mode::AccessPoint);
    // Without output a generated passphrase would be lost.
    let scene = Scene::new(Board::new());
    let mut child = scene
        .command(&[
            "--firmware",
            &scene.elf,
            "--mode",
            "ap",
            "--show-passphrase",
        ])
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(scene.board.is_untouched());
}

#[test]
fn save_image_failures_name_the_file() {
    let folder = crate::flash::scene::Folder::new();
    let file = folder.file("firmware.elf", &Program::default().elf());
    for (place, code, advice) in [
        ("/dev/full", 70, "free some space"),
        ("/nowhere/board.bin", 2, "give another path"),
        ("/tmp", 2, "is a directory"),
    ] {
        let arguments = ["flash", "--firmware", &file, "--mode", "ap", "--open"];
        let ended = crate::common::run([&arguments[..], &["--save-image", place]].concat());
        assert_eq!(ended.code, code, "{}", ended.stderr);
        // Fail before the plan is printed, and before anything is built.
        assert_eq!(ended.stdout.is_empty(), code == 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(place), "{}", ended.stderr);
        assert!(ended.stderr.contains(advice), "{}", ended.stderr);
    }
}

#[test]
fn board_can_stay_in_loader_or_stub() {
    let slow = ["--baud", "115200"];
    for (after, before) in [
        (&["--after", "no-reset"][..], &["--before", "no-reset"][..]),
        (
            &["--after", "no-reset-stub"],
            &["--before", "default-reset"],
        ),
        (
            &["--after", "no-reset-stub"],
            &["--before", "no-reset-no-sync", "--chip", "esp32c3"],
        ),
    ] {
        let scene = Scene::new(Board::new());
        let ended = scene.flash(&[&slow, after].concat());
        assert_eq!(ended.code, 0, "{after:?}: {}", text(&ended));
        let printed = text(&ended);
        assert!(printed.contains("stays in its loader"), "{printed}");
        // BOOT and RESET are not pressed.
        let settings_only = ["--settings-only", "--greeting", "moin"];
        let ended = scene.run(&[&slow[..], before, &settings_only].concat());
        let printed = text(&ended);
        assert_eq!(ended.code, 0, "{after:?} {before:?}: {printed}");
        assert!(printed.contains(": moin in"), "{printed}");
    }
}

#[test]
fn rom_loader_writes_the_same() {
    let stub = Scene::new(Board::new());
    let rom = Scene::new(Board::with(Fault::RefusesStub));
    for scene in [&stub, &rom] {
        scene.write_key(&"5a".repeat(32), 0o600);
    }
    assert_eq!(stub.flash(&["--no-wait"]).code, 0);
    let ended = rom.flash(&[]);
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains("the stub does not start"), "{printed}");
    assert!(printed.contains("Hello World in"), "{printed}");
    assert!(stub.board.read(0, 4 << 20) == rom.board.read(0, 4 << 20));
}

#[test]
fn unsupported_baud_rate_falls_back() {
    for fault in [Fault::RefusesBaud, Fault::NoisyWhenFast] {
        let scene = Scene::new(Board::with(fault));
        let ended = scene.flash(&["--no-wait"]);
        let printed = text(&ended);
        assert_eq!(ended.code, 0, "{fault:?}: {printed}");
        assert!(printed.contains("using 115200"), "{fault:?}: {printed}");
    }
}

#[test]
fn unchanged_parts_are_not_written_again() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--no-wait", "--json"]);
    assert_eq!(
        events(&ended),
        [
            "plan", "skipped", "skipped", "skipped", "skipped", "skipped", "reset"
        ]
    );
    assert!(scene.board.is_untouched());
}

#[test]
fn a_new_firmware_keeps_the_settings() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait", "--workers", "7"]).code, 0);
    let before = settings(&scene.board);
    flash_newer(&scene);
    assert_eq!(settings(&scene.board), before);
    assert!(!scene.board.state().flash.erased.contains(&SETTINGS));
}

#[test]
fn settings_alternate_between_two_sectors() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    for (workers, sector) in [(2, SETTINGS_B), (3, SETTINGS), (4, SETTINGS_B)] {
        let before = scene.board.read(SETTINGS, 8192);
        scene.board.press_boot_and_reset();
        let workers = workers.to_string();
        let ended = scene.run(&["--settings-only", "--workers", &workers, "--no-wait"]);
        assert_eq!(ended.code, 0, "{}", text(&ended));
        assert_eq!(settings(&scene.board).server.workers().to_string(), workers);
        let after = scene.board.read(SETTINGS, 8192);
        let other = if sector == SETTINGS {
            4096..8192
        } else {
            0..4096
        };
        assert_eq!(before[other.clone()], after[other]);
    }
}

#[test]
fn flash_selects_the_slot_it_wrote() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    // The state after an update over the network: a whole program in slot 1, which is selected.
    let program = scene.board.read(0x10000, 0x80000);
    let entry = otadata_entry(2, 0xffff_ffff);
    for (at, bytes) in [(0x10_0000, &program), (0xd000, &entry)] {
        scene.board.state().flash.write(at, bytes, None);
    }
    let slot = || selected(&scene.board.read(0, 4 << 20));
    assert_eq!(slot(), Some(0x10_0000));
    scene.board.press_boot_and_reset();
    let ended = scene.run(&["--firmware", &scene.elf, "--no-wait"]);
    assert_eq!(ended.code, 0, "{}", text(&ended));
    assert_eq!(slot(), Some(0x10000));
}

#[test]
fn old_table_is_replaced_and_settings_are_kept() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    let table = scene.board.read(0x8000, 0xc00);
    write_old_table(&scene.board);
    let old_settings = version_3_block();
    let slot = || selected(&scene.board.read(0, 4 << 20));
    assert_eq!(slot(), Some(0x10000));
    let parts = written_parts(&flash_newer(&scene));
    assert_eq!(parts, ["app", "settings", "partition table"]);
    assert_eq!(scene.board.read(0x8000, 0xc00), table);
    assert_eq!(slot(), Some(0x10000));
    // A board that starts the old program with the old table finds the old settings.
    let kept = scene.board.read(SETTINGS, old_settings.len());
    assert_eq!(kept, old_settings);
    let stored = settings(&scene.board);
    assert_eq!(stored.network.ssid().unwrap().as_bytes(), b"desk");
    let Security::Wpa2(passphrase) = stored.network.security() else {
        panic!("open");
    };
    assert_eq!(passphrase.reveal(), PASSPHRASE);
    assert_eq!(stored.channel.get(), 11);
    assert_eq!(stored.server.greeting().as_bytes(), b"moin");
    assert_eq!(stored.server.workers().get(), 7);
    assert_eq!(stored.server.backlog().get(), 2);
    assert_eq!(stored.server.status().to_string(), "off");
}

#[test]
fn old_table_takes_settings_alone() {
    let scene = Scene::new(Board::new());
    write_old_table(&scene.board);
    let table = scene.board.read(0x8000, 0xc00);
    let shown = scene.run(&["--show-settings"]);
    assert_eq!(shown.code, 0, "{}", text(&shown));
    assert!(text(&shown).contains("desk"), "{}", text(&shown));
    for workers in ["3", "5"] {
        scene.board.press_boot_and_reset();
        let ended = scene.run(&["--settings-only", "--workers", workers, "--no-wait"]);
        assert_eq!(ended.code, 0, "{}", text(&ended));
        // This board has one settings sector.
        assert!(scene.board.state().flash.written.iter().eq([&SETTINGS]));
        let stored = settings(&scene.board);
        assert_eq!(stored.server.workers().to_string(), workers);
        assert_eq!(stored.network.ssid().unwrap().as_bytes(), b"desk");
    }
    assert_eq!(scene.board.read(0x8000, 0xc00), table);
}

/// Writes the partition table that had one slot and one settings sector, and settings.
fn write_old_table(board: &Board) {
    let table = esp_idf_part::PartitionTable::try_from_str(
        "settings, data, undefined, 0xe000,  0x1000\n\
         factory,  app,  factory,   0x10000, 0x1F0000\n",
    );
    let table = table.unwrap().to_bin().unwrap();
    let flash = &mut board.state().flash;
    flash.erase(0x8000, 0x8000);
    flash.write(0x8000, &table, None);
    flash.write(SETTINGS as usize, &version_3_block(), None);
}

/// An access point in format 3, encoded according to the table in `firmware/settings/src/block.rs`.
fn version_3_block() -> Vec<u8> {
    let mut body = vec![0, 1, 4];
    body.extend(b"desk");
    body.extend([1, u8::try_from(PASSPHRASE.len()).unwrap()]);
    body.extend(PASSPHRASE.bytes());
    // Channel, stations, no host name, TCP port 3000, greeting, workers, backlog.
    body.extend([11, 4, 0, 0xb8, 0x17, 4]);
    body.extend(b"moin");
    // Workers, backlog, request timeout of 5000 ms, services and status off.
    body.extend([7, 2, 0x88, 0x27, 0, 0]);
    let mut checked = vec![3, 0, u8::try_from(body.len()).unwrap(), 0];
    let mut crc = flate2::Crc::new();
    crc.update(&checked);
    crc.update(&body);
    checked.extend(crc.sum().to_le_bytes());
    [b"TCPS".to_vec(), checked, body].concat()
}

/// Writes version 0.2.0 to the board.
fn flash_newer(scene: &Scene) -> Ended {
    scene.board.press_boot_and_reset();
    let newer = Program {
        version: "0.2.0",
        ..Program::default()
    };
    let newer = scene.folder.file("newer.elf", &newer.elf());
    let ended = scene.run(&["--firmware", &newer, "--no-wait", "--json"]);
    assert_eq!(ended.code, 0, "{}", text(&ended));
    ended
}

/// The parts that were written, in their order.
fn written_parts(ended: &Ended) -> Vec<String> {
    let objects = ended.objects();
    let written = objects.iter().filter(|object| object["event"] == "written");
    written
        .map(|object| object["part"].as_str().unwrap().to_owned())
        .collect()
}

/// If it is cut off anywhere, the board starts its old program or the new one, with its settings.
#[test]
fn partition_table_is_written_last() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    {
        let flash = &mut scene.board.state().flash;
        flash.write(0xd000, &otadata_entry(2, 0xffff_ffff), None);
        flash.erase(0x8000, 0x1000);
    }
    let parts = written_parts(&flash_newer(&scene));
    assert_eq!(parts, ["app", "otadata", "partition table"]);
}

#[test]
fn management_key_is_kept_and_never_shown() {
    const KEY: &[u8; 32] = b"Key of the board on the desk: 12";
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    let mut stored = settings(&scene.board);
    stored.management_key = Some(ManagementKey::new(*KEY));
    let mut buffer = [0; MAX_LEN];
    let block = stored.encode(&mut buffer).unwrap();
    {
        let flash = &mut scene.board.state().flash;
        flash.erase(SETTINGS as usize, 0x1000);
        flash.write(SETTINGS as usize, block, None);
    }
    for arguments in [
        &["--show-settings"][..],
        &["--show-settings", "-vvv"],
        &["--show-settings", "--json"],
        &["--settings-only", "--workers", "3", "--no-wait"],
        &["--settings-only", "--workers", "2", "--no-wait", "--json"],
    ] {
        scene.board.press_boot_and_reset();
        let ended = scene.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {}", text(&ended));
        assert_not_in(&ended, KEY);
        let key = settings(&scene.board).management_key;
        assert_eq!(key.unwrap().reveal(), KEY, "{arguments:?}");
    }
    assert_eq!(settings(&scene.board).server.workers().get(), 2);
}

#[test]
fn mode_change_writes_one_sector() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait", "--greeting", "moin"]).code, 0);
    scene.board.press_boot_and_reset();
    let ended = scene.run(&[
        "--settings-only",
        "--mode",
        "sta",
        "--ssid",
        "home",
        "--password-stdin",
    ]);
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains(": moin in"), "{printed}");
    assert!(printed.contains("mode sta"), "{printed}");
    let state = scene.board.state();
    assert_eq!(state.flash.erased.iter().collect::<Vec<_>>(), [&SETTINGS_B]);
    assert_eq!(
        state.flash.written.iter().collect::<Vec<_>>(),
        [&SETTINGS_B]
    );
    drop(state);
    let stored = settings(&scene.board);
    assert_eq!(stored.network.mode(), Mode::Station);
    assert_eq!(stored.network.ssid().unwrap().as_bytes(), b"home");
}

#[test]
fn change_of_mode_writes_one_sector() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait"]).code, 0);
    scene.board.press_boot_and_reset();
    let station = ["--mode", "sta", "--ssid", "x", "--password-stdin"];
    let ended = scene.run(&[&["--firmware", &scene.elf][..], &station].concat());
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains("Hello World in"), "{printed}");
    let state = scene.board.state();
    assert_eq!(state.flash.erased.iter().collect::<Vec<_>>(), [&SETTINGS_B]);
    assert_eq!(
        state.flash.written.iter().collect::<Vec<_>>(),
        [&SETTINGS_B]
    );
}

#[test]
fn stored_settings_are_shown_without_the_passphrase() {
    let scene = Scene::new(Board::new());
    let none = scene.run(&["--show-settings"]);
    assert_eq!(none.code, 1, "{}", text(&none));
    scene.board.press_boot_and_reset();
    let evil = ["--greeting", "\x1b[2Jevil\u{202e}"];
    let ended = scene.flash(&[&["--no-wait", "--ssid", "desk"][..], &evil].concat());
    assert_eq!(ended.code, 0, "{}", text(&ended));
    let harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(text(&ended).chars().all(harmless), "{}", text(&ended));
    scene.board.press_boot_and_reset();
    let shown = scene.run(&["--show-settings"]);
    let printed = text(&shown);
    assert!(printed.chars().all(harmless), "{printed}");
    assert_eq!(shown.code, 0, "{printed}");
    assert!(
        printed.contains("desk") && printed.contains("wpa2"),
        "{printed}"
    );
    assert!(!printed.contains(PASSPHRASE), "{printed}");
    assert!(scene.board.is_untouched());
}

#[test]
fn no_passphrase_is_in_any_output() {
    let scene = Scene::new(Board::new());
    let saved = scene.folder.path("plan.json");
    for more in [
        &["-v", "-v", "-v"][..],
        &["-vvv", "--json"],
        &["--settings-only", "--workers", "3", "-vvv"],
        &["--settings-only", "--workers", "4", "--json"],
        &["--dry-run", "--json", "-vvv"],
        &["--show-settings", "--json", "-vvv"],
        &["--show-settings", "-vvv"],
        &["--nonsense"],
        &["--baud", "fast"],
    ] {
        // The scene searches all output for the passphrase, with RUST_LOG=trace.
        let alone = more[0].starts_with("--s");
        let ended = if alone {
            scene.run(more)
        } else {
            scene.flash(more)
        };
        let code = if more.len() > 1 && more[0] != "--baud" {
            0
        } else {
            2
        };
        assert_eq!(ended.code, code, "{more:?}: {}", text(&ended));
        std::fs::write(&saved, &ended.stdout).unwrap();
        scene.board.press_boot_and_reset();
    }
    // Fail after the passphrase was read.
    scene.board.state().kind.fault = Fault::Silent;
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--json", "-vvv"]);
    assert_eq!(ended.code, 70);
    assert_eq!(ended.objects()[0]["schema"], "tcpctl.error/1");
}

#[test]
fn a_saved_image_has_the_passphrase_and_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let scene = Scene::new(Board::new());
    let (ended, image) = scene.save(&["--json"]);
    assert_eq!(events(&ended), ["plan", "saved"]);
    let mode = image.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let bytes = std::fs::read(&image).unwrap();
    let mut windows = bytes.windows(PASSPHRASE.len());
    assert!(windows.any(|window| window == PASSPHRASE.as_bytes()));
}

#[test]
fn unreachable_network_is_named() {
    let unreachable = || {
        Board::of(Kind {
            boot: Boot::Unreachable,
            ..Kind::default()
        })
    };
    let scene = Scene::new(unreachable());
    let ended = scene.flash(&[]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let advice = "join the network tcpctl-0b3c, then: tcpctl send 127.0.0.1:1 hi";
    assert!(ended.stderr.contains(advice), "{}", ended.stderr);
    scene.board.press_boot_and_reset();
    let open = scene.run(&["--settings-only", "--open"]);
    assert!(
        open.stderr.contains("tcpctl-0b3c (open), then"),
        "{}",
        open.stderr
    );
    assert!(
        open.stderr.contains("warning: the network is open"),
        "{}",
        open.stderr
    );
    scene.board.press_boot_and_reset();
    let station = ["--mode", "sta", "--ssid", "home", "--password-stdin"];
    let ended = scene.run(&[&["--settings-only"][..], &station].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let advice = "cannot connect to 127.0.0.1:1";
    assert!(ended.stderr.contains(advice), "{}", ended.stderr);
}

#[test]
fn missing_greeting_or_panic_is_a_failure() {
    for (boot, code, words) in [
        (Boot::Closes, 1, "got no greeting: closed without a byte"),
        (
            Boot::Panics,
            70,
            r"the firmware panicked: out of \x1bmemory",
        ),
    ] {
        let scene = Scene::new(Board::of(Kind {
            boot,
            ..Kind::default()
        }));
        let ended = scene.flash(&[]);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn monitor_option_shows_the_console() {
    use std::io::{BufRead, BufReader, Read, Write};

    let scene = Scene::new(Board::new());
    let arguments = [
        "--firmware",
        &scene.elf,
        "--mode",
        "ap",
        "--open",
        "--monitor",
    ];
    let mut child = scene.command(&arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    let address = loop {
        let line = lines.next().unwrap().unwrap();
        printed.push(line.clone());
        if let Some(rest) = line.strip_prefix("answered   ") {
            break rest.split(": ").next().unwrap().to_owned();
        }
    };
    // The first output may appear before the console is read.
    let mut client = std::net::TcpStream::connect(&address).unwrap();
    client.write_all(b"from the test\r\n").unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    let seen = lines.any(|line| line.unwrap().contains("from the test"));
    assert!(seen, "{printed:?}");
    crate::common::signal(&child, rustix::process::Signal::INT);
    let ended = crate::common::finish(child);
    assert_eq!(ended.code, 130, "{}", ended.stderr);
}

#[test]
fn erase_needs_confirmation_and_erases_everything() {
    let scene = Scene::new(Board::new());
    assert_eq!(scene.flash(&["--no-wait", "--workers", "7"]).code, 0);
    scene.board.press_boot_and_reset();
    let refused = scene.flash(&["--erase"]);
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert!(scene.board.is_untouched());
    scene.board.press_boot_and_reset();
    let elf = scene.elf.clone();
    let refused = scene.run(&["--firmware", &elf, "--erase", "--yes"]);
    assert_eq!(refused.code, 2);
    let why = "mode: missing, and the stored mode is erased";
    assert!(refused.stderr.contains(why), "{}", refused.stderr);
    assert!(scene.board.is_untouched());
    scene.board.press_boot_and_reset();
    let ended = scene.flash(&["--erase", "--yes", "--no-wait"]);
    assert_eq!(ended.code, 0, "{}", text(&ended));
    assert_eq!(settings(&scene.board).server.workers().get(), 4);
}

#[test]
fn a_dry_run_writes_nothing_and_starts_the_board_again() {
    let scene = Scene::new(Board::new());
    let ended = scene.flash(&["--dry-run"]);
    let printed = text(&ended);
    assert_eq!(ended.code, 0, "{printed}");
    assert!(printed.contains("nothing is written"), "{printed}");
    assert!(scene.board.is_untouched());
}
