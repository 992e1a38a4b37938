//! The format in flash, byte by byte: a board that was flashed years ago must be understood.
//!
//! The vectors were made by hand and by another CRC-32, not by this crate. One that fails means
//! that the format changed: then it needs a new version, and these stay as they are.

use tcpctl_settings::{
    Backlog, Channel, Greeting, HostName, MAX_LEN, MaxStations, Network, Passphrase,
    RequestTimeout, Security, ServerParts, ServerSettings, Services, Settings, Ssid, Status,
    TcpPort, VERSION, Workers,
};

/// A station with every setting away from its default.
fn station(request_timeout: u32, services: Services, status: Status) -> Settings {
    Settings {
        network: Network::Station {
            ssid: Ssid::new("desk").unwrap(),
            security: Security::Wpa2(Passphrase::new("correct horse").unwrap()),
        },
        channel: Channel::new(6).unwrap(),
        max_stations: MaxStations::new(3).unwrap(),
        host_name: Some(HostName::new("greeter-2").unwrap()),
        server: ServerSettings::new(ServerParts {
            port: TcpPort::new(3001).unwrap(),
            greeting: Greeting::new("Hi\r\n").unwrap(),
            workers: Workers::new(8).unwrap(),
            backlog: Backlog::new(2).unwrap(),
            request_timeout: RequestTimeout::from_millis(request_timeout).unwrap(),
            services,
            status,
        })
        .unwrap(),
    }
}

/// An open access point that was told nothing else.
fn open_access_point() -> Settings {
    Settings::new(Network::AccessPoint {
        ssid: None,
        security: Security::Open,
    })
}

const STATION_1: &[&[u8]] = &[
    b"TCPS",
    &[1, 0],
    &[43, 0],
    &[0x67, 0xE9, 0xB7, 0x6C],
    b"\x01\x04desk",          // a station: SSID
    b"\x01\x0Dcorrect horse", // WPA2: passphrase
    &[6, 3],                  // channel, maximum stations
    b"\x01\x09greeter-2",     // a host name
    &[0xB9, 0x17],            // port 3001
    b"\x04Hi\r\n",            // greeting
    &[8, 2],                  // workers, backlog
];

const STATION_2: &[&[u8]] = &[
    b"TCPS",
    &[2, 0],
    &[46, 0],
    &[0xA6, 0x3C, 0x54, 0xE4],
    b"\x01\x04desk",
    b"\x01\x0Dcorrect horse",
    &[6, 3],
    b"\x01\x09greeter-2",
    &[0xB9, 0x17],
    b"\x04Hi\r\n",
    &[8, 2],
    &[0xDC, 0x0B], // request timeout, 1500 ms
    &[1],          // services on
];

const OPEN_ACCESS_POINT_1: &[&[u8]] = &[
    b"TCPS",
    &[1, 0],
    &[22, 0],
    &[0xC9, 0x98, 0x6B, 0x68],
    &[0, 0],            // an access point: no SSID
    &[0],               // open
    &[1, 4],            // channel, maximum stations
    &[0],               // no host name
    &[0xB8, 0x17],      // port 3000
    b"\x0BHello World", // greeting
    &[4, 4],            // workers, backlog
];

const OPEN_ACCESS_POINT_2: &[&[u8]] = &[
    b"TCPS",
    &[2, 0],
    &[25, 0],
    &[0x4A, 0xCF, 0x7B, 0x82],
    &[0, 0],
    &[0],
    &[1, 4],
    &[0],
    &[0xB8, 0x17],
    b"\x0BHello World",
    &[4, 4],
    &[0x88, 0x27], // request timeout, 5000 ms
    &[0],          // services off
];

const STATION_3: &[&[u8]] = &[
    b"TCPS",
    &[3, 0],
    &[47, 0],
    &[0xEC, 0x61, 0x35, 0xA8],
    b"\x01\x04desk",
    b"\x01\x0Dcorrect horse",
    &[6, 3],
    b"\x01\x09greeter-2",
    &[0xB9, 0x17],
    b"\x04Hi\r\n",
    &[8, 2],
    &[0xDC, 0x0B],
    &[1],
    &[0], // status off
];

const OPEN_ACCESS_POINT_3: &[&[u8]] = &[
    b"TCPS",
    &[3, 0],
    &[26, 0],
    &[0x75, 0xE8, 0x30, 0x0D],
    &[0, 0],
    &[0],
    &[1, 4],
    &[0],
    &[0xB8, 0x17],
    b"\x0BHello World",
    &[4, 4],
    &[0x88, 0x27],
    &[0],
    &[1], // status on
];

#[test]
fn version_3_is_written_and_read_as_it_was_defined() {
    assert_eq!(VERSION, 3);
    for (settings, golden) in [
        (station(1500, Services::On, Status::Off), STATION_3),
        (open_access_point(), OPEN_ACCESS_POINT_3),
    ] {
        let golden = golden.concat();
        assert_eq!(settings.encode(&mut [0; MAX_LEN]), Ok(&golden[..]));
        assert_eq!(Settings::decode(&golden), Ok(settings));
    }
}

#[test]
fn older_versions_are_read_with_defaults_for_what_they_did_not_know() {
    for (settings, golden) in [
        (station(1500, Services::On, Status::On), STATION_2),
        (open_access_point(), OPEN_ACCESS_POINT_2),
        (station(5000, Services::Off, Status::On), STATION_1),
        (open_access_point(), OPEN_ACCESS_POINT_1),
    ] {
        assert_eq!(Settings::decode(&golden.concat()), Ok(settings));
    }
}

#[test]
fn older_versions_are_written_again_as_version_3() {
    for golden in [OPEN_ACCESS_POINT_1, OPEN_ACCESS_POINT_2] {
        let settings = Settings::decode(&golden.concat()).unwrap();
        let golden = OPEN_ACCESS_POINT_3.concat();
        assert_eq!(settings.encode(&mut [0; MAX_LEN]), Ok(&golden[..]));
    }
}
