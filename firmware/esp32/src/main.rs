//! The firmware: what of a board is the chip's own, around the greeter that is everybody's.
//!
//! Read from here: `main` wires the parts in the order in which they come to life.
//!
//! | module | what it is |
//! |---|---|
//! | [`chip`] | what differs from chip to chip |
//! | [`console`] | the serial line: a queue, a rate, a task that empties it |
//! | [`stored`] | the settings, out of their partition |
//! | [`radio`] | the network that the settings ask for: opened (`ap`) or joined (`sta`) |
//! | [`servers`] | the greeter's futures as tasks |
//! | [`vitals`] | what the board can say of itself |
//! | [`headroom`] | how much of the stack was never used |
//! | [`last_words`] | a panic's message, across the reset |
//! | [`starts`] | how many starts came to nothing, across the resets |
//! | [`raw`] | what those three need of unsafe code, and the only such code |
//! | [`watchdog`] | a reset for a network that has stopped to turn |
#![no_std]
#![no_main]

extern crate alloc;

mod chip;
mod console;
mod headroom;
mod last_words;
mod radio;
mod raw;
mod servers;
mod starts;
mod stored;
mod vitals;
mod watchdog;

use alloc::boxed::Box;

use embassy_executor::{SpawnError, SpawnToken, Spawner};
use embassy_time::Timer;
use esp_hal::clock::CpuClock;
use esp_hal::rng::Rng;
use esp_hal::timer::timg::TimerGroup;
use tcpctl_greeter::chosen::Chosen;
use tcpctl_greeter::console::Panic;
use tcpctl_greeter::reset::Reset;

use crate::radio::Radio;
use crate::servers::Board;
use crate::vitals::Chip;
use crate::watchdog::Watchdog;

// What ESP-IDF's bootloader and every flash tool look for in an application.
esp_bootloader_esp_idf::esp_app_desc!();

/// The firmware's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[esp_hal::main]
async fn main(spawner: Spawner) -> ! {
    let config = esp_hal::Config::default().with_cpu_clock(CpuClock::max());
    let peripherals = esp_hal::init(config);
    headroom::paint();
    chip::heap();
    let timers = TimerGroup::new(peripherals.TIMG0);
    esp_rtos::start(timers.timer0, peripherals.FROM_CPU_INTR0);

    // From here on a start that hangs is a start that fails.
    let watchdog = Watchdog::start(timers.wdt);
    let console = console::start(spawner);
    let panic = last_words::take();
    let reset = if panic.is_some() {
        Reset::Panic
    } else {
        chip::reset()
    };
    let stored = stored::load(starts::count(reset), peripherals.FLASH);

    let mut radio = Radio::start(peripherals.WIFI);
    // Random from here on: the radio's noise feeds them.
    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let chosen = match Chosen::apply(stored, &mut radio, chip::LIMITS, || random.random()) {
        Ok(chosen) => leak(chosen),
        Err(error) => panic!("the radio takes not even the defaults: {error}"),
    };
    let banner = chosen.banner(VERSION, reset);
    let mode = banner.mode;
    console.say(banner);
    if let Some(text) = &panic {
        console.say(Panic(last_words::text(text)));
    }
    chosen.explain(|line| console.say(line));
    console.flush();

    #[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
    let thermometer = chip::Thermometer::new(peripherals.TSENS);
    #[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
    let thermometer = chip::Thermometer;
    let board = Board {
        settings: &chosen.settings,
        config: chosen.server(),
        host_name: leak(chosen.host_name()),
        mac: chosen.mac,
        console,
        chip: leak(Chip::new(mode, thermometer)),
        watchdog,
        seed,
    };
    servers::start(spawner, board, radio);
    loop {
        Timer::after_secs(3600).await;
    }
}

/// Something that lives for as long as the board runs.
fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Starts a task, each of which has its place in static memory.
fn spawn<S>(spawner: Spawner, task: Result<SpawnToken<S>, SpawnError>) {
    match task {
        Ok(token) => spawner.spawn(token),
        Err(error) => panic!("more tasks than places for them: {error:?}"),
    }
}
