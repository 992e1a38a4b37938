//! The firmware: everything of a board that depends on the chip, around the greeter.
//!
//! `main` wires the modules in the order in which they start.
//!
//! | module | what it is |
//! |---|---|
//! | [`chip`] | what differs between chips: name, memory, thermometer |
//! | [`console`] | the serial line: a queue, a rate limit, a task that drains it |
//! | [`flash`] | the flash and its application slots |
//! | [`radio`] | the Wi-Fi driver, started and configured |
//! | [`access_point`], [`station`] | the two Wi-Fi modes |
//! | [`online`] | whether the board is on its network |
//! | [`servers`] | the greeter's futures as tasks |
//! | [`management`] | the management server |
//! | [`status`] | the board's part of a `status` reply |
//! | [`mod@panic`] | the panic handler; its message survives the reset |
//! | [`boot_guard`] | counts failed starts across resets |
//! | [`watchdog`] | resets a board whose network task hangs |
//! | [`raw`], `xtensa_start` | all unsafe code |
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "xtensa", feature(asm_experimental_arch))]

extern crate alloc;

mod access_point;
mod app;
mod boot_guard;
mod chip;
mod console;
mod flash;
mod management;
mod online;
mod panic;
mod radio;
mod raw;
mod servers;
mod station;
mod status;
mod watchdog;
#[cfg(target_arch = "xtensa")]
mod xtensa_start;

use alloc::boxed::Box;
use core::cell::RefCell;

use embassy_executor::{SpawnError, SpawnToken, Spawner};
use embassy_time::Timer;
use esp_hal::clock::CpuClock;
use esp_hal::rng::Rng;
use esp_hal::timer::timg::TimerGroup;
use tcpctl_greeter::active_settings::ActiveSettings;
use tcpctl_greeter::console::Panic;
use tcpctl_greeter::reset::Reset;
use tcpctl_greeter::settings_store::SettingsStore;
use tcpctl_greeter::stored;
use tcpctl_greeter::trial::TrialRun;
use tcpctl_greeter::update::Firmware;
use tcpctl_settings::sectors::RollbackReason;

use crate::flash::ChipFlash;
use crate::radio::Radio;
use crate::servers::Board;
use crate::status::ChipStatus;
use crate::watchdog::Watchdog;

// The application descriptor, which the bootloader and every flash tool look for.
esp_bootloader_esp_idf::esp_app_desc!();

const VERSION: &str = env!("CARGO_PKG_VERSION");

#[esp_hal::main]
async fn main(spawner: Spawner) -> ! {
    let config = esp_hal::Config::default().with_cpu_clock(CpuClock::max());
    let peripherals = esp_hal::init(config);
    let mut flash = ChipFlash::new(peripherals.FLASH);
    let slots = flash.start_slots();
    raw::paint_stack();
    chip::init_heap();
    let timers = TimerGroup::new(peripherals.TIMG0);
    esp_rtos::start(timers.timer0, peripherals.FROM_CPU_INTR0);

    // From this point on, a start that hangs ends in a reset.
    let watchdog = Watchdog::start(timers.wdt);
    let console = console::start(spawner);
    let panic = panic::take_record();
    let reset = if panic.is_some() {
        Reset::Panic
    } else {
        chip::reset()
    };
    let flash = leak(RefCell::new(flash));
    let firmware = leak(Firmware::new(
        flash,
        slots,
        VERSION,
        Some(chip::NAME),
        reset,
    ));
    let stored = SettingsStore::open(flash).and_then(|mut store| store.begin());
    let trial = leak(TrialRun::new(stored.as_ref().ok()));
    let sequence = stored.as_ref().map_or(0, |stored| stored.record.sequence);
    let start = boot_guard::count(reset, sequence);
    let stored = stored::unless_ignored(stored, start);

    let mut radio = Radio::start(peripherals.WIFI);
    // Random numbers are available from this point on, because the radio's noise is the source.
    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let active = match ActiveSettings::apply(stored, &mut radio, chip::LIMITS, || random.random()) {
        Ok(active) => leak(active),
        Err(error) => panic!("the radio rejects even the default settings: {error}"),
    };
    if active.is_rejected() && trial.open().is_some() {
        active.describe(|line| console.print(line));
        management::end_trial(flash, RollbackReason::Rejected, console);
    }
    let banner = active.banner(VERSION, reset, trial);
    let mode = banner.mode;
    console.print(banner);
    if let Some(record) = &panic {
        console.print(Panic(panic::message(record)));
    }
    active.describe(|line| console.print(line));
    if let Some(report) = trial.report().filter(|it| !it.is_confirmed()) {
        console.print(report);
    }
    if firmware.is_on_trial() {
        console.print("update trial");
    }
    if let Some(ended) = firmware.ended() {
        console.print(ended);
    }
    console.flush();

    #[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
    let thermometer = chip::Thermometer::new(peripherals.TSENS);
    #[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
    let thermometer = chip::Thermometer;
    let host_name = leak(active.host_name());
    let board = Board {
        settings: &active.settings,
        config: active.server(),
        service_streams: active.capacity().service_streams,
        host_name,
        mac: active.mac,
        console,
        chip: leak(ChipStatus::new(
            host_name.as_str(),
            mode,
            active,
            reset,
            thermometer,
            trial,
            firmware,
        )),
        watchdog,
        start,
        flash,
        firmware,
        trial,
        seed,
    };
    servers::start(spawner, board, radio);
    loop {
        Timer::after_secs(3600).await;
    }
}

/// Moves a value to the heap for good.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Starts a task. Panics if its pool is exhausted.
fn spawn<S>(spawner: Spawner, task: Result<SpawnToken<S>, SpawnError>) {
    match task {
        Ok(token) => spawner.spawn(token),
        Err(error) => panic!("task pool exhausted: {error:?}"),
    }
}
