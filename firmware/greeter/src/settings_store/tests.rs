extern crate std;
use core::cell::RefCell;

use tcpctl_settings::{Greeting, Network, Security, ServerParts, ServerSettings, Ssid};

use super::*;
use crate::test_flash::TestFlash;

/// Settings that fill two pages of flash.
fn settings(name: &str) -> Settings {
    let network = Network::Station {
        ssid: Ssid::new(name).unwrap(),
        security: Security::Open,
    };
    let server = ServerParts {
        greeting: Greeting::new([b'x'; Greeting::MAX_LEN]).unwrap(),
        ..ServerParts::default()
    };
    Settings {
        server: ServerSettings::new(server).unwrap(),
        ..Settings::new(network)
    }
}

fn ssid(selected: &Selected) -> std::string::String {
    let ssid = selected.record.settings.network.ssid().unwrap();
    std::string::ToString::to_string(ssid)
}

/// A flash with these permanent settings in sector A, as `tcpctl flash` writes it.
fn flashed(name: &str, sectors: u32) -> TestFlash {
    let mut flash = TestFlash::new();
    flash.settings_sectors = sectors;
    let mut buffer = [0; MAX_LEN];
    let settings = settings(name);
    let block = settings.encode(&mut buffer).unwrap();
    flash.put("settings", block);
    flash
}

/// The actions of a board between two starts.
type Run = fn(&mut SettingsStore<&RefCell<TestFlash>>) -> Result<(), StoreError>;

const TRIAL: Kind = Kind::Trial(ConfirmTimeout::DEFAULT);

fn write_permanent(store: &mut SettingsStore<&RefCell<TestFlash>>) -> Result<(), StoreError> {
    store.write(&settings("new"), Kind::Permanent).map(|_| ())
}

fn write_trial(store: &mut SettingsStore<&RefCell<TestFlash>>) -> Result<(), StoreError> {
    store.write(&settings("new"), TRIAL).map(|_| ())
}

fn start(store: &mut SettingsStore<&RefCell<TestFlash>>) -> Result<(), StoreError> {
    Ok(store.begin().map(|_| ())?)
}

fn end(
    store: &mut SettingsStore<&RefCell<TestFlash>>,
    state: TrialState,
) -> Result<(), StoreError> {
    let trial = store.load()?.open_trial().ok_or(StoreError::Flash)?;
    store.mark(trial, state)
}

fn confirm(store: &mut SettingsStore<&RefCell<TestFlash>>) -> Result<(), StoreError> {
    end(store, TrialState::Confirmed)
}

fn roll_back(store: &mut SettingsStore<&RefCell<TestFlash>>) -> Result<(), StoreError> {
    end(
        store,
        TrialState::RolledBack(RollbackReason::WrongPassphrase),
    )
}

/// Performs runs one after another, each on the flash that the previous one left.
fn after(mut flash: TestFlash, runs: &[Run]) -> TestFlash {
    for run in runs {
        flash.restart();
        let shared = RefCell::new(flash);
        run(&mut SettingsStore::open(&shared).unwrap()).unwrap();
        flash = shared.into_inner();
    }
    flash
}

/// The SSID that a board starts with, and the state of the newest trial.
fn started(flash: &TestFlash) -> (std::string::String, Option<TrialState>) {
    let shared = RefCell::new(flash.clone());
    shared.borrow_mut().restart();
    let selected = SettingsStore::open(&shared).unwrap().begin().unwrap();
    (ssid(&selected), selected.trial.map(|trial| trial.state))
}

#[test]
fn permanent_settings_replace_the_previous_ones() {
    let mut flash = flashed("old", 2);
    for round in 0..4 {
        flash = after(flash, &[write_permanent]);
        assert_eq!(started(&flash), ("new".into(), None), "{round}");
    }
}

#[test]
fn trial_starts_once_and_is_kept_when_confirmed() {
    let flash = after(flashed("old", 2), &[write_trial, start, confirm]);
    for _ in 0..3 {
        let confirmed = Some(TrialState::Confirmed);
        assert_eq!(started(&flash), ("new".into(), confirmed));
    }
}

#[test]
fn trial_that_was_started_and_not_confirmed_is_rolled_back() {
    let flash = after(flashed("old", 2), &[write_trial, start]);
    // A panic, a watchdog reset and a power cut look the same.
    let restarted = TrialState::RolledBack(RollbackReason::Restarted);
    assert_eq!(started(&flash), ("old".into(), Some(restarted)));
    let flash = after(flash, &[start, start]);
    assert_eq!(started(&flash), ("old".into(), Some(restarted)));
}

#[test]
fn recorded_reason_is_kept_over_further_starts() {
    let flash = after(
        flashed("old", 2),
        &[write_trial, start, roll_back, start, start],
    );
    let wrong = TrialState::RolledBack(RollbackReason::WrongPassphrase);
    assert_eq!(started(&flash), ("old".into(), Some(wrong)));
}

#[test]
fn confirm_timeout_is_stored_with_the_trial() {
    let timeout = ConfirmTimeout::from_secs(600).unwrap();
    let flash = RefCell::new(flashed("old", 2));
    let mut store = SettingsStore::open(&flash).unwrap();
    store.write(&settings("new"), Kind::Trial(timeout)).unwrap();
    let trial = store.begin().unwrap().open_trial().unwrap();
    assert_eq!(trial.confirm_timeout, timeout);
    assert_eq!(trial.sequence, 2);
}

