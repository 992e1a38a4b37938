//! An Ethernet link in memory: two [`Pipe`]s and the wakers of both ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use embassy_time::Instant;

use super::impairment::{Direction, LinkConfig};
use super::pipe::{Pipe, Traffic};

/// Maximum frame length: 1500 bytes of payload and the Ethernet header.
pub const MAX_FRAME: usize = 1514;

/// Both directions and the wakers of both ends.
#[derive(Debug)]
struct Link {
    pipes: [Pipe; 2],
    wakers: [Option<Waker>; 2],
    up: bool,
}

/// Creates a link and returns the board's and the host's end.
pub fn link(config: LinkConfig) -> (End, End) {
    let now = Instant::now();
    let shared = Arc::new(Mutex::new(Link {
        pipes: [
            Pipe::new(config, Direction::ToBoard, now),
            Pipe::new(config, Direction::ToHost, now),
        ],
        wakers: [None, None],
        up: true,
    }));
    let board = End {
        shared: Arc::clone(&shared),
        receives: Direction::ToBoard,
    };
    let host = End {
        shared,
        receives: Direction::ToHost,
    };
    (board, host)
}

/// One end of a link. The other end may belong to another thread.
#[derive(Debug)]
pub struct End {
    shared: Arc<Mutex<Link>>,
    /// The direction that ends here.
    receives: Direction,
}

impl End {
    /// The next frame that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut link = self.lock();
        let pipe = &mut link.pipes[self.receives as usize];
        let was_full = !pipe.has_room(now);
        let frame = pipe.receive(now)?;
        if was_full && let Some(waker) = &link.wakers[self.receives.opposite() as usize] {
            waker.wake_by_ref();
        }
        Some(frame)
    }

    /// Whether the link accepts a frame now. An error contains the time to ask again; `Err(None)` means when
    /// woken.
    pub fn room(&self, now: Instant) -> Result<(), Option<Instant>> {
        let link = self.lock();
        let pipe = &link.pipes[self.receives.opposite() as usize];
        if pipe.has_room(now) {
            Ok(())
        } else {
            Err(pipe.room_at(now))
        }
    }

    /// Sends a frame and wakes the other end.
    pub fn send(&mut self, now: Instant, frame: Vec<u8>) {
        let mut link = self.lock();
        if !link.up {
            return;
        }
        let other = self.receives.opposite() as usize;
        link.pipes[other].send(now, frame);
        if let Some(waker) = &link.wakers[other] {
            waker.wake_by_ref();
        }
    }

    /// When the next frame arrives, if one is in flight.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.lock().pipes[self.receives as usize].next_arrival()
    }

    /// Registers the waker of this end: woken when a frame is sent to it, when the link has room
    /// again, and when the link goes up or down.
    pub fn wake(&mut self, waker: &Waker) {
        let mut link = self.lock();
        match &mut link.wakers[self.receives as usize] {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Whether the link is up.
    pub fn is_up(&self) -> bool {
        self.lock().up
    }

    /// A handle that controls the link and reads its counters from any thread.
    pub fn control(&self) -> LinkControl {
        LinkControl(Arc::clone(&self.shared))
    }

    fn lock(&self) -> MutexGuard<'_, Link> {
        lock(&self.shared)
    }
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    // No panic leaves a partial frame, so the state is consistent.
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Controls a link from any thread.
#[derive(Debug, Clone)]
pub struct LinkControl(Arc<Mutex<Link>>);

impl LinkControl {
    /// Sets the link up or down at both ends. Going down loses all frames in flight.
    pub fn set_up(&self, up: bool) {
        let mut link = lock(&self.0);
        link.up = up;
        if !up {
            for pipe in &mut link.pipes {
                pipe.cut();
            }
        }
        for waker in link.wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }

    /// Counters of both directions: to the board, to the host.
    pub fn traffic(&self) -> (Traffic, Traffic) {
        let link = lock(&self.0);
        let [to_board, to_host] = &link.pipes;
        (to_board.traffic(), to_host.traffic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_ticks(1_000_000);

    #[test]
    fn link_down_loses_frames_in_flight() {
        let (mut board, mut host) = link(LinkConfig::IDEAL);
        let control = host.control();
        host.send(START, vec![1]);
        control.set_up(false);
        assert!(!board.is_up());
        host.send(START, vec![2]);
        control.set_up(true);
        host.send(START, vec![3]);
        assert_eq!(board.receive(START), Some(vec![3]));
        assert_eq!(board.receive(START), None);
    }
}
