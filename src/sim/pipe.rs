//! One direction of the link: delays, loses, duplicates, corrupts and paces frames.
//!
//! Plain state: the caller passes the time. Frames keep their order, as on one radio link, except
//! those delayed for reordering.

use std::collections::VecDeque;

use embassy_time::{Duration, Instant};

use super::impairment::{Direction, Impairment, LinkConfig, flip_bit};

/// Maximum frames queued in one direction: more than any TCP window here, and a bound on memory.
const MAX_QUEUED: usize = 1024;

/// Maximum time to send the queued frames. A Wi-Fi driver queues about as much.
const MAX_QUEUE_TIME: Duration = Duration::from_millis(50);

/// Extra delay of a reordered frame: longer than a burst of frames, far below TCP's retransmission
/// timeout.
const REORDER_DELAY: Duration = Duration::from_millis(3);

/// Counters of one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames sent.
    pub frames: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// Frames lost.
    pub lost: u64,
    /// Frames dropped because the queue was full.
    pub dropped: u64,
    /// Frames duplicated.
    pub duplicated: u64,
    /// Frames delayed for reordering.
    pub reordered: u64,
    /// Frames with a flipped bit.
    pub corrupted: u64,
}

/// One direction of a link; "pipe" is dummynet's term for this.
#[derive(Debug)]
pub struct Pipe {
    config: LinkConfig,
    direction: Direction,
    /// When it was created.
    created: Instant,
    /// Frames and their arrival times, the next to arrive first.
    in_flight: VecDeque<(Instant, Vec<u8>)>,
    /// Arrival of the last frame that keeps its order.
    last_arrival: Instant,
    /// When the last queued frame has been sent.
    free_at: Instant,
    traffic: Traffic,
}

impl Pipe {
    /// An empty pipe, created `now`.
    pub fn new(config: LinkConfig, direction: Direction, now: Instant) -> Self {
        Self {
            config,
            direction,
            created: now,
            in_flight: VecDeque::new(),
            last_arrival: Instant::MIN,
            free_at: Instant::MIN,
            traffic: Traffic::default(),
        }
    }

    /// When the queue has room for a frame; `None` means now.
    pub(super) fn room_at(&self, now: Instant) -> Option<Instant> {
        let at = self.free_at.checked_sub(MAX_QUEUE_TIME)?;
        (at > now).then_some(at)
    }

    /// Whether the queue has room now.
    pub fn has_room(&self, now: Instant) -> bool {
        self.in_flight.len() < MAX_QUEUED && self.room_at(now).is_none()
    }

    /// Sends a frame at `now`. Drops it if the queue is full.
    pub fn send(&mut self, now: Instant, mut frame: Vec<u8>) {
        let impairment = Impairment::of(&self.config, self.direction, self.traffic.frames);
        self.traffic.frames += 1;
        self.traffic.bytes += frame.len() as u64;
        // The limit is twice the queue, because replies are sent without checking for room;
        // otherwise two full directions would wait for each other.
        if self.in_flight.len() >= 2 * MAX_QUEUED {
            self.traffic.dropped += 1;
            return;
        }
        self.free_at = self.free_at.max(now) + self.time_on_air(frame.len());
        let arrival = self.free_at + self.config.delay + impairment.jitter;
        if impairment.lost || self.is_in_outage(now) || self.is_in_outage(arrival) {
            // A lost frame still takes its time on the air.
            self.traffic.lost += 1;
            return;
        }
        if let Some(share) = impairment.corrupt_at
            && flip_bit(&mut frame, share)
        {
            self.traffic.corrupted += 1;
        }
        let arrival = arrival.max(self.last_arrival);
        let arrival = if impairment.reordered {
            self.traffic.reordered += 1;
            arrival + REORDER_DELAY
        } else {
            self.last_arrival = arrival;
            arrival
        };
        if impairment.duplicated {
            self.traffic.duplicated += 1;
            self.deliver(arrival, frame.clone());
        }
        self.deliver(arrival, frame);
    }

    /// Queues a frame behind all that arrive no later.
    fn deliver(&mut self, arrival: Instant, frame: Vec<u8>) {
        let place = self.in_flight.partition_point(|&(at, _)| at <= arrival);
        self.in_flight.insert(place, (arrival, frame));
    }

