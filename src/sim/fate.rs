//! What a faulty link does to each frame: lost, late, twice, overtaken, damaged.
//!
//! What happens to the *n*th frame of a direction depends on the seed, the direction and *n* alone,
//! never on the time, so a lossy run can be repeated; an outage alone goes by the clock.

use embassy_time::Duration;

use super::link::Direction;

/// An Ethernet header: two addresses and a type.
const ETHERNET_HEADER: usize = 14;

/// How good the cable is, each way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// One-way delay.
    pub latency: Duration,
    /// Mean of the random delay on top: exponentially distributed, cut at eight times its mean.
    pub jitter: Duration,
    /// Share of frames lost, 0 to 1.
    pub loss: f64,
    /// Share of frames that arrive twice, 0 to 1.
    pub duplicate: f64,
    /// Share of frames that arrive after ones that were sent later, 0 to 1.
    pub reorder: f64,
    /// Share of frames with a bit turned over behind the Ethernet header, 0 to 1: what a link's
    /// own check sum has missed, and that of IP, UDP or TCP must not.
    pub corrupt: f64,
    /// When nothing gets through at all.
    pub outage: Option<Outage>,
    /// Bits per second, or as fast as it goes.
    pub bandwidth: Option<u64>,
    /// What decides the fate of each frame.
    pub seed: u64,
}

impl Quality {
    /// No delay, no loss, no limit.
    pub const IDEAL: Self = Self {
        latency: Duration::from_ticks(0),
        jitter: Duration::from_ticks(0),
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
        corrupt: 0.0,
        outage: None,
        bandwidth: None,
        seed: 0,
    };
}

/// A time in which the cable carries nothing, though both ends believe that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When it begins, from when the cable was made.
    pub after: Duration,
    /// How long it is.
    pub length: Duration,
}

impl Outage {
    /// Whether it is at `since` from when the cable was made.
    pub(super) fn is_at(self, since: Duration) -> bool {
        since >= self.after && since - self.after < self.length
    }
}

/// What happens to one frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fate {
    pub(super) lost: bool,
    pub(super) jitter: Duration,
    pub(super) duplicated: bool,
    pub(super) held_back: bool,
    /// Which bit arrives wrong, as a share of the frame.
    pub(super) wrong_bit: Option<f64>,
}

impl Fate {
    pub(super) fn of(quality: &Quality, direction: Direction, nth: u64) -> Self {
        let mut state = quality.seed ^ ((direction as u64 + 1) << 62) ^ nth.rotate_left(20);
        let lost = unit(&mut state) < quality.loss;
        let factor = (-(1.0 - unit(&mut state)).ln()).min(8.0);
        let mean = quality.jitter.as_micros() as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a jitter, small and not negative"
        )]
        let jitter = Duration::from_micros((mean * factor).round() as u64);
        // After the older ones: what a seed has lost and delayed so far, it does for ever.
        let duplicated = unit(&mut state) < quality.duplicate;
        let held_back = unit(&mut state) < quality.reorder;
        let wrong_bit = (unit(&mut state) < quality.corrupt).then(|| unit(&mut state));
        Self {
            lost,
            jitter,
            duplicated,
            held_back,
            wrong_bit,
        }
    }
}

/// Turns over one bit behind an IPv4 frame's Ethernet header: the one at `share`, 0 to 1, of it.
/// Others have no check sum that could find it: they are left alone, and this says so.
pub(super) fn turn_bit(frame: &mut [u8], share: f64) -> bool {
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
        reason = "a place in a frame"
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
    fn loss_is_the_share_that_was_asked_for() {
        let quality = Quality {
            loss: 0.1,
            seed: 42,
            ..Quality::IDEAL
        };
        let lost = (0..100_000)
            .filter(|&nth| Fate::of(&quality, Direction::ToHost, nth).lost)
            .count();
        assert!((9_700..10_300).contains(&lost), "{lost}");
        let all = Quality {
            loss: 1.0,
            ..quality
        };
        assert!((0..10).all(|nth| Fate::of(&all, Direction::ToHost, nth).lost));
    }
}
