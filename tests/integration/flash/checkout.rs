//! In a checkout the firmware is built by cargo; in these tests by stub programs that record their
//! calls.

use std::fs;
use std::process::Command;

use rustix::process::Signal;

use super::scene::Folder;
use crate::common::firmware::Program;
use crate::common::{Ended, copy_tcpctl, finish, tcpctl, wait_while_running, write_executable};

/// A checkout whose `cargo` reports that it has built our ELF, and whose `rustc` has its libraries
/// in `libraries`.
fn checkout(libraries: &str, cargo: &str) -> Folder {
    let folder = Folder::new();
    for part in ["firmware/esp32", "bin", "libraries"] {
        fs::create_dir_all(folder.path(part)).unwrap();
    }
    folder.file(
        "firmware/esp32/Cargo.toml",
        b"[package]\nname = \"tcpctl-firmware\"\n",
    );
    let elf = folder.file("built.elf", &Program::default().elf());
    let libraries = folder.path(libraries);
    let record = folder.path("record");
    for (name, script) in [
        ("rustc", format!("echo {}", libraries.display())),
        (
            "cargo",
            format!(
                "echo \"$PWD $*\" > {}\necho Compiling >&2\n\
                 echo '{{\"reason\":\"compiler-artifact\",\"executable\":\"{elf}\"}}'\n{cargo}",
                record.display()
            ),
        ),
    ] {
        let file = folder.path(&format!("bin/{name}"));
        write_executable(&file, format!("#!/bin/sh\n{script}\n").as_bytes());
    }
    folder
}

fn plan(folder: &Folder, chip: &str) -> Ended {
    finish(planning(folder, chip).spawn().unwrap())
}

fn planning(folder: &Folder, chip: &str) -> Command {
    let mut command: Command = tcpctl([
        "flash",
        "--dry-run",
        "--mode",
        "ap",
        "--open",
        "--json",
        "--chip",
        chip,
    ]);
    command.current_dir(folder.path("firmware"));
    command.env("PATH", folder.path("bin"));
    command
}

#[test]
fn missing_firmware_is_built_by_cargo() {
    let folder = checkout("libraries", "exit 0");
    let ended = plan(&folder, "esp32c3");
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("Compiling"), "{}", ended.stderr);
    assert_eq!(ended.objects()[0]["firmware"]["version"], "0.1.0-test");
    let record = fs::read_to_string(folder.path("record")).unwrap();
    for word in [
        "firmware/esp32 build --release",
        "--features esp32c3",
        "--target riscv32imc-unknown-none-elf",
    ] {
        assert!(record.contains(word), "{record}");
    }
}

#[test]
fn failing_build_has_a_hint() {
    let missing = checkout("nowhere", "exit 0");
    let failing = checkout("libraries", "exit 101");
    for (folder, chip, advice) in [
        (
            &missing,
            "esp32c6",
            "rustup target add riscv32imac-unknown-none-elf",
        ),
        (&failing, "esp32c3", "see the messages of cargo above"),
        (&failing, "esp32s3", "run firmware/images esp32s3"),
    ] {
        let ended = plan(folder, chip);
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        assert!(ended.stderr.contains(advice), "{}", ended.stderr);
    }
    fs::remove_file(failing.path("bin/cargo")).unwrap();
    let ended = plan(&failing, "esp32c3");
    assert!(ended.stderr.contains("--firmware FILE"), "{}", ended.stderr);
}

#[test]
fn build_ends_with_the_command() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        // The stub's output stays open until it is ended.
        let folder = checkout("libraries", "read forever < \"$FIFO\"");
        let fifo = folder.path("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        let mut command = planning(&folder, "esp32c3");
        command.env("FIFO", &fifo);
        let mut child = command.spawn().unwrap();
        let pid = child.id();
        wait_while_running(&mut child, || folder.path("record").exists());
        let cargo = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        crate::common::signal(&child, signal);
        let ended = finish(child);
        assert_eq!(ended.code, code, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("nothing was written"),
            "{}",
            ended.stderr
        );
        for pid in cargo.unwrap_or_default().split_whitespace() {
            assert!(!std::path::Path::new("/proc").join(pid).exists(), "{pid}");
        }
    }
}

#[test]
fn quiet_also_applies_to_cargo() {
    let folder = checkout("libraries", "exit 0");
    let mut command = planning(&folder, "esp32c3");
    command.arg("-q");
    assert_eq!(finish(command.spawn().unwrap()).code, 0);
    let record = fs::read_to_string(folder.path("record")).unwrap();
    assert!(record.contains("--quiet"), "{record}");
}

#[test]
fn missing_firmware_names_both_sources() {
    let folder = Folder::new();
    let program = folder.path("tcpctl");
    copy_tcpctl(&program);
    let ended = Command::new(&program)
        .args(["flash", "--mode", "ap", "--open", "--dry-run", "--json"])
        .current_dir("/")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(70), "{printed}");
    for way in [
        "no firmware for the esp32c3",
        "in a checkout of tcpctl",
        "--firmware FILE",
    ] {
        assert!(printed.contains(way), "{way}: {printed}");
    }
}

#[test]
fn foreign_checkout_is_not_built() {
    let folder = checkout("libraries", "exit 0");
    for manifest in [&b"[package]\nname = \"blinky\"\n"[..], b"\xff"] {
        folder.file("firmware/esp32/Cargo.toml", manifest);
        let program = folder.path("tcpctl");
        copy_tcpctl(&program);
        let ended = Command::new(&program)
            .args(["flash", "--mode", "ap", "--open", "--dry-run"])
            .current_dir(folder.path("firmware"))
            .env("PATH", folder.path("bin"))
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(70), "{printed}");
        assert!(printed.contains("no firmware for"), "{printed}");
        assert!(!folder.path("record").exists(), "cargo was run");
    }
}
