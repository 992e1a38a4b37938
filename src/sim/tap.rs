//! A virtual board on a TAP interface, reachable for every program on this computer.
//!
//! The impaired link lies between the interface and the board. The board's thread does everything: it
//! sleeps until the interface has a frame, a timer is due, or it has to stop.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_time::Instant;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};

use super::clock::{self, Park};
use super::driver::{Frame, Outgoing, SendFrame, capabilities, wake_at};
use super::impairment::{Direction, LinkConfig};
use super::link::MAX_FRAME;
use super::pipe::Pipe;
use super::spec::MacAddress;
use crate::sys::tap;

const INTERFACE: Token = Token(0);
const UNPARK: Token = Token(1);

/// The board's end of the interface.
pub struct TapDriver {
    file: Rc<File>,
    to_board: Pipe,
    to_host: Pipe,
    mac: MacAddress,
    task: Rc<RefCell<Option<Waker>>>,
    gone: bool,
    buffer: Vec<u8>,
}

/// Parks the board's thread until the interface is readable, or until it is unparked.
pub struct TapPark {
    poll: Poll,
    events: mio::Events,
    unparker: Arc<mio::Waker>,
    task: Rc<RefCell<Option<Waker>>>,
    // Keeps the descriptor open that is registered with `poll`.
    _file: Rc<File>,
}

/// Opens the TAP interface `name`, or creates it.
///
/// # Errors
/// See [`tap::open`]; also failures to poll the interface.
pub fn open(name: &str, config: LinkConfig, mac: MacAddress) -> io::Result<(TapDriver, TapPark)> {
    let file = Rc::new(tap::open(name)?);
    let poll = Poll::new()?;
    poll.registry().register(
        &mut SourceFd(&file.as_raw_fd()),
        INTERFACE,
        Interest::READABLE,
    )?;
    let unparker = Arc::new(mio::Waker::new(poll.registry(), UNPARK)?);
    let task = Rc::new(RefCell::new(None));
    let driver = TapDriver {
        file: Rc::clone(&file),
        to_board: Pipe::new(config, Direction::ToBoard, Instant::now()),
        to_host: Pipe::new(config, Direction::ToHost, Instant::now()),
        mac,
        task: Rc::clone(&task),
        gone: false,
        buffer: vec![0; MAX_FRAME],
    };
    let events = mio::Events::with_capacity(8);
    Ok((
        driver,
        TapPark {
            poll,
            events,
            unparker,
            task,
            _file: file,
        },
    ))
}

impl Park for TapPark {
    fn unparker(&self) -> Box<dyn Fn() + Send + Sync> {
        let unparker = Arc::clone(&self.unparker);
        Box::new(move || {
            // Fails only without kernel memory; the next frame also wakes the thread.
            let _ = unparker.wake();
        })
    }

    fn park(&mut self, until: Option<Instant>) {
        // An interrupted wait counts as an early return, which callers allow.
        let _ = self
            .poll
            .poll(&mut self.events, until.map(clock::until_then));
        if self.events.iter().any(|event| event.token() == INTERFACE)
            && let Some(task) = self.task.borrow().as_ref()
        {
            task.wake_by_ref();
        }
    }
}

impl TapDriver {
    /// Reads all frames for the board from the kernel, because polling is edge-triggered.
    fn read_all(&mut self, now: Instant) {
        loop {
            match (&*self.file).read(&mut self.buffer) {
                Ok(length) => self.to_board.send(now, self.buffer[..length].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // EBADFD: the interface was deleted while it was in use.
                    self.gone |= error.raw_os_error() == Some(libc::EBADFD);
                    return;
                }
            }
        }
    }

    /// Writes due frames to the kernel.
    fn write_due(&mut self, now: Instant) {
        while let Some(frame) = self.to_host.receive(now) {
            // An interface that is down rejects frames with EIO; drop them, as on a link that is
            // down.
            let _ = (&*self.file).write(&frame);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        [self.to_board.next_arrival(), self.to_host.next_arrival()]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Driver for TapDriver {
    type RxToken<'a> = Frame;
    type TxToken<'a> = Outgoing<'a, Self>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(Frame, Outgoing<'_, Self>)> {
        let now = Instant::now();
        self.write_due(now);
        let frame = self.to_board.receive(now).or_else(|| {
            self.read_all(now);
            self.to_board.receive(now)
        });
        let Some(frame) = frame else {
            self.task.replace(Some(cx.waker().clone()));
            if let Some(at) = self.next_due() {
                wake_at(at, cx);
            }
            return None;
        };
        Some((Frame(frame), Outgoing { port: self, now }))
    }

    fn transmit(&mut self, _cx: &mut Context<'_>) -> Option<Outgoing<'_, Self>> {
        let now = Instant::now();
        self.write_due(now);
        self.to_host
            .has_room(now)
            .then_some(Outgoing { port: self, now })
    }

    /// Called at the end of every poll of the stack, so it sets the timer for frames that were sent
    /// in that poll.
    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        if let Some(at) = self.next_due() {
            wake_at(at, cx);
        }
        if self.gone {
            LinkState::Down
        } else {
            LinkState::Up
        }
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

impl SendFrame for TapDriver {
    fn send(&mut self, now: Instant, frame: Vec<u8>) {
        self.to_host.send(now, frame);
        self.write_due(now);
    }
}
