//! The firmware: what of a board is the chip's own, around the greeter that is everybody's.
//!
//! Read from here: `main` wires the parts in the order in which they come to life.
//!
//! | module | what it is |
//! |---|---|
//! | [`chip`] | what differs from chip to chip |
//! | [`console`] | the serial line: a queue, a rate, a task that empties it |
//! | [`stored`] | the settings, out of their partition |
//! | [`chosen`] | those, or the defaults where they are of no use |
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
mod chosen;
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
use alloc::format;

use embassy_executor::{SpawnError, SpawnToken, Spawner};
use embassy_time::Timer;
use esp_hal::clock::CpuClock;
use esp_hal::rng::Rng;
use esp_hal::timer::timg::TimerGroup;
use tcpctl_greeter::console::{Banner, Mac, Panic};
use tcpctl_greeter::reset::Reset;
use tcpctl_settings::{HostName, Mode, Security};

use crate::chosen::Chosen;
use crate::radio::Radio;
use crate::servers::Board;
use crate::stored::Missing;
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
    let stored = match starts::count(reset).blame() {
        Some(blamed) => Err(Missing::Blamed(blamed)),
        None => stored::load(peripherals.FLASH),
    };

    let mut radio = Radio::start(peripherals.WIFI);
    // Random from here on: the radio's noise feeds them.
    let random = Rng::new();
    let seed = u64::from(random.random()) << 32 | u64::from(random.random());
    let chosen = Chosen::apply(stored, &mut radio, random);
    let settings = &chosen.settings;

    let mac = radio::mac_address(settings.network.mode());
    let host_name = settings.host_name.clone();
    let host_name = leak(host_name.unwrap_or_else(|| HostName::of_board(mac)));
    let mode = match settings.network.mode() {
        Mode::AccessPoint => "ap",
        Mode::Station => "sta",
    };
    let ssid = radio::ssid(&settings.network, mac);
    console.say(Banner {
        firmware: VERSION,
        chip: chip::NAME,
        mac: Mac(mac),
        mode,
        settings: chosen.origin(),
        reset,
        ssid: &format!("{ssid}"),
        open: *settings.network.security() == Security::Open,
    });
    if let Some(text) = &panic {
        console.say(Panic(last_words::text(text)));
    }
    chosen.explain(console, &ssid);
    console.flush();

    #[cfg(any(feature = "esp32c3", feature = "esp32c6"))]
    let thermometer = chip::Thermometer::new(peripherals.TSENS);
    #[cfg(not(any(feature = "esp32c3", feature = "esp32c6")))]
    let thermometer = chip::Thermometer;
    let board = Board {
        settings,
        host_name,
        mac,
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
