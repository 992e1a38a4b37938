//! Selects the port on a computer with none, one and several boards: `/sys/class/tty` and two names
//! in `/dev` belong to the test, in a mount namespace of the command.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::{Folder, Scene};
use crate::common::loader::{Board, Kind, Wiring};
use crate::common::{Ended, copy_tcpctl, finish, wait_while_running};
use crate::processes::{Need, skipped};

/// Names that exist in `/dev` on every Linux and that no other test uses.
const NAMES: [&str; 2] = ["tty62", "tty63"];
const USB_JTAG: [&str; 2] = ["303a", "1001"];
const CP210X: [&str; 2] = ["10c4", "ea60"];

/// A computer with these boards on its ports.
struct Computer {
    folder: Folder,
    boards: Vec<Board>,
}

impl Computer {
    /// Boards, each with USB IDs and serial number of its adapter.
    fn with(cables: &[([&str; 2], &str)]) -> Self {
        let folder = Folder::new();
        fs::create_dir_all(folder.path("class")).unwrap();
        fs::create_dir_all(folder.path("bus/usb")).unwrap();
        let mut boards = Vec::new();
        for ((ids, serial), name) in cables.iter().zip(NAMES) {
            let device = folder.path(&format!("devices/{name}"));
            fs::create_dir_all(device.join("interface")).unwrap();
            symlink(folder.path("bus/usb"), device.join("interface/subsystem")).unwrap();
            let [vendor, product] = ids;
            for (file, text) in [
                ("idVendor", vendor),
                ("idProduct", product),
                ("serial", serial),
            ] {
                fs::write(device.join(file), format!("{text}\n")).unwrap();
            }
            fs::create_dir_all(folder.path(&format!("class/{name}"))).unwrap();
            let link = folder.path(&format!("class/{name}/device"));
            symlink(device.join("interface"), link).unwrap();
            boards.push(Board::of(Kind {
                wiring: if *ids == USB_JTAG {
                    Wiring::UsbJtag
                } else {
                    Wiring::Bridge
                },
                ..Kind::default()
            }));
        }
        Self { folder, boards }
    }

    /// Runs `tcpctl` on the computer, with modem lines connected to board `wired`.
    fn run(&self, wired: usize, arguments: &[&str]) -> Ended {
        let mut script = format!(
            "mount --bind {} /sys/class/tty",
            self.folder.path("class").display()
        );
        for (board, name) in self.boards.iter().zip(NAMES) {
            script.push_str(" && mount --bind ");
            script.push_str(board.port());
            script.push_str(" /dev/");
            script.push_str(name);
        }
        script += " && exec \"$@\"";
        let mut command = Command::new("unshare");
        command
            // A network namespace, so that no query leaves for the real network.
            .args(["--net", "--mount", "--propagation", "private", "sh", "-c"])
            .arg(&script)
            .args(["sh", env!("CARGO_BIN_EXE_tcpctl")])
            .args(arguments)
            .env("XDG_CACHE_HOME", self.cache())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        if let Some(board) = self.boards.get(wired) {
            board.wire(&mut command);
        }
        finish(command.spawn().unwrap())
    }

    fn cache(&self) -> PathBuf {
        self.folder.path("cache")
    }
}

fn is_skipped() -> bool {
    skipped(&[
        Need::Root,
        Need::Program("cc"),
        Need::Program("unshare"),
        Need::Program("mount"),
        Need::Path("/dev/tty62"),
        Need::Path("/dev/tty63"),
    ])
}

fn text(ended: &Ended) -> String {
    format!("{}{}", String::from_utf8_lossy(&ended.stdout), ended.stderr)
}

/// Output of `--show-settings` for a blank board that was found and reset.
const FOUND: &str = "the board has no settings";

#[test]
fn only_board_is_found_and_reset() {
    if is_skipped() {
        return;
    }
    for (ids, serial) in [(USB_JTAG, "84:F7:03:1A:0B:3C"), (CP210X, "0001")] {
        let computer = Computer::with(&[(ids, serial)]);
        let ended = computer.run(0, &["flash", "--show-settings"]);
        assert_eq!(ended.code, 1, "{ids:?}: {}", ended.stderr);
        let words = format!("/dev/tty62: {FOUND}");
        assert!(ended.stderr.contains(&words), "{ids:?}: {}", ended.stderr);
    }
}

