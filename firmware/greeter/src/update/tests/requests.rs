//! Updates by a client's requests.

use core::cell::RefCell;
use core::future::Future;
use core::pin::pin;
use core::task::{Context, Waker};
use std::boxed::Box;

use embassy_time::Duration;
use tcpctl_management::{
    FirmwareReport, MAX_UPDATE_DATA, RANDOM_LEN, Refusal, Request, Response, UpdateRefusal,
};
use tcpctl_settings::sectors::ConfirmTimeout;
use tcpctl_settings::{Changes, Field, ManagementKey, ServerSettings};

use super::*;
use crate::management::{About, Host, Management};
use crate::test_clock::advance;
use crate::trial::TrialRun;

type Handle<'a> = &'a RefCell<TestFlash>;

/// Starts the board. `reset` is the reason of this start.
fn started(chip: &RefCell<TestFlash>, reset: Reset) -> Firmware<Handle<'_>> {
    let board = boot(&mut chip.borrow_mut());
    Firmware::new(chip, board.slots, &board.version, Some("esp32c3"), reset)
}

fn ask(firmware: &Firmware<Handle<'_>>, request: &Request) -> Result<Response, Refusal> {
    block_on(firmware.handle(request)).expect("a request about firmware")
}

fn report(firmware: &Firmware<Handle<'_>>) -> FirmwareReport {
    match ask(firmware, &Request::Firmware) {
        Ok(Response::Firmware(report)) => *report,
        other => panic!("{other:?}"),
    }
}

fn begin(image: &[u8]) -> Request {
    let Announced { size, sha256 } = announced(image);
    Request::BeginUpdate { size, sha256 }
}

fn send_from(firmware: &Firmware<Handle<'_>>, image: &[u8], from: u32) {
    let mut offset = from;
    for bytes in image[from as usize..].chunks(MAX_UPDATE_DATA) {
        let bytes = bytes.to_vec();
        let end = offset + u32::try_from(bytes.len()).unwrap();
        let written = ask(firmware, &Request::UpdateData { offset, bytes });
        assert_eq!(written, Ok(Response::Written { offset: end }));
        offset = end;
    }
}

/// A whole update, to the restart. Returns the sequence number of the trial.
fn update(firmware: &Firmware<Handle<'_>>, image: &[u8]) -> u32 {
    let ready = Response::Ready {
        offset: 0,
        window: WINDOW,
    };
    assert_eq!(ask(firmware, &begin(image)), Ok(ready));
    send_from(firmware, image, 0);
    assert_eq!(ask(firmware, &Request::VerifyUpdate), Ok(Response::Done));
    match ask(firmware, &Request::StartUpdate) {
        Ok(Response::Restarting { sequence }) => sequence,
        other => panic!("{other:?}"),
    }
}

fn poll(future: impl Future) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    pin!(future).as_mut().poll(&mut context).is_ready()
}

#[test]
fn client_updates_and_confirms() {
    let chip = RefCell::new(flashed("0.1.0"));
    let firmware = started(&chip, Reset::PowerOn);
    let before = report(&firmware);
    assert_eq!(
        before,
        FirmwareReport {
            version: "0.1.0".into(),
            chip: Some("esp32c3".into()),
            slot: 0,
            capacity: Some(0x10000),
            trial: None,
            ended: None,
        }
    );
    let sequence = update(&firmware, &image("0.2.0"));
    let firmware = started(&chip, Reset::Software);
    let after = report(&firmware);
    assert_eq!((after.version.as_str(), after.slot), ("0.2.0", 1));
    assert_eq!(after.trial, Some(sequence));
    let wrong = Request::ConfirmUpdate { sequence: 99 };
    assert_eq!(ask(&firmware, &wrong), Err(Refusal::NoSuchTrial));
    let confirm = Request::ConfirmUpdate { sequence };
    for _ in 0..2 {
        assert_eq!(ask(&firmware, &confirm), Ok(Response::Done));
    }
    let firmware = started(&chip, Reset::PowerOn);
    assert_eq!(ask(&firmware, &confirm), Ok(Response::Done));
    assert_eq!(report(&firmware).version, "0.2.0");
}

#[test]
fn refusals_of_an_update_change_nothing() {
    let chip = RefCell::new(flashed("0.1.0"));
    let firmware = started(&chip, Reset::PowerOn);
    let refused = |refusal| Err(Refusal::Update(refusal));
    for request in [
        Request::VerifyUpdate,
        Request::StartUpdate,
        Request::UpdateData {
            offset: 0,
            bytes: image("1")[..1024].to_vec(),
        },
    ] {
        assert_eq!(ask(&firmware, &request), refused(UpdateRefusal::OutOfOrder));
    }
    let too_large = Request::BeginUpdate {
        size: 0x10001,
        sha256: [0; 32],
    };
    let capacity = 0x10000;
    assert_eq!(
        ask(&firmware, &too_large),
        refused(UpdateRefusal::TooLarge { capacity })
    );
    let board = boot(&mut chip.borrow_mut());
    let steps = chip.borrow().steps;
    for chip_name in [None, Some("esp8266")] {
        let other = Firmware::new(&chip, board.slots, "0.1.0", chip_name, Reset::PowerOn);
        assert_eq!(
            ask(&other, &begin(&image("1"))),
            refused(UpdateRefusal::NoChip)
        );
        assert_eq!(report(&other).chip, None);
    }
    assert_eq!(chip.borrow().steps, steps);
    assert!(block_on(firmware.handle(&Request::Show)).is_none());
}

