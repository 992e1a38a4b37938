//! Link impairments: delay, jitter, loss, duplication, reordering, corruption, outage.
//!
//! The impairment of the *n*th frame of a direction depends on seed, direction and *n* only, never on
//! the time, so a lossy run is repeatable. Only outages depend on the clock.

use embassy_time::Duration;

/// An Ethernet header: two addresses and a type.
const ETHERNET_HEADER: usize = 14;

/// The direction of a frame.
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

/// Impairments of a link, the same in both directions. The names are those of netem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinkConfig {
    /// One-way delay.
    pub delay: Duration,
    /// Mean of the additional random delay: exponentially distributed, at most eight times the mean.
    pub jitter: Duration,
    /// Share of frames lost, 0 to 1.
    pub loss: f64,
    /// Share of frames duplicated, 0 to 1.
    pub duplicate: f64,
    /// Share of frames that later frames overtake, 0 to 1.
    pub reorder: f64,
    /// Share of frames with one bit flipped after the Ethernet header, 0 to 1: an error that the
    /// link's checksum missed and IP, UDP or TCP must detect.
    pub corrupt: f64,
    /// A period in which nothing gets through.
    pub outage: Option<Outage>,
    /// Bits per second; `None` is unlimited.
    pub rate: Option<u64>,
    /// Random seed.
    pub seed: u64,
}

impl LinkConfig {
    /// No delay, no loss, no limit.
    pub const IDEAL: Self = Self {
        delay: Duration::from_ticks(0),
        jitter: Duration::from_ticks(0),
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        corrupt: 0.0,
        outage: None,
        rate: None,
        seed: 0,
    };
}

/// A period in which the link carries nothing although it stays up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// Start, counted from the creation of the link.
    pub after: Duration,
    /// Duration.
    pub length: Duration,
}

impl Outage {
    /// Whether `since`, counted from the creation of the link, is within it.
    pub(super) fn contains(self, since: Duration) -> bool {
        since >= self.after && since - self.after < self.length
    }
}

/// The impairment of one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Impairment {
    pub(super) lost: bool,
    pub(super) jitter: Duration,
    pub(super) duplicated: bool,
    pub(super) reordered: bool,
    /// Position of the flipped bit, as a share of the frame.
    pub(super) corrupt_at: Option<f64>,
}

impl Impairment {
    pub(super) fn of(config: &LinkConfig, direction: Direction, nth: u64) -> Self {
        let mut state = config.seed ^ ((direction as u64 + 1) << 62) ^ nth.rotate_left(20);
        let lost = unit(&mut state) < config.loss;
        let factor = (-(1.0 - unit(&mut state)).ln()).min(8.0);
        let mean = config.jitter.as_micros() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small and not negative"
        )]
        let jitter = Duration::from_micros((mean * factor).round() as u64);
        // Keep this order, so that loss and jitter of a seed stay the same across versions.
        let duplicated = unit(&mut state) < config.duplicate;
        let reordered = unit(&mut state) < config.reorder;
        let corrupt_at = (unit(&mut state) < config.corrupt).then(|| unit(&mut state));
        Self {
            lost,
            jitter,
            duplicated,
            reordered,
            corrupt_at,
        }
    }
}

/// Flips the bit at `share`, 0 to 1, of an IPv4 frame after the Ethernet header. Returns false for
/// other frames, which have no checksum to detect it.
pub(super) fn flip_bit(frame: &mut [u8], share: f64) -> bool {
    const IPV4: [u8; 2] = [0x08, 0x00];
    let Some((header, packet)) = frame.split_at_mut_checked(ETHERNET_HEADER) else {
        return false;
    };
    if !header.ends_with(&IPV4) {
        return false;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position within a frame"
    )]
    let bit = (share * (packet.len() * 8) as f64) as usize;
    let Some(byte) = packet.get_mut(bit / 8) else {
        return false;
    };
    *byte ^= 1 << (bit % 8);
    true
}

/// The next number in [0, 1) of the `SplitMix64` generator (Steele, Lea, Flood: "Fast Splittable
/// Pseudorandom Number Generators", OOPSLA 2014).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    // 53 bits: as many as a double holds exactly.
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_matches_the_configured_share() {
        let config = LinkConfig {
            loss: 0.1,
            seed: 42,
            ..LinkConfig::IDEAL
        };
        let lost = (0..100_000)
            .filter(|&nth| Impairment::of(&config, Direction::ToHost, nth).lost)
            .count();
        assert!((9_700..10_300).contains(&lost), "{lost}");
        let all = LinkConfig {
            loss: 1.0,
            ..config
        };
        assert!((0..10).all(|nth| Impairment::of(&all, Direction::ToHost, nth).lost));
    }
}
