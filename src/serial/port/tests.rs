#[cfg(unix)]
use super::open::group_name;
#[cfg(target_os = "linux")]
use super::open::lock_owner;
use super::*;
use crate::serial::Usb;

fn board(path: &str, serial: &str) -> Port {
    Port {
        path: path.to_owned(),
        usb: Some(Usb {
            vendor: 0x303a,
            product: 0x1001,
            serial_number: Some(serial.to_owned()),
            ..Usb::default()
        }),
    }
}

#[test]
fn only_board_is_selected_among_other_ports() {
    let plain = Port {
        path: "/dev/ttyS0".to_owned(),
        usb: None,
    };
    let ports = vec![plain.clone(), board("/dev/ttyACM0", "84:F7:03:1A:0B:3C")];
    assert_eq!(only(ports).unwrap().path, "/dev/ttyACM0");
    let none = format!("{:?}", only(vec![plain]).unwrap_err());
    assert!(
        none.contains("/dev/ttyS0") && none.contains("--port"),
        "{none}"
    );
    let none = only(Vec::new()).unwrap_err();
    assert_eq!(none.kind, Kind::Device);
    assert!(none.hint.unwrap_or_default().contains("data cable"));
}

#[test]
fn several_boards_are_listed_with_their_macs() {
    let ports = vec![
        board("/dev/ttyACM0", "84:F7:03:1A:0B:3C"),
        board("/dev/ttyACM1", "84:F7:03:1A:0B:3D"),
    ];
    let failure = only(ports.clone()).unwrap_err();
    assert_eq!(failure.kind, Kind::Usage);
    let text = format!("{failure:?}");
    for part in [
        "/dev/ttyACM0",
        "84:f7:03:1a:0b:3d",
        "tcpctl-0b3d",
        "303a:1001",
        "--port",
    ] {
        assert!(text.contains(part), "{text}");
    }
    for (given, path) in [
        ("/dev/ttyACM1", "/dev/ttyACM1"),
        ("84:F7:03:1A:0B:3C", "/dev/ttyACM0"),
        ("84f7031a0b3d", "/dev/ttyACM1"),
        ("tcpctl-0b3c.local", "/dev/ttyACM0"),
    ] {
        assert_eq!(named(given, &ports).unwrap().path, path, "{given}");
    }
    let missing = format!("{:?}", named("/dev/ttyACM7", &ports).unwrap_err());
    assert!(missing.contains("serial ports: /dev/ttyACM0"), "{missing}");
    // On Windows a missing port is detected only when it is opened.
    assert_eq!(named("COM77", &ports).is_ok(), cfg!(windows));
}

#[test]
fn replugged_board_is_found_under_another_name() {
    let first = board("/dev/ttyUSB0", "0001");
    let selected = SelectedPort::of(first.clone(), None);
    let path = |listed: &[Port]| {
        let found = selected.find_among(listed.to_vec());
        found.map(|port| port.path)
    };
    let second = board("/dev/ttyUSB1", "0001");
    let third = board("/dev/ttyUSB2", "0001");
    let other = board("/dev/ttyUSB3", "0002");
    let [own, moved] = ["/dev/ttyUSB0", "/dev/ttyUSB1"].map(|path| Some(path.to_owned()));
    assert_eq!(path(&[second.clone(), first, other.clone()]), own);
    assert_eq!(path(&[second.clone(), other.clone()]), moved);
    assert_eq!(path(&[second, third]), None);
    assert_eq!(path(&[other]), None);
}

#[test]
fn board_is_selected_by_its_network_name() {
    let ports = [
        board("/dev/ttyACM0", "84:F7:03:1A:0B:3C"),
        board("/dev/ttyACM1", "84:F7:03:1A:0B:3D"),
    ];
    let macs = |macs: &[&str]| macs.iter().map(|&mac| mac.to_owned()).collect::<Vec<_>>();
    let second = macs(&["84:f7:03:1a:0b:3d"]);
    let selected = with_mac("Desk left", &second, &ports).unwrap().unwrap();
    assert_eq!(selected.path, "/dev/ttyACM1");
    assert_eq!(selected.given.as_deref(), Some("84:f7:03:1a:0b:3d"));
    let elsewhere = macs(&["84:f7:03:1a:0b:3e"]);
    let failure = with_mac("Desk left", &elsewhere, &ports)
        .unwrap()
        .unwrap_err();
    for part in ["'Desk left' (84:f7:03:1a:0b:3e)", "/dev/ttyACM1"] {
        assert!(format!("{failure:?}").contains(part), "{failure:?}");
    }
    let both = macs(&["84:f7:03:1a:0b:3c", "84:f7:03:1a:0b:3d"]);
    let failure = with_mac("Desk left", &both, &ports).unwrap().unwrap_err();
    assert!(failure.message.contains("matches 2 ports"), "{failure}");
    assert!(with_mac("Desk left", &[], &ports).is_none());
}

#[cfg(unix)]
#[test]
fn other_files_are_not_serial_ports() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in ["/dev/null", file.path().to_str().unwrap(), "/tmp"] {
        let selected = named(path, &[]).unwrap();
        let failure = open(&selected, DEFAULT_BAUD).unwrap_err();
        assert!(failure.message.contains("not a serial port"), "{failure}");
    }
}

#[cfg(unix)]
#[test]
fn group_is_found_by_its_number() {
    let groups = "root:x:0:\ndialout:x:20:me\n";
    assert_eq!(group_name(groups, 20).as_deref(), Some("dialout"));
    assert_eq!(group_name(groups, 21), None);
}

#[cfg(target_os = "linux")]
#[test]
fn lock_is_found_by_inode() {
    let locks = "1: POSIX  ADVISORY  WRITE 3568 00:18:2 0 0\n\
                 2: FLOCK  ADVISORY  WRITE 708 00:13:14 0 EOF\n";
    assert_eq!(lock_owner(locks, 14), Some(708));
    assert_eq!(lock_owner(locks, 4), None);
    assert_eq!(lock_owner("", 4), None);
}

#[cfg(target_os = "linux")]
#[test]
fn process_that_has_a_port_is_named() {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let path = ptsname(&master, Vec::new()).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(holder(path), None);
    let slave = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut other = std::process::Command::new("cat")
        .stdin(slave)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let named = holder(path);
    other.kill().unwrap();
    other.wait().unwrap();
    let named = named.unwrap();
    assert!(named.contains(&other.id().to_string()), "{named}");
}
