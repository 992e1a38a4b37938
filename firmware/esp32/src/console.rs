//! The serial line. Writers queue whole lines and never wait; one task drains the queue at the
//! line's speed.
//!
//! UART0 at 115200 baud or, once a computer has been seen there, USB-Serial-JTAG.

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

/// Length of the queue: room for the longest line, a receive buffer whose bytes are escaped as four
/// characters each.
const QUEUE: usize = 4 * RECEIVE_BUFFER + 1024;

/// The board's console.
pub(crate) struct Console {
    lines: RefCell<Lines<QUEUE>>,
    requests: RefCell<RateLimit>,
    has_lines: Signal<NoopRawMutex, ()>,
}

/// Starts the tasks that print.
pub(crate) fn start(spawner: Spawner) -> &'static Console {
    let console = crate::leak(Console {
        lines: RefCell::new(Lines::new()),
        requests: RefCell::new(RateLimit::of_requests()),
        has_lines: Signal::new(),
    });
    crate::spawn(spawner, drain(console));
    crate::spawn(spawner, print_suppressed(console));
    console
}

impl Console {
    /// Queues a line. One that does not fit is dropped and counted.
    pub(crate) fn print(&self, line: impl Display) {
        self.lines.borrow_mut().push(line);
        self.has_lines.signal(());
    }

    /// Blocks until the queue is printed. Used during the start, so that nothing is lost if the
    /// start fails.
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
            self.print(request);
        }
    }
}

#[embassy_executor::task]
async fn drain(console: &'static Console) {
    let mut piece = [0; PIECE];
    loop {
        let length = console.lines.borrow_mut().take(&mut piece);
        if length == 0 {
            console.has_lines.wait().await;
        } else {
            esp_println::Printer::write_bytes(&piece[..length]);
            Timer::after(PAUSE).await;
        }
    }
}

#[embassy_executor::task]
async fn print_suppressed(console: &'static Console) {
    loop {
        Timer::after_secs(1).await;
        let suppressed = console.requests.borrow_mut().suppressed(Instant::now());
        if let Some(count) = suppressed {
            console.print(Suppressed(count));
        }
    }
}