#[test]
fn transfer_continues_after_a_dropped_request() {
    let chip = RefCell::new(flashed("0.1.0"));
    let firmware = started(&chip, Reset::PowerOn);
    let image = image("0.2.0");
    ask(&firmware, &begin(&image)).unwrap();
    send_from(&firmware, &image[..4096], 0);
    // The network is lost after the erase and before the bytes are written.
    let request = Request::UpdateData {
        offset: 4096,
        bytes: image[4096..5120].to_vec(),
    };
    assert!(!poll(firmware.handle(&request)));
    let ready = Response::Ready {
        offset: 4096,
        window: WINDOW,
    };
    assert_eq!(ask(&firmware, &begin(&image)), Ok(ready));
    send_from(&firmware, &image, 4096);
    assert_eq!(ask(&firmware, &Request::VerifyUpdate), Ok(Response::Done));
}

#[test]
fn a_minute_on_the_network_confirms() {
    let chip = RefCell::new(flashed("0.1.0"));
    let sequence = update(&started(&chip, Reset::PowerOn), &image("0.2.0"));
    let firmware = started(&chip, Reset::Software);
    {
        let mut served = pin!(firmware.confirm_when_served());
        let mut failed = pin!(firmware.trial_failed());
        assert!(!poll(served.as_mut()));
        assert!(!poll(failed.as_mut()));
        advance(SERVED_TIMEOUT - Duration::from_millis(1));
        assert!(!poll(served.as_mut()));
        assert_eq!(report(&firmware).trial, Some(sequence));
        advance(Duration::from_millis(1));
        assert!(!poll(served.as_mut()));
        assert_eq!(report(&firmware).trial, None);
        // The deadline has no effect any more.
        advance(TRIAL_TIMEOUT);
        assert!(!poll(failed.as_mut()));
    }
    assert_eq!(report(&started(&chip, Reset::PowerOn)).version, "0.2.0");
}

#[test]
fn trial_without_a_network_ends() {
    let chip = RefCell::new(flashed("0.1.0"));
    let sequence = update(&started(&chip, Reset::PowerOn), &image("0.2.0"));
    {
        let firmware = started(&chip, Reset::Software);
        let mut failed = pin!(firmware.trial_failed());
        assert!(!poll(failed.as_mut()));
        advance(TRIAL_TIMEOUT - Duration::from_millis(1));
        assert!(!poll(failed.as_mut()));
        advance(Duration::from_millis(1));
        assert!(poll(failed.as_mut()));
    }
    let firmware = started(&chip, Reset::Software);
    let ended = report(&firmware).ended.unwrap();
    assert_eq!(ended.sequence, sequence);
    assert_eq!(ended.version.as_deref(), Some("0.2.0"));
    assert_eq!(TrialEnd::from_code(ended.reason), TrialEnd::NotConfirmed);
    assert_eq!(report(&firmware).version, "0.1.0");
}

/// A host whose board no request changes.
struct Unchanged;

impl Host for Unchanged {
    fn random(&self) -> [u8; RANDOM_LEN] {
        unreachable!("no session")
    }

    fn apply(&self, _: &ServerSettings) {
        unreachable!("nothing is applied")
    }

    fn restart(&self) {
        unreachable!("nothing restarts")
    }
}

/// The previous firmware may not be able to read settings that this one writes, and a restart would
/// return to it.
#[test]
fn settings_stay_while_the_firmware_is_on_trial() {
    let chip = RefCell::new(flashed("0.1.0"));
    update(&started(&chip, Reset::PowerOn), &image("0.2.0"));
    let firmware = started(&chip, Reset::Software);
    let mut settings = settings();
    settings.management_key = Some(ManagementKey::new([7; 32]));
    let trial = TrialRun::new(None);
    let about = About {
        firmware: "0.2.0",
        chip: "esp32c3",
        mac: [2, 0, 0, 0, 0, 1],
    };
    let management = Management::new(&settings, &chip, &trial, about, Unchanged);
    let management = management.unwrap().unwrap().with_firmware(&firmware);
    let mut changes = Box::new(Changes::default());
    changes.set(Field::Greeting.parse("hi").unwrap());
    let steps = chip.borrow().steps;
    for request in [
        Request::Apply {
            changes: changes.clone(),
        },
        Request::Trial {
            changes,
            confirm_timeout: ConfirmTimeout::DEFAULT,
        },
    ] {
        let (response, _) = block_on(management.handle(request));
        let on_trial = Refusal::Update(UpdateRefusal::OnTrial);
        assert_eq!(response, Response::Refused(on_trial));
    }
    assert_eq!(chip.borrow().steps, steps);
}

/// The state that a board keeps in RAM, during the longest step of an update.
#[test]
fn update_state_is_below_2_kb() {
    let chip = RefCell::new(flashed("0.1.0"));
    let firmware = started(&chip, Reset::PowerOn);
    let request = Request::VerifyUpdate;
    let step = size_of_val(&firmware.handle(&request));
    std::println!("kept {}, step {step}", size_of_val(&firmware));
    assert!(size_of_val(&firmware) + step < 2048);
}
