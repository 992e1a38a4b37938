//! `--probe CIDR`: every address of a network, at a bounded rate.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::net::cidr::Cidr;

/// Addresses that are probed without being asked twice: a /20 of IPv4.
pub const MAX_UNFORCED: u128 = 1 << 12;
/// New connections a second.
const RATE: u32 = 500;
/// Connections at the same time.
pub const AT_A_TIME: usize = 128;
/// How long one address may take to answer.
pub const PATIENCE: Duration = Duration::from_millis(600);

/// How long it takes until all of a network's addresses have been asked, at the least.
pub fn duration(network: Cidr) -> Duration {
    let seconds = network.count() / u128::from(RATE);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}

/// Gives out a network's addresses, no faster than the rate.
#[derive(Debug)]
pub struct Pace {
    network: Cidr,
    next: Option<u128>,
    begin: Instant,
    given: u32,
}

impl Pace {
    /// Begins at `now`.
    pub const fn new(network: Cidr, now: Instant) -> Self {
        Self {
            network,
            next: Some(network.first()),
            begin: now,
            given: 0,
        }
    }

    /// The next address, if its time has come.
    pub fn take(&mut self, now: Instant) -> Option<IpAddr> {
        let value = self
            .next
            .filter(|_| self.due().is_some_and(|due| due <= now))?;
        self.next = (value < self.network.last()).then(|| value + 1);
        self.given = self.given.saturating_add(1);
        // Where the others have kept it waiting, what was missed is not made up for.
        let owed = Duration::from_secs(1) / RATE * self.given;
        if now > self.begin + owed + Duration::from_millis(100) {
            self.begin = now;
            self.given = 1;
        }
        Some(self.network.address(value))
    }

    /// When the next address is due; `None` when all have been given out.
    pub fn due(&self) -> Option<Instant> {
        self.next?;
        Some(self.begin + Duration::from_secs(1) / RATE * self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut pace = Pace::new(text.parse().unwrap(), Instant::now());
        let much_later = Instant::now() + Duration::from_hours(1);
        let mut found = Vec::new();
        let mut now = Instant::now();
        while pace.due().is_some() && now < much_later {
            now += Duration::from_millis(2);
            found.extend(pace.take(now).map(|address| address.to_string()));
        }
        found
    }

    #[test]
    fn a_network_is_its_hosts() {
        assert_eq!(all("10.0.0.77/30"), ["10.0.0.77", "10.0.0.78"]);
        assert_eq!(all("10.0.0.4/31"), ["10.0.0.4", "10.0.0.5"]);
        assert_eq!(all("10.0.0.4"), ["10.0.0.4"]);
        assert_eq!(all("2001:db8::/127"), ["2001:db8::", "2001:db8::1"]);
        assert_eq!(all("192.168.1.0/24").len(), 254);
        assert_eq!(all("255.255.255.255/32"), ["255.255.255.255"]);
    }

    #[test]
    fn the_rate_is_kept_and_nothing_is_made_up_for() {
        let begin = Instant::now();
        let mut pace = Pace::new("10.0.0.0/20".parse().unwrap(), begin);
        let mut given = 0;
        for millisecond in 0..1000 {
            while pace
                .take(begin + Duration::from_millis(millisecond))
                .is_some()
            {
                given += 1;
            }
        }
        assert!((RATE - 2..=RATE + 2).contains(&given), "{given}");
        let later = begin + Duration::from_secs(10);
        let burst = std::iter::from_fn(|| pace.take(later)).count();
        assert!(burst < 3, "{burst}");
    }

    #[test]
    fn how_long_it_takes_is_known() {
        for (text, seconds) in [("10.0.0.0/24", 0), ("10.0.0.0/19", 16), ("::/0", u64::MAX)] {
            let long = duration(text.parse().unwrap());
            assert_eq!(long, Duration::from_secs(seconds), "{text}");
        }
    }
}