#[test]
fn open_trial_is_never_overwritten() {
    let flash = RefCell::new(flashed("old", 2));
    let mut store = SettingsStore::open(&flash).unwrap();
    for kind in [TRIAL, Kind::Permanent] {
        write_trial(&mut store).unwrap_or_default();
        assert_eq!(
            store.write(&settings("third"), kind),
            Err(StoreError::TrialInProgress)
        );
    }
    start(&mut store).unwrap();
    assert_eq!(
        store.write(&settings("third"), TRIAL),
        Err(StoreError::TrialInProgress)
    );
    confirm(&mut store).unwrap();
    assert_eq!(store.write(&settings("third"), TRIAL), Ok(3));
}

#[test]
fn one_sector_is_not_overwritten() {
    let flash = RefCell::new(flashed("old", 1));
    let steps = flash.borrow().steps;
    let mut store = SettingsStore::open(&flash).unwrap();
    let written = store.write(&settings("new"), Kind::Permanent);
    assert_eq!(written, Err(StoreError::NoSecondSector));
    assert_eq!(flash.borrow().steps, steps);
}

/// Cuts the power during each write of each step, several times with different remaining bits, and
/// starts the board again: it always has the old or the new settings, and never those of a finished
/// trial.
#[test]
fn power_cut_at_any_write_leaves_valid_settings() {
    let scenarios: [(&str, &[Run], Run); 7] = [
        ("permanent", &[], write_permanent),
        ("trial", &[], write_trial),
        ("start", &[write_trial], start),
        ("confirm", &[write_trial, start], confirm),
        ("roll back", &[write_trial, start], roll_back),
        ("restart", &[write_trial, start], start),
        (
            "trial after a rolled back one",
            &[write_trial, start, roll_back, start],
            write_trial,
        ),
    ];
    for (scenario, before, run) in scenarios {
        let flash = after(flashed("old", 2), before);
        let mut cuts = 0;
        for writes in 0.. {
            let mut was_cut = false;
            for seed in 0..24 {
                let mut cut = flash.clone();
                cut.restart();
                cut.cut_at = Some(cut.steps + writes);
                cut.cuts_in_half = seed % 4 == 0;
                cut.random = seed;
                let shared = RefCell::new(cut);
                let result = run(&mut SettingsStore::open(&shared).unwrap());
                let after_cut = shared.into_inner();
                was_cut |= after_cut.is_off();
                if !after_cut.is_off() {
                    assert_eq!(result, Ok(()), "{scenario}");
                    continue;
                }
                let (ssid, state) = started(&after_cut);
                assert!(
                    ["old", "new"].contains(&&*ssid),
                    "{scenario} {writes} {seed}"
                );
                // Before the last write a trial does not start, nor does the previous one again: an
                // erase may remove the marks and leave the settings.
                if scenario.starts_with("trial") && ssid == "new" {
                    assert_eq!(
                        state,
                        Some(TrialState::Started),
                        "{scenario} {writes} {seed}"
                    );
                    assert!(writes >= 3, "{scenario} {writes} {seed}");
                }
                // The next start ends every trial.
                let next = after(after_cut, &[start]);
                let (_, state) = started(&next);
                assert!(
                    !matches!(state, Some(TrialState::Pending)),
                    "{scenario} {writes} {seed}"
                );
            }
            if !was_cut {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 0, "{scenario}");
    }
}

#[test]
fn trial_that_cannot_be_marked_is_not_started() {
    let flash = after(flashed("old", 2), &[write_trial]);
    let read_only = RefCell::new(ReadOnly(flash));
    let selected = SettingsStore::open(&read_only).unwrap().begin().unwrap();
    assert_eq!(ssid(&selected), "old");
    assert_eq!(selected.open_trial(), None);
}

/// Worn flash reports success and keeps its bits.
#[test]
fn marks_are_read_back() {
    for (runs, first) in [
        (&[write_trial as Run][..], TrialState::Started),
        (&[write_trial, start], TrialState::Confirmed),
    ] {
        let mut flash = after(flashed("old", 2), runs);
        flash.wear_out("settings");
        let shared = RefCell::new(flash);
        let mut store = SettingsStore::open(&shared).unwrap();
        let trial = store.load().unwrap().open_trial().unwrap();
        for state in [first, TrialState::RolledBack(RollbackReason::NotConfirmed)] {
            assert_eq!(store.mark(trial, state), Err(StoreError::Flash));
        }
        assert!(store.roll_back(RollbackReason::Rejected).is_err());
        // The board neither starts with the trial again and again, nor keeps a trial that no
        // restart ends.
        for _ in 0..3 {
            let mut store = SettingsStore::open(&shared).unwrap();
            let selected = store.begin().unwrap();
            assert_eq!(
                (ssid(&selected), selected.open_trial()),
                ("old".into(), None)
            );
            assert_eq!(ssid(&store.load().unwrap()), "old");
        }
    }
}

/// A flash whose writes fail.
struct ReadOnly(TestFlash);

impl crate::stored::Flash for ReadOnly {
    fn partition(&mut self, label: &str) -> Result<Option<Partition>, Unreadable> {
        self.0.partition(label)
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Unreadable> {
        self.0.read(offset, bytes)
    }
}

impl WritableFlash for ReadOnly {
    fn erase(&mut self, _: u32) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn program(&mut self, _: u32, _: &[u8]) -> Result<(), Unwritable> {
        Err(Unwritable)
    }
}