#[test]
fn missing_board_is_reported_as_none() {
    if is_skipped() {
        return;
    }
    for command in ["flash", "monitor"] {
        let computer = Computer::with(&[]);
        let more = if command == "flash" {
            &["--mode", "ap", "--open"][..]
        } else {
            &[]
        };
        let ended = computer.run(0, &[&[command][..], more].concat());
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("connect the board with a data cable"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn several_boards_are_listed_and_chosen_from() {
    if is_skipped() {
        return;
    }
    let computer = Computer::with(&[(USB_JTAG, "84:F7:03:1A:0B:3C"), (CP210X, "0001")]);
    for command in ["flash", "monitor"] {
        let more = if command == "flash" {
            &["--show-settings"][..]
        } else {
            &[]
        };
        let ended = computer.run(0, &[&[command][..], more].concat());
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        for words in [
            "/dev/tty62 (303a:1001 Espressif USB JTAG/serial, tcpctl-0b3c, MAC 84:f7:03:1a:0b:3c)",
            "/dev/tty63 (10c4:ea60 CP210x, serial number 0001)",
            "--port",
        ] {
            assert!(ended.stderr.contains(words), "{}", ended.stderr);
        }
        assert_eq!(ended.stderr.trim_end().lines().count(), 2);
    }
    let by_id = computer.folder.path("usb-Silicon_Labs_CP2102");
    symlink("/dev/tty63", &by_id).unwrap();
    let by_id = by_id.to_str().unwrap();
    for (given, board, path) in [
        ("/dev/tty62", 0, "/dev/tty62"),
        ("84:F7:03:1A:0B:3C", 0, "/dev/tty62"),
        ("84f7031a0b3c", 0, "/dev/tty62"),
        ("tcpctl-0b3c", 0, "/dev/tty62"),
        ("0001", 1, "/dev/tty63"),
        (by_id, 1, "/dev/tty63"),
    ] {
        let ended = computer.run(board, &["flash", "--show-settings", "--port", given]);
        assert_eq!(ended.code, 1, "{given}: {}", ended.stderr);
        let words = format!("{path}: {FOUND}");
        assert!(ended.stderr.contains(&words), "{given}: {}", ended.stderr);
    }
}

#[test]
fn custom_name_is_a_port_if_discover_has_seen_the_board() {
    if is_skipped() {
        return;
    }
    let computer = Computer::with(&[(CP210X, "0001"), (USB_JTAG, "84:F7:03:1A:0B:3C")]);
    let choose = || computer.run(1, &["flash", "--show-settings", "--port", "kitchen"]);
    let unknown = choose();
    assert_eq!(unknown.code, 70, "{}", unknown.stderr);
    assert!(
        unknown.stderr.contains("serial ports: /dev/tty62"),
        "{}",
        unknown.stderr
    );
    let now = std::time::SystemTime::now();
    let seen = tcpctl::discover::cache::CachedBoard {
        name: "kitchen".to_owned(),
        host: Some("kitchen.local".to_owned()),
        addresses: vec!["192.0.2.1".to_owned()],
        port: 3000,
        mac: Some("84:f7:03:1a:0b:3c".to_owned()),
        seen: now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(),
    };
    tcpctl::discover::cache::Cache::at(computer.cache().join("tcpctl/boards.json"))
        .store(vec![seen], now);
    let known = choose();
    assert_eq!(known.code, 1, "{}", text(&known));
    assert!(known.stderr.contains("/dev/tty63: "), "{}", known.stderr);
}

#[test]
fn a_port_in_use_names_the_program_that_uses_it() {
    let scene = Scene::new(Board::new());
    let mut monitor = crate::common::tcpctl(["monitor", "--port", scene.board.port()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The port is open once its output is shown.
    let path = scene.board.path.clone();
    let pid = monitor.id();
    wait_while_running(&mut monitor, || has_open(pid, &path));
    let ended = scene.flash(&[]);
    crate::common::signal(&monitor, rustix::process::Signal::INT);
    monitor.wait().unwrap();
    assert_eq!(ended.code, 70, "{}", ended.stderr);
    let words = format!("{}: port is in use by tcpctl (PID {pid})", path.display());
    assert!(ended.stderr.contains(&words), "{}", ended.stderr);
}

/// Whether a process has locked a file: the lock is the last thing that opening a port does.
fn has_open(pid: u32, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let inode = fs::metadata(path).unwrap().ino();
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().any(|lock| {
        let fields: Vec<_> = lock.split_whitespace().collect();
        fields.get(4) == Some(&pid.to_string().as_str())
            && fields
                .get(5)
                .is_some_and(|file| file.ends_with(&format!(":{inode}")))
    })
}

#[test]
fn forbidden_port_hints_at_the_group() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    if skipped(&[Need::Root]) {
        return;
    }
    let scene = Scene::new(Board::new());
    let program = scene.folder.path("tcpctl");
    copy_tcpctl(&program);
    fs::set_permissions(scene.folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let groups = fs::read_to_string("/etc/group").unwrap();
    let dialout = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some("dialout")).then(|| fields.nth(1).unwrap().parse().unwrap())
    });
    for (gid, advice) in [
        (dialout.unwrap_or(20), "sudo usermod -aG dialout $USER"),
        (0, "/etc/udev/rules.d/"),
    ] {
        std::os::unix::fs::chown(&scene.board.path, Some(0), Some(gid)).unwrap();
        fs::set_permissions(&scene.board.path, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(fs::metadata(&scene.board.path).unwrap().gid(), gid);
        let mut command = Command::new(&program);
        command
            .args(["flash", "--show-settings", "--port", scene.board.port()])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .current_dir("/")
            .uid(65_534)
            .gid(65_534);
        let ended = finish(command.spawn().unwrap());
        assert_eq!(ended.code, 70, "{}", ended.stderr);
        assert!(
            ended.stderr.contains("permission denied"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(advice), "{}", ended.stderr);
        assert_eq!(ended.stderr.trim_end().lines().count(), 2);
    }
}
