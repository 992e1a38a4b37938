//! The thread of a virtual board.

use std::io;
use std::thread::{self, JoinHandle};

use embassy_net_driver::Driver;
use futures_util::FutureExt;
use tokio::sync::{oneshot, watch};

use super::boot::{self, Hardware};
use super::clock::{self, Park};
use super::event::{EventConsole, Events, Online};
use super::servers::{Neighbors, Summary};
use super::spec::{MacAddress, Spec};

/// A running virtual board.
pub struct Board {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Summary>>,
    online: watch::Receiver<Option<Online>>,
}

impl Board {
    /// Starts a board on its own thread. `connect` creates the driver and the parker on that thread,
    /// because neither has to be `Send`.
    ///
    /// # Errors
    /// `connect` fails, or no thread can be created.
    pub fn start<D, P, F>(
        spec: &Spec,
        hardware: Hardware,
        neighbors: Neighbors,
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
        let (now_online, online) = watch::channel(None);
        let (started, start) = std::sync::mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("board".into()).spawn(move || {
            let (driver, mut park) = match connect(hardware.mac) {
                Ok(connected) => connected,
                Err(error) => {
                    // The receiver waits for this message.
                    let _ = started.send(Err(error));
                    return Summary::default();
                }
            };
            let _ = started.send(Ok(()));
            // The board stops when the sender is dropped.
            let stop = stopped.map(drop);
            let console = EventConsole::new(events).with_online(now_online);
            clock::block_on(
                &mut park,
                boot::run(&spec, hardware, driver, neighbors, console, stop),
            )
            .summary
        })?;
        start
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the virtual board's thread panicked")))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
            online,
        })
    }

    /// Whether the board is reachable, and where.
    pub fn online(&self) -> &watch::Receiver<Option<Online>> {
        &self.online
    }

    /// Stops the board and returns its counters. Blocks until its mDNS goodbye is sent.
    pub fn stop(mut self) -> Summary {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Summary> {
        drop(self.stop.take());
        // A panic of the board was printed already.
        self.thread.take()?.join().ok()
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        self.end();
    }
}
