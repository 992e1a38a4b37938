//! The serial line: whoever speaks puts a whole line into a queue and goes on; one task empties it
//! at the line's pace.
//!
//! It is UART0 at 115200 baud or, once a computer has been seen at its other end, the chip's own
//! USB-Serial-JTAG.

use core::cell::RefCell;
use core::fmt::Display;

use embassy_executor::Spawner;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Instant, Timer};
use tcpctl_greeter::console::{Request, Suppressed};
use tcpctl_greeter::lines::{Lines, PAUSE, PIECE};
use tcpctl_greeter::rate::RateLimit;
use tcpctl_greeter::server::RECEIVE_BUFFER;

/// Room for the longest line: a receive buffer of bytes that are escaped as four characters each.
const QUEUE: usize = 4 * RECEIVE_BUFFER + 1024;

/// The board's console.
pub(crate) struct Console {
    lines: RefCell<Lines<QUEUE>>,
    requests: RefCell<RateLimit>,
    news: Signal<NoopRawMutex, ()>,
}

/// Starts the task that prints.
pub(crate) fn start(spawner: Spawner) -> &'static Console {
    let console = crate::leak(Console {
        lines: RefCell::new(Lines::new()),
        requests: RefCell::new(RateLimit::of_requests()),
        news: Signal::new(),
    });
    crate::spawn(spawner, print(console));
    crate::spawn(spawner, tell_suppressed(console));
    console
}

impl Console {
    /// Appends a line; it is dropped, and counted, where there is no room for it.
    pub(crate) fn say(&self, line: impl Display) {
        self.lines.borrow_mut().push(line);
        self.news.signal(());
    }

    /// Prints what is in the queue before it returns: for the time before there is a network to
    /// starve, so that nothing is lost if the start fails.
    pub(crate) fn flush(&self) {
        let mut piece = [0; PIECE];
        loop {
            let length = self.lines.borrow_mut().take(&mut piece);
            if length == 0 {
                return;
            }
            esp_println::Printer::write_bytes(&piece[..length]);
        }
    }
}

impl tcpctl_greeter::console::Console for Console {
    fn request(&self, request: &Request<'_>) {
        if self.requests.borrow_mut().admit(Instant::now()) {
            self.say(request);
        }
    }
}

/// Empties the queue.
#[embassy_executor::task]
async fn print(console: &'static Console) {
    let mut piece = [0; PIECE];
    loop {
        let length = console.lines.borrow_mut().take(&mut piece);
        if length == 0 {
            console.news.wait().await;
        } else {
            esp_println::Printer::write_bytes(&piece[..length]);
            Timer::after(PAUSE).await;
        }
    }
}

/// Says how many requests were not shown.
#[embassy_executor::task]
async fn tell_suppressed(console: &'static Console) {
    loop {
        Timer::after_secs(1).await;
        let suppressed = console.requests.borrow_mut().suppressed(Instant::now());
        if let Some(count) = suppressed {
            console.say(Suppressed(count));
        }
    }
}
