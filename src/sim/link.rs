//! One direction of the cable: plain state, told the time. It delays, loses, repeats, damages and
//! paces frames. They overtake those alone that are held back to be overtaken, as on one radio link.

use std::collections::VecDeque;

use embassy_time::{Duration, Instant};

use super::fate::{Fate, Quality, turn_bit};

/// So many frames may wait in one direction, however long the line: more than any window here,
/// and a bound on memory.
const MAX_QUEUED: usize = 1024;

/// What a sender may have waiting for a slow link, in time. A Wi-Fi driver holds about as much.
const MAX_QUEUE_TIME: Duration = Duration::from_millis(50);

/// How long a frame is held back that others are to overtake: longer than a burst of frames takes,
/// far shorter than TCP waits before it sends again.
const HELD_BACK: Duration = Duration::from_millis(3);

/// Which way a frame goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the host to the board.
    ToBoard = 0,
    /// From the board to the host.
    ToHost = 1,
}

impl Direction {
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::ToBoard => Self::ToHost,
            Self::ToHost => Self::ToBoard,
        }
    }
}

/// What one direction has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames handed to the link.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Frames that were lost on the way.
    pub lost: u64,
    /// Frames that found the queue full.
    pub dropped: u64,
    /// Frames that arrived twice.
    pub duplicated: u64,
    /// Frames that were held back for others to overtake.
    pub reordered: u64,
    /// Frames that arrived with a wrong bit.
    pub corrupted: u64,
}

/// One direction of a cable: plain state, told the time.
#[derive(Debug)]
pub struct Link {
    quality: Quality,
    direction: Direction,
    /// When it was made.
    made: Instant,
    /// Frames and when they arrive, the first to arrive in front.
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    /// When the last frame arrives of those that keep their order.
    last_arrival: Instant,
    /// When the link has sent all that it was given.
    free_at: Instant,
    traffic: Traffic,
}

impl Link {
    /// An empty link, made `now`.
    pub fn new(quality: Quality, direction: Direction, now: Instant) -> Self {
        Self {
            quality,
            direction,
            made: now,
            in_flight: VecDeque::new(),
            last_arrival: Instant::MIN,
            free_at: Instant::MIN,
            traffic: Traffic::default(),
        }
    }

    /// When the link can take a frame without queueing more than a driver would: `None` is now.
    pub(super) fn room_at(&self, now: Instant) -> Option<Instant> {
        let at = self.free_at.checked_sub(MAX_QUEUE_TIME)?;
        (at > now).then_some(at)
    }

    /// Whether the link takes a frame now.
    pub fn has_room(&self, now: Instant) -> bool {
        self.in_flight.len() < MAX_QUEUED && self.room_at(now).is_none()
    }

    /// Sends a frame at `now`. One that does not fit is dropped, as a driver would.
    pub fn send(&mut self, now: Instant, mut frame: Vec<u8>) {
        let fate = Fate::of(&self.quality, self.direction, self.traffic.frames);
        self.traffic.frames += 1;
        self.traffic.bytes += frame.len() as u64;
        // Twice the queue: an answer goes out on the heels of the frame that asked for it, room
        // or no room, or two full directions would wait for each other.
        if self.in_flight.len() >= 2 * MAX_QUEUED {
            self.traffic.dropped += 1;
            return;
        }
        self.free_at = self.free_at.max(now) + self.time_on_air(frame.len());
        let arrival = self.free_at + self.quality.latency + fate.jitter;
        if fate.lost || self.is_out(now) || self.is_out(arrival) {
            // It was sent all the same: a lost frame costs its time.
            self.traffic.lost += 1;
            return;
        }
        if let Some(share) = fate.wrong_bit
            && turn_bit(&mut frame, share)
        {
            self.traffic.corrupted += 1;
        }
        let arrival = arrival.max(self.last_arrival);
        let arrival = if fate.held_back {
            self.traffic.reordered += 1;
            arrival + HELD_BACK
        } else {
            self.last_arrival = arrival;
            arrival
        };
        if fate.duplicated {
            self.traffic.duplicated += 1;
            self.deliver(arrival, frame.clone());
        }
        self.deliver(arrival, frame);
    }

