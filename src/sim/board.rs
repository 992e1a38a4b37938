//! A running virtual board: its thread, from start to stop.

use std::io;
use std::net::SocketAddrV4;
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle};

use embassy_net_driver::Driver;
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::clock::{self, Park};
use super::event::{EventConsole, Events};
use super::servers::{self, Neighbours, Summary};
use super::spec::Spec;

/// A running virtual board.
pub struct Board {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Summary>>,
    ready: Receiver<SocketAddrV4>,
}

impl Board {
    /// Starts a board on a thread of its own. `connect` makes its driver and its place to sleep
    /// there, for neither has to be `Send`.
    ///
    /// # Errors
    /// When `connect` fails, or there is no thread to be had.
    pub fn start<D, P, F>(
        spec: &Spec,
        neighbours: Neighbours,
        events: Option<Events>,
        connect: F,
    ) -> io::Result<Self>
    where
        D: Driver,
        P: Park,
        F: FnOnce(MacAddress) -> io::Result<(D, P)> + Send + 'static,
    {
        let spec = spec.clone();
        let (stop, stopped) = oneshot::channel();
        let (reached, ready) = std::sync::mpsc::channel();
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("board".into()).spawn(move || {
            let mac = mac_address(spec.quality.seed);
            let (driver, mut park) = match connect(mac) {
                Ok(connected) => connected,
                Err(error) => {
                    // The one who waits for it is there until it has come.
                    let _ = started.send(Err(error));
                    return Summary::default();
                }
            };
            let _ = started.send(Ok(()));
            // Sent or dropped, the word to stop means the same.
            let stop = stopped.map(drop);
            let console = EventConsole::new(events).with_ready(reached);
            clock::block_on(
                &mut park,
                servers::serve(&spec, driver, mac, neighbours, console, stop),
            )
        })?;
        start
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the virtual board has died")))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            ready,
        })
    }

    /// The address at which the board can be reached, if it has come to one since the last call.
    pub fn reached(&self) -> Option<SocketAddrV4> {
        self.ready.try_iter().last()
    }

    /// Stops the board and returns what it has counted. Blocks for its goodbye.
    pub fn stop(mut self) -> Summary {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Summary> {
        drop(self.stop.take());
        // A board that panicked has said so on stderr.
        self.thread.take()?.join().ok()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.end();
    }
}

/// A hardware address.
pub type MacAddress = [u8; 6];

/// The hardware address of the board with this seed: locally administered, the same every time.
pub fn mac_address(seed: u64) -> MacAddress {
    let [.., a, b] = seed.to_be_bytes();
    [0x02, 0x74, 0x63, 0x70, a, b]
}
