//! The format in flash, byte by byte: settings of older versions must stay readable.
//!
//! The vectors were written by hand, with another CRC-32 implementation. If one fails, the format
//! changed: add a version and leave these vectors as they are.

use tcpctl_settings::{
    Backlog, Channel, Commands, Greeting, HostName, MAX_LEN, Management, ManagementKey,
    MaxStations, Network, Passphrase, Record, RecordKind, RequestTimeout, Security, ServerParts,
    ServerSettings, Services, Settings, Ssid, Status, TcpPort, VERSION, Workers,
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
            commands: Commands::Off,
            // The greeting server has the port of the management channel.
            management: Management::Off,
        })
        .unwrap(),
        management_key: None,
    }
}

/// An open access point with defaults for everything else.
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

const STATION_4: &[&[u8]] = &[
    b"TCPS",
    &[4, 0],
    &[85, 0],
    &[0x4F, 0x92, 0xC5, 0xB0],
    b"\x01\x04desk",
    b"\x01\x0Dcorrect horse",
    &[6, 3],
    b"\x01\x09greeter-2",
    &[0xB9, 0x17],
    b"\x04Hi\r\n",
    &[8, 2],
    &[0xDC, 0x0B],
    &[1],
    &[0],
    &[0xAC, 0x02], // sequence number 300
    &[1],          // a trial
    &[1],          // a management key
    &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    &[
        16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    ],
    &[1], // commands on
    &[0], // management off
];

const OPEN_ACCESS_POINT_4: &[&[u8]] = &[
    b"TCPS",
    &[4, 0],
    &[31, 0],
    &[0x0A, 0xCD, 0x08, 0xD1],
    &[0, 0],
    &[0],
    &[1, 4],
    &[0],
    &[0xB8, 0x17],
    b"\x0BHello World",
    &[4, 4],
    &[0x88, 0x27],
    &[0],
    &[1],
    &[1], // sequence number 1
    &[0], // no trial
    &[0], // no management key
    &[0], // commands off
    &[1], // management on
];

#[test]
fn version_4_is_encoded_and_decoded_as_defined() {
    assert_eq!(VERSION, 4);
    let mut settings = station(1500, Services::On, Status::Off);
    settings.management_key = Some(ManagementKey::new(std::array::from_fn(|i| {
        u8::try_from(i).unwrap()
    })));
    let mut server = settings.server.into_parts();
    server.commands = Commands::On;
    settings.server = ServerSettings::new(server).unwrap();
    let trial = Record {
        settings,
        sequence: 300,
        kind: RecordKind::Trial,
    };
    let permanent = Record {
        settings: open_access_point(),
        sequence: 1,
        kind: RecordKind::Permanent,
    };
    for (record, golden) in [(trial, STATION_4), (permanent, OPEN_ACCESS_POINT_4)] {
        let golden = golden.concat();
        assert_eq!(record.encode(&mut [0; MAX_LEN]), Ok(&golden[..]));
        assert_eq!(Record::decode(&golden), Ok(record));
    }
}

#[test]
fn older_versions_decode_with_defaults_for_new_fields() {
    for (settings, golden) in [
        (station(1500, Services::On, Status::Off), STATION_3),
        (open_access_point(), OPEN_ACCESS_POINT_3),
        (station(1500, Services::On, Status::On), STATION_2),
        (open_access_point(), OPEN_ACCESS_POINT_2),
        (station(5000, Services::Off, Status::On), STATION_1),
        (open_access_point(), OPEN_ACCESS_POINT_1),
    ] {
        let record = Record {
            settings,
            sequence: 0,
            kind: RecordKind::Permanent,
        };
        assert_eq!(Record::decode(&golden.concat()), Ok(record));
    }
}