    /// Puts a frame behind all that arrive no later.
    fn deliver(&mut self, arrival: Instant, frame: Vec<u8>) {
        let place = self.in_flight.partition_point(|&(at, _)| at <= arrival);
        self.in_flight.insert(place, (arrival, frame));
    }

    fn is_out(&self, at: Instant) -> bool {
        let since = at.saturating_duration_since(self.made);
        self.quality
            .outage
            .is_some_and(|outage| outage.is_at(since))
    }

    /// The next frame that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_arrival()? > now {
            return None;
        }
        self.in_flight.pop_front().map(|(_, frame)| frame)
    }

    /// When the next frame arrives, if one is on its way.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.front().map(|&(at, _)| at)
    }

    /// Loses what is on its way.
    pub(super) fn cut(&mut self) {
        self.traffic.lost += self.in_flight.len() as u64;
        self.in_flight.clear();
    }

    /// What this link has carried.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn time_on_air(&self, bytes: usize) -> Duration {
        self.quality
            .bandwidth
            .map_or(Duration::from_ticks(0), |bits_per_second| {
                Duration::from_micros((bytes as u64 * 8 * 1_000_000).div_ceil(bits_per_second))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::fate::Outage;

    const START: Instant = Instant::from_ticks(1_000_000);

    fn micros(at: Instant) -> u64 {
        (at - START).as_micros()
    }

    /// Sends `count` frames of `bytes` at once, and returns the numbers and times of those that arrive.
    fn arrivals(quality: Quality, count: u32, bytes: usize) -> Vec<(u32, u64)> {
        let mut link = Link::new(quality, Direction::ToBoard, START);
        for number in 0..count {
            let mut frame = vec![0; bytes];
            frame[..4].copy_from_slice(&number.to_be_bytes());
            link.send(START, frame);
        }
        let mut arrived = Vec::new();
        while let Some(at) = link.next_arrival() {
            let frame = link.receive(at).expect("it has arrived");
            arrived.push((
                u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]),
                micros(at),
            ));
        }
        arrived
    }

    #[test]
    fn jitter_varies_around_its_mean_and_keeps_the_order() {
        let quality = Quality {
            jitter: Duration::from_millis(1),
            seed: 3,
            ..Quality::IDEAL
        };
        let delays: Vec<u64> = (0..10_000)
            .map(|nth| {
                Fate::of(&quality, Direction::ToBoard, nth)
                    .jitter
                    .as_micros()
            })
            .collect();
        let mean = delays.iter().sum::<u64>() as f64 / delays.len() as f64;
        assert!((900.0..1100.0).contains(&mean), "{mean}");
        assert!(delays.iter().all(|&delay| delay <= 8000));
        let arrived = arrivals(quality, 500, 64);
        assert!(arrived.is_sorted());
        assert_eq!(arrived.len(), 500);
    }

    #[test]
    fn an_ideal_cable_delivers_at_once() {
        assert_eq!(arrivals(Quality::IDEAL, 2, 64), [(0, 0), (1, 0)]);
    }

    #[test]
    fn latency_delays_and_nothing_arrives_early() {
        let quality = Quality {
            latency: Duration::from_millis(3),
            ..Quality::IDEAL
        };
        let mut link = Link::new(quality, Direction::ToHost, START);
        link.send(START, vec![1]);
        assert_eq!(link.receive(START + Duration::from_micros(2999)), None);
        assert_eq!(
            link.receive(START + Duration::from_micros(3000)),
            Some(vec![1])
        );
    }

    #[test]
    fn bandwidth_spaces_frames() {
        // 1250 bytes are 10,000 bits: half a millisecond at 20 Mbit/s.
        let quality = Quality {
            bandwidth: Some(20_000_000),
            ..Quality::IDEAL
        };
        assert_eq!(arrivals(quality, 3, 1250), [(0, 500), (1, 1000), (2, 1500)]);
    }

    #[test]
    fn a_slow_link_takes_no_more_than_a_driver_would_queue() {
        let quality = Quality {
            bandwidth: Some(1_000_000),
            ..Quality::IDEAL
        };
        let mut link = Link::new(quality, Direction::ToBoard, START);
        // 12 ms a frame: five are more than 50 ms.
        for _ in 0..5 {
            assert!(link.has_room(START));
            link.send(START, vec![0; 1500]);
        }
        assert!(!link.has_room(START));
        assert!(link.has_room(START + Duration::from_millis(10)));
    }

    #[test]
    fn a_receiver_that_sleeps_costs_frames_and_not_memory() {
        let mut link = Link::new(Quality::IDEAL, Direction::ToBoard, START);
        for _ in 0..10 * MAX_QUEUED {
            link.send(START, vec![0]);
        }
        assert_eq!(link.in_flight.len(), 2 * MAX_QUEUED);
        assert_eq!(link.traffic().dropped, 8 * MAX_QUEUED as u64);
    }

    #[test]
    fn the_nth_frame_meets_the_same_fate_under_one_seed_whenever_it_is_sent() {
        let quality = Quality {
            loss: 0.3,
            jitter: Duration::from_micros(700),
            seed: 7,
            ..Quality::IDEAL
        };
        let at_once = arrivals(quality, 300, 64);
        let mut link = Link::new(quality, Direction::ToBoard, START);
        let mut slowly = Vec::new();
        for number in 0..300 {
            let sent = START + Duration::from_millis(20) * number;
            link.send(sent, vec![0]);
            if let Some(at) = link.next_arrival() {
                slowly.push(number);
                assert!(link.receive(at).is_some());
            }
        }
        let kept: Vec<u32> = at_once.iter().map(|&(number, _)| number).collect();
        assert_eq!(kept, slowly);
        let other_seed = arrivals(Quality { seed: 8, ..quality }, 300, 64);
        assert_ne!(at_once, other_seed);
        let fates = |direction| (0..300).map(move |nth| Fate::of(&quality, direction, nth).lost);
        assert!(
            fates(Direction::ToBoard).ne(fates(Direction::ToHost)),
            "each way has its own luck"
        );
    }

    #[test]
    fn a_frame_that_is_held_back_is_overtaken_and_arrives() {
        let quality = Quality {
            reorder: 0.2,
            seed: 5,
            ..Quality::IDEAL
        };
        let arrived = arrivals(quality, 100, 64);
        let numbers: Vec<u32> = arrived.iter().map(|&(number, _)| number).collect();
        assert!(!numbers.is_sorted(), "{numbers:?}");
        assert!(arrived.iter().all(|&(_, at)| at == 0 || at == 3000));
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn a_duplicate_is_the_same_frame_twice() {
        let quality = Quality {
            duplicate: 1.0,
            ..Quality::IDEAL
        };
        assert_eq!(arrivals(quality, 2, 64), [(0, 0), (0, 0), (1, 0), (1, 0)]);
    }

    #[test]
    fn damage_is_one_bit_of_an_ip_packet_and_leaves_the_rest_alone() {
        let quality = Quality {
            corrupt: 1.0,
            seed: 9,
            ..Quality::IDEAL
        };
        let mut link = Link::new(quality, Direction::ToBoard, START);
        let mut frame = vec![0; 64];
        frame[12] = 8;
        for _ in 0..200 {
            link.send(START, frame.clone());
            let got = link.receive(START).expect("it has arrived");
            assert_eq!(got[..14], frame[..14]);
            let turned: u32 = got
                .iter()
                .zip(&frame)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!(turned, 1);
        }
        // ARP has no check sum: it is not touched.
        frame[13] = 6;
        link.send(START, frame.clone());
        assert_eq!(link.receive(START), Some(frame));
        assert_eq!(link.traffic().corrupted, 200);
    }

    #[test]
    fn nothing_gets_through_an_outage_and_all_before_and_after() {
        let quality = Quality {
            latency: Duration::from_millis(10),
            outage: Some(Outage {
                after: Duration::from_secs(1),
                length: Duration::from_secs(5),
            }),
            ..Quality::IDEAL
        };
        let mut link = Link::new(quality, Direction::ToBoard, START);
        let mut passes = |millis| {
            let sent = START + Duration::from_millis(millis);
            link.send(sent, vec![0]);
            link.receive(sent + Duration::from_millis(10)).is_some()
        };
        assert!(passes(0));
        assert!(passes(989));
        assert!(!passes(990), "it would arrive in the outage");
        assert!(!passes(1000));
        assert!(!passes(5999));
        assert!(passes(6000));
    }
}
