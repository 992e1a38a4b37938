//! Which linker `firmware/xtensa/linker` runs, and the error of `firmware/xtensa/prepare` if it cannot
//! make one. The programs are stubs, so no Xtensa toolchain is needed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::peers::scratch::Folder;

/// A PATH with the tools that the scripts use, and nothing else.
fn minimal_path() -> Folder {
    let folder = Folder::new();
    let path = std::env::var_os("PATH").unwrap();
    for name in ["bash", "dirname", "tail"] {
        let found = std::env::split_paths(&path)
            .map(|it| it.join(name))
            .find(|it| it.exists());
        symlink(found.unwrap(), folder.path().join(name)).unwrap();
    }
    folder
}

/// A program that prints its name, its arguments and the core it links for.
fn add_stub(folder: &Path, name: &str) {
    let script = b"#!/bin/sh\necho \"${0##*/} $* core=${XTENSA_GNU_CONFIG:-none}\"\n";
    crate::common::write_executable(&folder.join(name), script);
}

fn run(script: &Path, path: &Path, arguments: &[&str]) -> Output {
    Command::new(script)
        .args(arguments)
        .env("PATH", path)
        .env_remove("XTENSA_GNU_CONFIG")
        .env("TCPCTL_CHIP", "esp32")
        .output()
        .unwrap()
}

fn link(path: &Path) -> Vec<String> {
    let script = super::root().join("firmware/xtensa/linker");
    let output = run(&script, path, &["a.rcgu.o", "b.a", "-o", "out"]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn espressif_linker_is_preferred() {
    let path = minimal_path();
    for name in ["xtensa-lx106-elf-ld", "xtensa-lx106-elf-objcopy"] {
        add_stub(path.path(), name);
    }
    let [objcopy, ld] = <[String; 2]>::try_from(link(path.path())).unwrap();
    assert!(
        objcopy.starts_with("xtensa-lx106-elf-objcopy "),
        "{objcopy}"
    );
    assert!(
        objcopy.contains("--set-section-alignment .literal*=4 "),
        "{objcopy}"
    );
    assert!(
        objcopy.contains(" a.rcgu.o "),
        "only rustc's objects: {objcopy}"
    );
    let rest = "--no-relax --no-warn-rwx-segments a.rcgu.o b.a -o out core=";
    assert!(
        ld.starts_with(&format!("xtensa-lx106-elf-ld {rest}")),
        "{ld}"
    );
    assert!(ld.ends_with("/target/xtensa/core.so"), "{ld}");

    for name in ["xtensa-esp-elf-ld", "xtensa-esp-elf-objcopy"] {
        add_stub(path.path(), name);
    }
    let [objcopy, ld] = <[String; 2]>::try_from(link(path.path())).unwrap();
    assert!(objcopy.starts_with("xtensa-esp-elf-objcopy "), "{objcopy}");
    // Espressif's ld has the chips' tables, and must not get those of another core.
    assert_eq!(ld, format!("xtensa-esp-elf-ld {rest}none"));
}

#[test]
fn missing_packages_are_named() {
    let copy = Folder::new();
    let folder = copy.path().join("firmware/xtensa");
    fs::create_dir_all(&folder).unwrap();
    for name in ["prepare", "config.c"] {
        fs::copy(
            super::root().join("firmware/xtensa").join(name),
            folder.join(name),
        )
        .unwrap();
    }
    let path = minimal_path();
    let output = run(&folder.join("prepare"), path.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(lines[0].starts_with("firmware/xtensa: cannot link for Xtensa: missing packages: "));
    assert!(
        lines[1].starts_with("hint: apt-get install binutils-xtensa-lx106 "),
        "{stderr}"
    );
    assert!(lines[1].contains(" gcc, or put Espressif's xtensa-esp-elf toolchain on PATH"));
}
