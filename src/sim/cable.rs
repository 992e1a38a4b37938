//! An Ethernet cable in memory, with the faults of a real link: two directions, each a [`Link`], and
//! who is to be woken at either end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use embassy_time::Instant;

use super::fate::Quality;
use super::link::{Direction, Link, Traffic};

/// The longest frame: 1500 bytes of payload and the Ethernet header.
pub const MAX_FRAME: usize = 1514;

/// Both directions, and who is to be woken at either end.
#[derive(Debug)]
struct Cable {
    links: [Link; 2],
    wakers: [Option<Waker>; 2],
    up: bool,
}

/// Makes a cable and returns its two ends, the board's and the host's.
pub fn cable(quality: Quality) -> (End, End) {
    let now = Instant::now();
    let shared = Arc::new(Mutex::new(Cable {
        links: [
            Link::new(quality, Direction::ToBoard, now),
            Link::new(quality, Direction::ToHost, now),
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

/// One end of a cable. Its thread receives here and sends here; the other end may be in another.
#[derive(Debug)]
pub struct End {
    shared: Arc<Mutex<Cable>>,
    /// The direction that ends here.
    receives: Direction,
}

impl End {
    /// The next frame that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut cable = self.lock();
        let link = &mut cable.links[self.receives as usize];
        let was_full = !link.has_room(now);
        let frame = link.receive(now)?;
        if was_full && let Some(waker) = &cable.wakers[self.receives.opposite() as usize] {
            waker.wake_by_ref();
        }
        Some(frame)
    }

    /// Whether the cable takes a frame now, or else when to ask again: `Err(None)` is when woken.
    pub fn room(&self, now: Instant) -> Result<(), Option<Instant>> {
        let cable = self.lock();
        let link = &cable.links[self.receives.opposite() as usize];
        if link.has_room(now) {
            Ok(())
        } else {
            Err(link.room_at(now))
        }
    }

    /// Sends a frame and wakes the other end.
    pub fn send(&mut self, now: Instant, frame: Vec<u8>) {
        let mut cable = self.lock();
        if !cable.up {
            return;
        }
        let other = self.receives.opposite() as usize;
        cable.links[other].send(now, frame);
        if let Some(waker) = &cable.wakers[other] {
            waker.wake_by_ref();
        }
    }

    /// When the next frame arrives here, if one is on its way.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.lock().links[self.receives as usize].next_arrival()
    }

    /// Wakes `waker` from now on whenever a frame is sent to this end, the cable has room again
    /// or is plugged in or out.
    pub fn wake(&mut self, waker: &Waker) {
        let mut cable = self.lock();
        match &mut cable.wakers[self.receives as usize] {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Whether the cable is plugged in.
    pub fn is_up(&self) -> bool {
        self.lock().up
    }

    /// What plugs the cable in and out, and counts what it carries, from anywhere.
    pub fn plug(&self) -> Plug {
        Plug(Arc::clone(&self.shared))
    }

    fn lock(&self) -> MutexGuard<'_, Cable> {
        lock(&self.shared)
    }
}

fn lock(cable: &Mutex<Cable>) -> MutexGuard<'_, Cable> {
    // A thread that panicked in here has left whole frames: the cable is as good as before.
    cable.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The plug of a cable, in whoever's hand.
#[derive(Debug, Clone)]
pub struct Plug(Arc<Mutex<Cable>>);

impl Plug {
    /// Plugs the cable in or out; both ends see that. What is on its way when it is unplugged is
    /// lost.
    pub fn set_up(&self, up: bool) {
        let mut cable = lock(&self.0);
        cable.up = up;
        if !up {
            for link in &mut cable.links {
                link.cut();
            }
        }
        for waker in cable.wakers.iter().flatten() {
            waker.wake_by_ref();
        }
    }

    /// What has been carried to the board, and to the host.
    pub fn traffic(&self) -> (Traffic, Traffic) {
        let cable = lock(&self.0);
        let [to_board, to_host] = &cable.links;
        (to_board.traffic(), to_host.traffic())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_ticks(1_000_000);

    #[test]
    fn an_unplugged_cable_loses_what_is_on_its_way() {
        let (mut board, mut host) = cable(Quality::IDEAL);
        let plug = host.plug();
        host.send(START, vec![1]);
        plug.set_up(false);
        assert!(!board.is_up());
        host.send(START, vec![2]);
        plug.set_up(true);
        host.send(START, vec![3]);
        assert_eq!(board.receive(START), Some(vec![3]));
        assert_eq!(board.receive(START), None);
    }
}