    fn is_in_outage(&self, at: Instant) -> bool {
        let since = at.saturating_duration_since(self.created);
        self.config
            .outage
            .is_some_and(|outage| outage.contains(since))
    }

    /// The next frame that has arrived by `now`.
    pub fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        if self.next_arrival()? > now {
            return None;
        }
        self.in_flight.pop_front().map(|(_, frame)| frame)
    }

    /// When the next frame arrives, if one is in flight.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.in_flight.front().map(|&(at, _)| at)
    }

    /// Loses all frames in flight.
    pub(super) fn cut(&mut self) {
        self.traffic.lost += self.in_flight.len() as u64;
        self.in_flight.clear();
    }

    /// The counters.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    fn time_on_air(&self, bytes: usize) -> Duration {
        self.config
            .rate
            .map_or(Duration::from_ticks(0), |bits_per_second| {
                Duration::from_micros((bytes as u64 * 8 * 1_000_000).div_ceil(bits_per_second))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::impairment::Outage;

    const START: Instant = Instant::from_ticks(1_000_000);

    fn micros(at: Instant) -> u64 {
        (at - START).as_micros()
    }

    /// Sends `count` frames of `bytes` at once and returns the number and time of each that arrives.
    fn arrivals(config: LinkConfig, count: u32, bytes: usize) -> Vec<(u32, u64)> {
        let mut pipe = Pipe::new(config, Direction::ToBoard, START);
        for number in 0..count {
            let mut frame = vec![0; bytes];
            frame[..4].copy_from_slice(&number.to_be_bytes());
            pipe.send(START, frame);
        }
        let mut arrived = Vec::new();
        while let Some(at) = pipe.next_arrival() {
            let frame = pipe.receive(at).expect("it has arrived");
            arrived.push((
                u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]),
                micros(at),
            ));
        }
        arrived
    }

    #[test]
    fn jitter_has_its_mean_and_keeps_the_order() {
        let config = LinkConfig {
            jitter: Duration::from_millis(1),
            seed: 3,
            ..LinkConfig::IDEAL
        };
        let delays: Vec<u64> = (0..10_000)
            .map(|nth| {
                Impairment::of(&config, Direction::ToBoard, nth)
                    .jitter
                    .as_micros()
            })
            .collect();
        let mean = delays.iter().sum::<u64>() as f64 / delays.len() as f64;
        assert!((900.0..1100.0).contains(&mean), "{mean}");
        assert!(delays.iter().all(|&delay| delay <= 8000));
        let arrived = arrivals(config, 500, 64);
        assert!(arrived.is_sorted());
        assert_eq!(arrived.len(), 500);
    }

    #[test]
    fn ideal_link_delivers_at_once() {
        assert_eq!(arrivals(LinkConfig::IDEAL, 2, 64), [(0, 0), (1, 0)]);
    }

    #[test]
    fn nothing_arrives_before_the_delay() {
        let config = LinkConfig {
            delay: Duration::from_millis(3),
            ..LinkConfig::IDEAL
        };
        let mut pipe = Pipe::new(config, Direction::ToHost, START);
        pipe.send(START, vec![1]);
        assert_eq!(pipe.receive(START + Duration::from_micros(2999)), None);
        assert_eq!(
            pipe.receive(START + Duration::from_micros(3000)),
            Some(vec![1])
        );
    }

    #[test]
    fn rate_spaces_frames() {
        // 1250 bytes are 10,000 bits: half a millisecond at 20 Mbit/s.
        let config = LinkConfig {
            rate: Some(20_000_000),
            ..LinkConfig::IDEAL
        };
        assert_eq!(arrivals(config, 3, 1250), [(0, 500), (1, 1000), (2, 1500)]);
    }

    #[test]
    fn slow_link_queues_at_most_50_ms() {
        let config = LinkConfig {
            rate: Some(1_000_000),
            ..LinkConfig::IDEAL
        };
        let mut pipe = Pipe::new(config, Direction::ToBoard, START);
        // 12 ms per frame: five take more than 50 ms.
        for _ in 0..5 {
            assert!(pipe.has_room(START));
            pipe.send(START, vec![0; 1500]);
        }
        assert!(!pipe.has_room(START));
        assert!(pipe.has_room(START + Duration::from_millis(10)));
    }

    #[test]
    fn stalled_receiver_bounds_memory() {
        let mut pipe = Pipe::new(LinkConfig::IDEAL, Direction::ToBoard, START);
        for _ in 0..10 * MAX_QUEUED {
            pipe.send(START, vec![0]);
        }
        assert_eq!(pipe.in_flight.len(), 2 * MAX_QUEUED);
        assert_eq!(pipe.traffic().dropped, 8 * MAX_QUEUED as u64);
    }

    #[test]
    fn same_seed_impairs_the_same_frames() {
        let config = LinkConfig {
            loss: 0.3,
            jitter: Duration::from_micros(700),
            seed: 7,
            ..LinkConfig::IDEAL
        };
        let at_once = arrivals(config, 300, 64);
        let mut pipe = Pipe::new(config, Direction::ToBoard, START);
        let mut slowly = Vec::new();
        for number in 0..300 {
            let sent = START + Duration::from_millis(20) * number;
            pipe.send(sent, vec![0]);
            if let Some(at) = pipe.next_arrival() {
                slowly.push(number);
                assert!(pipe.receive(at).is_some());
            }
        }
        let kept: Vec<u32> = at_once.iter().map(|&(number, _)| number).collect();
        assert_eq!(kept, slowly);
        let other_seed = arrivals(LinkConfig { seed: 8, ..config }, 300, 64);
        assert_ne!(at_once, other_seed);
        let losses =
            |direction| (0..300).map(move |nth| Impairment::of(&config, direction, nth).lost);
        assert!(
            losses(Direction::ToBoard).ne(losses(Direction::ToHost)),
            "directions are impaired independently"
        );
    }

    #[test]
    fn reordered_frames_are_overtaken_and_arrive() {
        let config = LinkConfig {
            reorder: 0.2,
            seed: 5,
            ..LinkConfig::IDEAL
        };
        let arrived = arrivals(config, 100, 64);
        let numbers: Vec<u32> = arrived.iter().map(|&(number, _)| number).collect();
        assert!(!numbers.is_sorted(), "{numbers:?}");
        assert!(arrived.iter().all(|&(_, at)| at == 0 || at == 3000));
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn duplicates_are_identical() {
        let config = LinkConfig {
            duplicate: 1.0,
            ..LinkConfig::IDEAL
        };
        assert_eq!(arrivals(config, 2, 64), [(0, 0), (0, 0), (1, 0), (1, 0)]);
    }

    #[test]
    fn corruption_flips_one_bit_of_an_ip_packet() {
        let config = LinkConfig {
            corrupt: 1.0,
            seed: 9,
            ..LinkConfig::IDEAL
        };
        let mut pipe = Pipe::new(config, Direction::ToBoard, START);
        let mut frame = vec![0; 64];
        frame[12] = 8;
        for _ in 0..200 {
            pipe.send(START, frame.clone());
            let got = pipe.receive(START).expect("it has arrived");
            assert_eq!(got[..14], frame[..14]);
            let flipped: u32 = got
                .iter()
                .zip(&frame)
                .map(|(a, b)| (a ^ b).count_ones())
                .sum();
            assert_eq!(flipped, 1);
        }
        // ARP has no checksum, so the frame is not changed.
        frame[13] = 6;
        pipe.send(START, frame.clone());
        assert_eq!(pipe.receive(START), Some(frame));
        assert_eq!(pipe.traffic().corrupted, 200);
    }

    #[test]
    fn outage_drops_everything_within_it() {
        let config = LinkConfig {
            delay: Duration::from_millis(10),
            outage: Some(Outage {
                after: Duration::from_secs(1),
                length: Duration::from_secs(5),
            }),
            ..LinkConfig::IDEAL
        };
        let mut pipe = Pipe::new(config, Direction::ToBoard, START);
        let mut passes = |millis| {
            let sent = START + Duration::from_millis(millis);
            pipe.send(sent, vec![0]);
            pipe.receive(sent + Duration::from_millis(10)).is_some()
        };
        assert!(passes(0));
        assert!(passes(989));
        assert!(!passes(990), "it would arrive during the outage");
        assert!(!passes(1000));
        assert!(!passes(5999));
        assert!(passes(6000));
    }
}
