//! The content of requests and responses.

use proptest::prelude::*;
use tcpctl_management::{
    BoardEvent, ClientEvent, EndedTrial, FirmwareReport, MAX_UPDATE_DATA, Refusal, Request,
    Response, Shown, ShownSettings, TrialReport, UpdateRefusal,
};
use tcpctl_settings::sectors::{RollbackReason, TrialState};
use tcpctl_settings::{
    Changes, Field, ManagementKey, Network, Passphrase, Security, Settings, Ssid, Value,
};

use crate::any;
use crate::raw;
use crate::sessions::{established, send};

const SECRET: &str = "correct horse battery";

fn settings() -> Settings {
    let mut settings = Settings::new(Network::Station {
        ssid: Ssid::new("home").unwrap(),
        security: Security::Wpa2(Passphrase::new(SECRET).unwrap()),
    });
    settings.management_key = Some(ManagementKey::new(*b"0123456789abcdef0123456789abcdef"));
    settings
}

fn shown(settings: &Settings, trial: Option<TrialReport>) -> Response {
    Response::Shown(Box::new(Shown {
        firmware: "0.1.0".into(),
        chip: "ESP32-C3".into(),
        settings: ShownSettings::of(settings),
        sequence: 4,
        trial,
    }))
}

/// The response as the client receives it.
fn answer(response: &Response) -> Response {
    let (mut board, mut client) = established(1);
    send(&mut board, &mut client, &Request::Show);
    let bytes = board.respond(response).unwrap();
    match client.receive(&mut &bytes[..]).unwrap() {
        ClientEvent::Response(response) => response,
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn changes_arrive_as_sent(changes in any::changes(), timeout in any::confirm_timeout()) {
        let (mut board, mut client) = established(1);
        let changes = Box::new(changes);
        for request in [
            Request::Apply { changes: changes.clone() },
            Request::Trial { changes, confirm_timeout: timeout },
        ] {
            prop_assert_eq!(send(&mut board, &mut client, &request), request);
        }
    }

    #[test]
    fn settings_arrive_as_shown(settings in any::settings()) {
        let response = shown(&settings, None);
        prop_assert_eq!(answer(&response), response);
    }

    /// The client checks changes by the board's rules, without its secrets.
    #[test]
    fn client_checks_changes_as_the_board_does(
        settings in any::settings(),
        changes in any::changes(),
    ) {
        let board = settings.with_changes(&changes).map(|it| ShownSettings::of(&it));
        prop_assert_eq!(ShownSettings::of(&settings).with_changes(&changes), board);
    }
}

#[test]
fn shown_settings_have_every_value_and_no_secret() {
    let settings = settings();
    let Response::Shown(received) = answer(&shown(&settings, None)) else {
        panic!()
    };
    for &field in Field::OPTIONS {
        assert_eq!(received.settings.value(field), settings.value(field));
    }
    assert!(received.settings.is_protected());
    let text = format!("{received:?}");
    assert!(!text.contains(SECRET), "{text}");
    assert!(!text.contains("0123456789abcdef"), "{text}");
}

#[test]
fn passphrase_is_not_in_debug_output_or_in_clear() {
    let changes = Box::new(Changes {
        security: Some(Security::Wpa2(Passphrase::new(SECRET).unwrap())),
        ..Changes::default()
    });
    let request = Request::Trial {
        changes,
        confirm_timeout: tcpctl_settings::sectors::ConfirmTimeout::DEFAULT,
    };
    assert!(!format!("{request:?}").contains(SECRET));
    let (_, mut client) = established(1);
    let bytes = client.request(&request).unwrap();
    let is_clear = bytes
        .windows(8)
        .any(|window| SECRET.as_bytes().windows(8).any(|part| part == window));
    assert!(!is_clear);
}

#[test]
fn updates_arrive_as_sent() {
    let (mut board, mut client) = established(1);
    let bytes: Vec<u8> = (0..=255).cycle().take(MAX_UPDATE_DATA).collect();
    let requests = [
        Request::Firmware,
        Request::BeginUpdate {
            size: u32::MAX,
            sha256: [0xa5; 32],
        },
        Request::UpdateData {
            offset: u32::MAX,
            bytes,
        },
        Request::VerifyUpdate,
        Request::StartUpdate,
        Request::ConfirmUpdate { sequence: 7 },
    ];
    for request in requests {
        assert_eq!(send(&mut board, &mut client, &request), request);
    }
    let report = FirmwareReport {
        version: "0.1.0".into(),
        chip: Some("esp32c3".into()),
        slot: 1,
        capacity: Some(983_040),
        trial: Some(3),
        ended: Some(EndedTrial {
            sequence: 2,
            version: Some("0.2.0".into()),
            reason: 4,
        }),
    };
    let refusals = [
        UpdateRefusal::NoSecondSlot,
        UpdateRefusal::NoChip,
        UpdateRefusal::TooLarge { capacity: 983_040 },
        UpdateRefusal::OnTrial,
        UpdateRefusal::SettingsOnTrial,
        UpdateRefusal::OutOfOrder,
        UpdateRefusal::NotAnApplication,
        UpdateRefusal::WrongChip,
        UpdateRefusal::WrongProject,
        UpdateRefusal::Truncated,
        UpdateRefusal::Damaged,
        UpdateRefusal::EntryPoint,
        UpdateRefusal::WrongHash,
        UpdateRefusal::Flash,
    ];
    let responses = [
        Response::Firmware(Box::new(report)),
        Response::Ready {
            offset: 4096,
            window: 16384,
        },
        Response::Written { offset: u32::MAX },
    ];
    let refusals = refusals.map(|refusal| Response::Refused(Refusal::Update(refusal)));
    for response in responses.into_iter().chain(refusals) {
        assert_eq!(answer(&response), response);
    }
}

#[test]
fn every_response_arrives() {
    let trial = |state, remaining_s| {
        let sequence = 5;
        shown(
            &settings(),
            Some(TrialReport {
                sequence,
                state,
                remaining_s,
            }),
        )
    };
    let reasons = (1..=7).map(RollbackReason::from_code);
    let rolled_back = reasons.map(|reason| trial(TrialState::RolledBack(reason), None));
    let refusals = [
        Refusal::Invalid {
            field: "workers".into(),
            reason: "33 is not in the range 1 to 32".into(),
        },
        Refusal::NeedsRestart,
        Refusal::TrialInProgress,
        Refusal::NoSuchTrial,
        Refusal::NoSecondSector,
        Refusal::Flash,
    ];
    let responses = [
        Response::Done,
        Response::Restarting { sequence: 9 },
        Response::Unsupported,
        trial(TrialState::Pending, None),
        trial(TrialState::Started, Some(87)),
        trial(TrialState::Confirmed, None),
    ];
    let refusals = refusals.map(Response::Refused);
    for response in responses.into_iter().chain(refusals).chain(rolled_back) {
        assert_eq!(answer(&response), response);
    }
}

/// The response to an encrypted message of these bytes, and to `Show` after it.
fn respond(plain: &[u8]) -> Response {
    let (mut board, mut noise) = raw::established();
    let BoardEvent::Send(bytes) = board
        .receive(&mut &raw::seal(&mut noise, plain)[..])
        .unwrap()
    else {
        panic!("{plain:?}")
    };
    let response = Response::decode(&raw::open(&mut noise, &bytes)).unwrap();
    let event = board
        .receive(&mut &raw::seal(&mut noise, &[0])[..])
        .unwrap();
    assert!(
        matches!(event, BoardEvent::Request(Request::Show)),
        "the session continues: {event:?}"
    );
    response
}

#[test]
fn request_of_a_newer_client_is_answered_as_unsupported() {
    // Variant 40 of the requests; variant 60 of the values; more bytes than a request has.
    for plain in [&[40][..], &[1, 1, 60], &[0, 0], &[]] {
        assert_eq!(respond(plain), Response::Unsupported, "{plain:?}");
    }
}

#[test]
fn invalid_value_is_refused_by_name() {
    for (plain, name, why) in [
        // Apply, one value: 33 workers.
        (
            &[1, 1, 7, 33][..],
            "workers",
            "33 is not in the range 1 to 32",
        ),
        // Trial without values, for 9 s.
        (
            &[2, 0, 9],
            "confirm-timeout",
            "9 is not in the range 10 to 3600",
        ),
    ] {
        let response = respond(plain);
        let Response::Refused(Refusal::Invalid { field, reason }) = response else {
            panic!("{response:?}")
        };
        assert_eq!((&*field, &*reason), (name, why));
    }
}

/// The wire format of version 1. A change here breaks boards in use.
#[test]
fn wire_format_is_fixed() {
    let request = |plain: &[u8]| {
        let request = Request::decode(plain).unwrap();
        assert_eq!(request.encode().unwrap(), plain);
        request
    };
    let mut changes = Changes::default();
    changes.set(Value::Ssid(Ssid::new("ab").unwrap()));
    changes.security = Some(Security::Wpa2(Passphrase::new("12345678").unwrap()));
    changes.set(Field::Mode.parse("sta").unwrap());
    let changes = Box::new(changes);
    let values = b"\x03\x00\x01\x01\x02ab\x0f\x0812345678";
    assert_eq!(request(b"\x00"), Request::Show);
    assert_eq!(
        request(&[b"\x01", &values[..]].concat()),
        Request::Apply {
            changes: changes.clone()
        }
    );
    assert_eq!(
        request(&[b"\x02", &values[..], b"\x5a"].concat()),
        Request::Trial {
            changes,
            confirm_timeout: tcpctl_settings::sectors::ConfirmTimeout::DEFAULT
        }
    );
    assert_eq!(request(b"\x03\x07"), Request::Confirm { sequence: 7 });
    assert_eq!(request(b"\x04\x07"), Request::Abort { sequence: 7 });
    assert_eq!(request(b"\x05"), Request::Firmware);
    assert_eq!(
        request(&[&b"\x06\xac\x02"[..], &[9; 32]].concat()),
        Request::BeginUpdate {
            size: 300,
            sha256: [9; 32]
        }
    );
    assert_eq!(
        request(b"\x07\xac\x02\x03abc"),
        Request::UpdateData {
            offset: 300,
            bytes: b"abc".to_vec()
        }
    );
    assert_eq!(request(b"\x08"), Request::VerifyUpdate);
    assert_eq!(request(b"\x09"), Request::StartUpdate);
    assert_eq!(request(b"\x0a\x07"), Request::ConfirmUpdate { sequence: 7 });
}

/// As for requests: clients of other versions read these bytes.
#[test]
fn wire_format_of_responses_is_fixed() {
    let sequence = 7;
    let state = TrialState::RolledBack(RollbackReason::NoSuchNetwork);
    let trial = TrialReport {
        sequence,
        state,
        remaining_s: Some(300),
    };
    let report = FirmwareReport {
        version: "0.1.0".into(),
        chip: None,
        slot: 1,
        capacity: Some(300),
        trial: None,
        ended: Some(EndedTrial {
            sequence,
            version: Some("0.2.0".into()),
            reason: 4,
        }),
    };
    let invalid = Refusal::Invalid {
        field: "ssid".into(),
        reason: "empty".into(),
    };
    let too_large = UpdateRefusal::TooLarge { capacity: 300 };
    for (response, bytes) in [
        (
            shown(&settings(), Some(trial)),
            b"\x00\x050.1.0\x08ESP32-C3\x0e\x00\x01\x01\x04home\x02\x01\x03\x04\x05\x0bHello World\
              \x06\xb8\x17\x07\x04\x08\x04\x09\x88\x27\x0a\x00\x0b\x01\x0c\x00\x0d\x01\x10\
              \x04\x01\x07\x03\x03\x01\xac\x02" as &[u8],
        ),
        (Response::Done, b"\x01"),
        (Response::Restarting { sequence }, b"\x02\x07"),
        (Response::Refused(invalid), b"\x03\x00\x04ssid\x05empty"),
        (Response::Refused(Refusal::NoSecondSector), b"\x03\x04"),
        (
            Response::Refused(Refusal::Update(too_large)),
            b"\x03\x06\x02\xac\x02",
        ),
        (Response::Unsupported, b"\x04"),
        (
            Response::Firmware(Box::new(report)),
            b"\x05\x050.1.0\x00\x01\x01\xac\x02\x00\x01\x07\x01\x050.2.0\x04",
        ),
        (
            Response::Ready {
                offset: 300,
                window: 7,
            },
            b"\x06\xac\x02\x07",
        ),
        (Response::Written { offset: 7 }, b"\x07\x07"),
    ] {
        assert_eq!(response.encode().unwrap(), bytes, "{response:?}");
        assert_eq!(Response::decode(bytes), Some(response));
    }
}
